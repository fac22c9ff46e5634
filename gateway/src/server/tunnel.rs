//! Bytes both ways after 101 Switching Protocols (RFC 9110 section 7.8), or on a stream of HTTP/2 after an
//! extended CONNECT (RFC 8441).
//!
//! Owns the copying and its idle timeout. Knows nothing of the protocol that is spoken.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::connection::ClientConnection;
use crate::conn::{Downstream as _, Tunnel, TunnelObserver};
use crate::error::Cut;

/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// Copies until both sides are done, one breaks, or neither says a byte for the idle time.
///
/// `early` is what the client sent behind its request; now it is the new protocol's. `broken` ends when the
/// client's side breaks while nobody reads or writes there.
pub(super) async fn run(
    tunnel: Tunnel,
    client: impl AsyncRead + AsyncWrite,
    early: Bytes,
    broken: impl Future<Output = ()>,
    connection: &ClientConnection,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_upstream, mut to_upstream) = tokio::io::split(tunnel.upstream);
    let _until_the_end = tunnel.lease;
    let moves = Cell::new(0_u64);
    let exchange = &tunnel.exchange;
    let up = async {
        to_upstream.write_all(&early).await?;
        copy(&mut from_client, &mut to_upstream, &moves, |length| {
            exchange.tunnel_uploaded(length);
        })
        .await
    };
    let down = copy(&mut from_upstream, &mut to_client, &moves, |length| {
        exchange.tunnel_downloaded(length);
    });
    let mut cutting = Cutting { exchange, connection, is_over: false };
    tokio::select! {
        _both_done_or_one_broke = async { tokio::try_join!(up, down) } => ended(exchange, connection),
        () = broken => ended(exchange, connection),
        () = idle(connection, &moves) => {
            exchange.tunnel_cut_off(Cut::Silent(connection.timeouts().idle));
        }
    }
    cutting.is_over = true;
}

/// The gateway may have ended the connection of the client, over HTTP/2 with each stream on it.
fn ended(exchange: &Rc<dyn TunnelObserver>, connection: &ClientConnection) {
    match connection.cut() {
        Some(cut) => exchange.tunnel_cut_off(cut),
        None => exchange.tunnel_ended(),
    }
}

/// A tunnel may go on for as long as the listener or the gateway lets open exchanges finish. Where it is
/// ended then, its exchange learns why.
struct Cutting<'t> {
    exchange: &'t Rc<dyn TunnelObserver>,
    connection: &'t ClientConnection,
    is_over: bool,
}

impl Drop for Cutting<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.connection.drain.has_cut() {
            self.exchange.tunnel_cut_off(Cut::Drain);
        }
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    moves: &Cell<u64>,
    count: impl Fn(usize),
) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        moves.set(moves.get() + 1);
        if length == 0 {
            return to.shutdown().await;
        }
        count(length);
        to.write_all(&chunk[..length]).await?;
        to.flush().await?;
    }
}

/// Ends when nothing moved for the idle time.
async fn idle(connection: &ClientConnection, moves: &Cell<u64>) {
    let timeout = connection.timeouts().idle;
    let mut deadline = connection.worker.state.timers.after(timeout);
    loop {
        let before = moves.get();
        Pin::new(&mut deadline).await;
        if moves.get() == before {
            return;
        }
        deadline.reset(timeout);
    }
}
