//! The event loop: connections, and the queue of requests whose moment has come.

use crate::Arguments;
use crate::figures::Figures;
use crate::service::Service;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long answers may still come when the last request was sent.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Client {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Connections without a request.
    free: Vec<usize>,
    /// When the requests that have no connection yet were to be sent.
    waiting: VecDeque<Instant>,
    request: Vec<u8>,
    interval: Duration,
    total: u32,
    figures: Figures,
}

struct Connection {
    stream: TcpStream,
    /// When its request was to be sent.
    intended: Option<Instant>,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(arguments: &Arguments) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for index in 0..arguments.connections {
            let stream = TcpStream::connect(arguments.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, EventData::new_u64(index as u64), EventFlags::IN)?;
            connections.push(Connection { stream, intended: None, received: Vec::new() });
        }
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nx-api-key: quickstart-key\r\n\r\n",
            arguments.path, arguments.address
        );
        Ok(Self {
            epoll,
            free: (0..connections.len()).collect(),
            connections,
            waiting: VecDeque::new(),
            request: request.into_bytes(),
            interval: Duration::from_secs_f64(1.0 / arguments.rate),
            total: (arguments.rate * arguments.time.as_secs_f64()) as u32,
            figures: Figures::default(),
        })
    }

    pub(crate) fn run(&mut self, service: &mut Service) -> io::Result<()> {
        let begun = Instant::now();
        let end = begun + self.interval * self.total + PATIENCE;
        let mut due = 0;
        let mut events = Vec::with_capacity(256);
        while due < self.total || !self.is_idle() {
            let now = Instant::now();
            if now > end {
                break;
            }
            while due < self.total && begun + self.interval * due <= now {
                let intended = begun + self.interval * due;
                self.figures.delays.push(now.duration_since(intended));
                self.waiting.push_back(intended);
                due += 1;
            }
            self.send()?;
            service.turn(&mut events)?;
            poll(&self.epoll, &mut events)?;
            for event in events.drain(..) {
                self.receive(event.data.u64() as usize)?;
            }
        }
        let unanswered = self.connections.iter().filter(|it| it.intended.is_some()).count();
        self.figures.unanswered = unanswered + self.waiting.len();
        Ok(())
    }

    pub(crate) fn into_figures(self, accepted: usize) -> Figures {
        Figures { accepted, ..self.figures }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.free.len() == self.connections.len()
    }

    /// Sends what waits, as far as there are free connections.
    fn send(&mut self) -> io::Result<()> {
        while let (Some(&intended), Some(&index)) = (self.waiting.front(), self.free.last()) {
            let connection = &mut self.connections[index];
            connection.stream.write_all(&self.request)?;
            connection.intended = Some(intended);
            self.waiting.pop_front();
            self.free.pop();
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let mut buffer = [0; 16 * 1024];
        match connection.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => connection.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let Some(length) = whole(&connection.received)? else { return Ok(()) };
        if connection.received.len() != length {
            return Err(io::Error::other("more was answered than asked for"));
        }
        let Some(intended) = connection.intended.take() else {
            return Err(io::Error::other("an answer without a request"));
        };
        self.figures.latencies.push(intended.elapsed());
        if !connection.received.starts_with(b"HTTP/1.1 2") {
            self.figures.refused += 1;
        }
        connection.received.clear();
        self.free.push(index);
        Ok(())
    }
}

/// What has happened, without waiting for more.
pub(crate) fn poll(epoll: &OwnedFd, events: &mut Vec<epoll::Event>) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    epoll::wait(epoll, rustix::buffer::spare_capacity(events), Some(&now))?;
    Ok(())
}

/// The length of the answer if it is whole. Its body must have a `content-length`.
fn whole(received: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = received.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&received[..end]).map_err(io::Error::other)?;
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or_else(|| io::Error::other("an answer without content-length"))?;
    Ok((received.len() >= end + 4 + length).then_some(end + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn knows_when_an_answer_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(whole(&answer[..20]).unwrap(), None);
        assert_eq!(whole(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(whole(answer).unwrap(), Some(answer.len()));
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
