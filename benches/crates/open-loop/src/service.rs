//! The service behind the proxy: 1,024 bytes for each request.

use rustix::event::epoll::{self, EventData, EventFlags};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

/// The token of the listener; connections have their index.
const LISTENER: u64 = u64::MAX;

pub(crate) struct Service {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    answer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Service {
    pub(crate) fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1024\r\n\r\n";
        let answer = [head.as_bytes(), &[b'x'; 1024]].concat();
        Ok(Self { epoll, listener, connections: Vec::new(), answer })
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.connections.len()
    }

    /// Does what can be done now.
    pub(crate) fn turn(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        crate::client::poll(&self.epoll, events)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => self.accept()?,
                index => self.answer(index as usize),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let token = EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.epoll, &stream, token, EventFlags::IN)?;
        self.connections.push(Some(Connection { stream, received: Vec::new() }));
        Ok(())
    }

    /// Reads what has come and answers what is whole. A connection that fails is closed: the proxy
    /// will tell.
    fn answer(&mut self, index: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(index)
            && connection.turn(&self.answer).is_err()
        {
            self.connections[index] = None;
        }
    }
}

impl Connection {
    fn turn(&mut self, answer: &[u8]) -> io::Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        // Requests have no body.
        while let Some(end) = self.received.windows(4).position(|it| it == b"\r\n\r\n") {
            self.received.drain(..end + 4);
            self.stream.write_all(answer)?;
        }
        Ok(())
    }
}
