//! A close that lets the client read the last response.
//!
//! Owns the wait for a client that is still sending: closing a socket with unread bytes makes the
//! kernel send a reset, and the client can lose the response.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Transport;
use crate::timer::Timers;

/// How long a client has to notice.
const TIME: Duration = Duration::from_secs(5);

/// How much it may send until then: many clients read only when they have sent all, and take a reset for
/// the answer.
const BYTES: usize = 64 << 20;

/// Ends the writing side, then reads and forgets until the client closes too.
pub(super) async fn lingering_close(transport: &mut Transport, timers: &Timers) {
    let until_closed = async {
        if transport.shutdown().await.is_err() {
            return;
        }
        let mut scrap = vec![0; 64 << 10];
        let mut total = 0;
        while total < BYTES {
            match transport.read(&mut scrap).await {
                Ok(read) if read > 0 => total += read,
                _ => return,
            }
        }
    };
    tokio::select! {
        () = until_closed => {}
        () = timers.after(TIME) => {}
    }
}
