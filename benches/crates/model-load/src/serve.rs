//! The provider: whole answers, and streams whose events are due at a constant rate, spread over its period.

use std::error::Error;
use std::io::ErrorKind;
use std::net::TcpListener;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::connection::{Connection, find, whole};
use crate::{Arguments, now};

/// The token of the listener; connections have their index.
const LISTENER: u64 = u64::MAX;
/// The parts of a period in which events are sent.
const GROUPS: usize = 20;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"bench-1","choices":[{"index":0,"message":{"role":"assistant","content":"It will be fine."},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":64,"completion_tokens":5,"total_tokens":69}}"#;
const LAST: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"bench-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":64,\"completion_tokens\":100,\"total_tokens\":164}}\n\ndata: [DONE]\n\n";

struct Stream {
    connection: usize,
    events: u64,
}

pub(crate) fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(arguments.address)?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut groups: Vec<Vec<Stream>> = (0..GROUPS).map(|_| Vec::new()).collect();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a time")]
    let step = (1e9 / arguments.rate / GROUPS as f64) as u64;
    let (mut due, mut group) = (now(), 0);
    let mut events = Vec::with_capacity(1024);
    loop {
        // Who is behind with its events takes new connections all the same.
        let wait = Timespec { tv_sec: 0, tv_nsec: if now() >= due { 0 } else { 500_000 } };
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            if event.data.u64() == LISTENER {
                loop {
                    match listener.accept() {
                        Ok((stream, _)) => {
                            let connection = Connection::new(stream)?;
                            let token = EventData::new_u64(connections.len() as u64);
                            epoll::add(&poll, &connection.stream, token, EventFlags::IN)?;
                            connections.push(Some(connection));
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                continue;
            }
            let index = usize::try_from(event.data.u64())?;
            let Some(connection) = &mut connections[index] else { continue };
            let mut is_open = connection.take();
            while let Some(length) = whole(&connection.read) {
                let streams = find(&connection.read[..length], b"\"stream\":true").is_some()
                    || find(&connection.read[..length], b"\"stream\": true").is_some();
                connection.read.drain(..length);
                let sent = if streams {
                    let smallest = (0..GROUPS).min_by_key(|it| groups[*it].len()).unwrap_or(0);
                    groups[smallest].push(Stream { connection: index, events: 0 });
                    // The first event is due at once.
                    connection.send(HEAD).and_then(|_| connection.send(&chunk(&event_of(now()))))
                } else {
                    connection.send(answer.as_bytes())
                };
                is_open &= sent.is_ok();
            }
            if !is_open {
                connections[index] = None;
            }
        }
        if now() >= due {
            let event = chunk(&event_of(due));
            groups[group].retain_mut(|stream| {
                let Some(connection) = &mut connections[stream.connection] else { return false };
                stream.events += 1;
                if stream.events < arguments.events {
                    return connection.send(&event).is_ok();
                }
                let end = [chunk(LAST).as_slice(), b"0\r\n\r\n"].concat();
                let _it_ends_either_way = connection.send(&end);
                false
            });
            group = (group + 1) % GROUPS;
            due += step;
        }
    }
}

fn event_of(due: u64) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"bench-1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" {due}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}
