//! Listening sockets.
//!
//! Owns `SO_REUSEPORT`: each worker has its own accept queue, and the kernel spreads the
//! connections over them. None is closed while its listener is configured: the kernel would reset what
//! waits in its queue.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that wait to be accepted, for each socket.
const BACKLOG: i32 = 1_024;

/// One socket for each worker, all on the same address; port 0 is chosen by the first. One on
/// `[::]` may take IPv4 connections too. `shares`: this process listens on the port already, on an
/// address that this one may overlap until it is given up.
///
/// # Errors
/// Those of the system; in particular [`io::ErrorKind::AddrInUse`] if anybody listens there, even
/// if they would share the port.
pub(crate) fn bind(
    address: SocketAddr,
    takes_ipv4: bool,
    workers: usize,
    shares: bool,
) -> io::Result<Vec<TcpListener>> {
    if !shares {
        claim(address, takes_ipv4)?;
    }
    let first = listen(address, takes_ipv4)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(listen(address, takes_ipv4)?);
    }
    Ok(sockets)
}

/// One more socket on an address that this process listens on. It takes no connections before
/// [`begin`] is called for it.
///
/// # Errors
/// Those of the system.
pub(crate) fn add(address: SocketAddr, takes_ipv4: bool) -> io::Result<TcpListener> {
    Ok(join(address, takes_ipv4)?.into())
}

/// The system gives it connections from now on.
///
/// # Errors
/// Those of the system.
pub(crate) fn begin(added: &TcpListener) -> io::Result<()> {
    SockRef::from(added).listen(BACKLOG)
}

/// Fails if the address is taken: with `SO_REUSEPORT` alone two gateways would share it in
/// silence.
fn claim(address: SocketAddr, takes_ipv4: bool) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    open(address, takes_ipv4)?.bind(&address.into())
}

fn listen(address: SocketAddr, takes_ipv4: bool) -> io::Result<TcpListener> {
    let socket = join(address, takes_ipv4)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn join(address: SocketAddr, takes_ipv4: bool) -> io::Result<Socket> {
    let socket = open(address, takes_ipv4)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn open(address: SocketAddr, takes_ipv4: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Said either way: the default is the system's (`net.ipv6.bindv6only`).
        socket.set_only_v6(!takes_ipv4)?;
    }
    Ok(socket)
}
