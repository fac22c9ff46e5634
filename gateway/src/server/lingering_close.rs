//! A close that lets the client read the last response.
//!
//! Owns the wait for a client that is still sending: closing a socket with unread bytes makes the
//! kernel send a reset, and the client can lose the response.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Transport;
use super::leftover::{MOST_BYTES, MOST_TIME, TIME};
use crate::timer::Timers;

/// Ends the writing side, then reads and forgets until the client closes too, sends nothing for some time, or
/// has sent too much or for too long.
pub(super) async fn lingering_close(transport: &mut Transport, timers: &Timers) {
    let until_closed = async {
        let mut silence = timers.after(TIME);
        let is_shut = tokio::select! {
            shut = transport.shutdown() => shut.is_ok(),
            () = &mut silence => false,
        };
        if !is_shut {
            return;
        }
        let mut scrap = vec![0; 64 << 10];
        let mut total = 0;
        while total < MOST_BYTES {
            let read = tokio::select! {
                biased;
                read = transport.read(&mut scrap) => read.unwrap_or(0),
                () = &mut silence => 0,
            };
            if read == 0 {
                return;
            }
            total += read as u64;
            silence.reset(TIME);
        }
    };
    tokio::select! {
        () = until_closed => {}
        () = timers.after(MOST_TIME) => {}
    }
}
