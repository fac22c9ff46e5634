//! Messages to a syslog server.
//!
//! Owns their form (RFC 5424), and how they reach it: datagrams, or a stream with octet counting
//! (RFC 6587 section 3.4.1).

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::sink::Batch;
use super::time;
use super::writer::{Broken, Destination, Then};
use crate::config::{self, SyslogTransport};
use crate::error::ErrorSource;

/// How long connecting may take, and writing.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that are written at a time.
const CHUNK: usize = 64 << 10;
/// How long no datagram must be refused until the server is said to be there.
const SETTLED: Duration = Duration::from_secs(5);

/// What is before each line.
#[derive(Debug)]
pub(super) struct Prefix {
    facility: u8,
    /// From the name of the host on.
    rest: Box<[u8]>,
}

impl Prefix {
    pub(super) fn new(config: &config::Syslog) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
        let host = if host.is_empty() { "-" } else { &host };
        let (app, process) = (&config.app_name, std::process::id());
        // The encoding of what follows is not declared: readers of JSON do not know the mark for it.
        let rest = format!(" {host} {app} {process} access - ").into_bytes().into();
        Self { facility: config.facility, rest }
    }

    /// Writes it. The severity is that of the failure, if there is one.
    pub(super) fn write(&self, now: Duration, source: Option<ErrorSource>, line: &mut Vec<u8>) {
        let severity = match source {
            None | Some(ErrorSource::Client) => 6,
            Some(ErrorSource::Upstream | ErrorSource::Plugin) => 4,
            Some(ErrorSource::Gateway) => 3,
        };
        // Writing to a vector does not fail.
        let _written = write!(line, "<{}>1 ", u16::from(self.facility) * 8 + severity);
        time::rfc3339(now, line);
        line.extend_from_slice(&self.rest);
    }
}

/// Sends messages, and connects where it has to.
pub(super) struct Sender {
    transport: SyslogTransport,
    socket: Option<Socket>,
    chunk: Vec<u8>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

impl Sender {
    pub(super) fn new(transport: &SyslogTransport) -> Self {
        Self { transport: transport.clone(), socket: None, chunk: Vec::new() }
    }
}

impl Destination for Sender {
    fn write(&mut self, lines: &mut Batch) -> Result<(), Broken> {
        if let Some(Socket::Tcp(stream)) = &self.socket
            && is_closed(stream)
        {
            self.socket = None;
        }
        let wait = |error| Broken { error, then: Then::Wait };
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connect(&self.transport).map_err(wait)?),
        };
        let sent = match socket {
            Socket::Tcp(stream) => send_stream(stream, &mut self.chunk, lines).map_err(wait),
            Socket::Udp(socket) => {
                send_datagrams(|line| socket.send(line), lines).map_err(|error| {
                    // Of one that nobody took, nobody knows more than that.
                    let is_lost = error.kind() == io::ErrorKind::ConnectionRefused;
                    Broken {
                        then: if is_lost || is_too_large(&error) { Then::Skip } else { Then::Wait },
                        error,
                    }
                })
            }
            Socket::Unix(socket) => {
                send_datagrams(|line| socket.send(line), lines).map_err(|error| Broken {
                    then: if is_too_large(&error) { Then::Skip } else { Then::Wait },
                    error,
                })
            }
        };
        if sent.as_ref().is_err_and(|broken| broken.then == Then::Wait) {
            self.socket = None;
        }
        sent
    }

    fn settles_in(&self) -> Duration {
        match self.transport {
            SyslogTransport::Udp(_) => SETTLED,
            SyslogTransport::Tcp(_) | SyslogTransport::Unix(_) => Duration::from_secs(1),
        }
    }
}

fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

/// Whether the server has closed the connection: it sends nothing otherwise.
fn is_closed(stream: &TcpStream) -> bool {
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let is_blocking = stream.set_nonblocking(false).is_ok();
    match peeked {
        Ok(0) => true,
        Ok(_) => !is_blocking,
        Err(error) => !is_blocking || error.kind() != io::ErrorKind::WouldBlock,
    }
}

fn connect(transport: &SyslogTransport) -> io::Result<Socket> {
    match transport {
        SyslogTransport::Udp(address) => first(address, |address| {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            Ok(Socket::Udp(socket))
        }),
        SyslogTransport::Tcp(address) => first(address, |address| {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Socket::Tcp(stream))
        }),
        SyslogTransport::Unix(path) => unix(path),
    }
}

fn unix(path: &Path) -> io::Result<Socket> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(Socket::Unix(socket))
}

/// The first of a host's addresses that can be had.
fn first(host: &str, connect: impl Fn(SocketAddr) -> io::Result<Socket>) -> io::Result<Socket> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in host.to_socket_addrs()? {
        match connect(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn send_datagrams(send: impl Fn(&[u8]) -> io::Result<usize>, lines: &mut Batch) -> io::Result<()> {
    while let Some(line) = lines.first() {
        match send(line) {
            Ok(_) => lines.written(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends as many as fit into a chunk. A message of which a part is sent when the connection breaks is
/// sent whole over the next one: the server has no use for the part.
fn send_stream(stream: &mut TcpStream, chunk: &mut Vec<u8>, lines: &mut Batch) -> io::Result<()> {
    chunk.clear();
    let mut ends = Vec::new();
    let mut length = String::new();
    for line in lines.iter() {
        if !ends.is_empty() && chunk.len() + line.len() > CHUNK {
            break;
        }
        length.clear();
        // Writing to a string does not fail.
        let _written = write!(length, "{} ", line.len());
        chunk.extend_from_slice(length.as_bytes());
        chunk.extend_from_slice(line);
        ends.push(chunk.len());
    }
    let mut sent = 0;
    let mut result = Ok(());
    while sent < chunk.len() {
        match stream.write(&chunk[sent..]) {
            Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => result = Err(error),
        }
        if result.is_err() {
            break;
        }
    }
    lines.written(ends.iter().filter(|end| **end <= sent).count());
    result
}
