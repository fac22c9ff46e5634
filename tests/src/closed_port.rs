//! An address at which nobody listens, and where nobody else can begin to.
//!
//! A port that was free a moment ago may be another test's by now.

use std::fmt;
use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// Connections to its address are refused for as long as it lives.
#[derive(Debug)]
pub struct ClosedPort {
    /// Where nobody listens.
    pub address: SocketAddr,
    _bound: TcpSocket,
}

impl ClosedPort {
    /// One that was free.
    ///
    /// # Panics
    /// Where the system has no port.
    #[expect(clippy::new_without_default, reason = "it takes a port from the system")]
    pub fn new() -> Self {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port")
    }

    /// That of somebody who has ended, as soon as his socket is closed.
    ///
    /// # Panics
    /// Where it is not closed in time.
    pub async fn at(address: SocketAddr) -> Self {
        let mut closed = None;
        crate::until(|| {
            closed = Self::bind(address).ok();
            closed.is_some()
        })
        .await;
        closed.expect("it is closed in time")
    }

    fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let bound = TcpSocket::new_v4()?;
        // Connections of before may still wait for their end.
        bound.set_reuseaddr(true)?;
        bound.bind(address)?;
        Ok(Self { address: bound.local_addr()?, _bound: bound })
    }
}

impl fmt::Display for ClosedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
