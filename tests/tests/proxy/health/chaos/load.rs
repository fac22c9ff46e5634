//! Requests at an even rate, whatever becomes of those before them, and what came of each.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Of so many requests one is a `POST`.
const POSTS: u64 = 5;
/// Clients, each with a connection of its own.
const CLIENTS: u32 = 100;
/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// All requests of the process have different numbers.
static NEXT: AtomicU64 = AtomicU64::new(1);

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) all: usize,
    pub(super) failed: usize,
}

#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) gets: Counts,
    pub(super) posts: Counts,
    /// How the first `GET` failed that did.
    pub(super) why: String,
    /// Milliseconds of `GET`s, from when they were to be sent.
    latencies: Vec<u32>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        for (own, other) in [(&mut self.gets, other.gets), (&mut self.posts, other.posts)] {
            own.all += other.all;
            own.failed += other.failed;
        }
        if self.why.is_empty() {
            self.why = other.why;
        }
        self.latencies.extend(other.latencies);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        let Self { gets, posts, why, .. } = self;
        write!(f, "GET {} of {} failed", gets.failed, gets.all)?;
        write!(f, ", POST {} of {}", posts.failed, posts.all)?;
        write!(f, ", p50 {} ms, p99 {} ms, p999 {} ms", at(0.5), at(0.99), at(0.999))?;
        if why.is_empty() { Ok(()) } else { write!(f, " (first: {why})") }
    }
}

pub(super) async fn run(address: SocketAddr, rate: u32, time: Duration) -> Outcome {
    let clients = CLIENTS.min(rate);
    let between = Duration::from_secs(1) * clients / rate;
    let begin = Instant::now();
    let mut all = JoinSet::new();
    for client in 0..clients {
        let first = begin + between * client / clients;
        all.spawn(client_for(address, first, between, begin + time));
    }
    let mut outcome = Outcome::default();
    while let Some(one) = all.join_next().await {
        outcome.add(one.unwrap());
    }
    outcome
}

async fn client_for(
    address: SocketAddr,
    first: Instant,
    between: Duration,
    until: Instant,
) -> Outcome {
    let (mut outcome, mut connection, mut due) = (Outcome::default(), None, first);
    while due < until {
        tokio::time::sleep_until(due.into()).await;
        let id = NEXT.fetch_add(1, Relaxed);
        let is_post = id.is_multiple_of(POSTS);
        let sent = tokio::time::timeout(PATIENCE, ask(address, &mut connection, id, is_post)).await;
        let result = sent.unwrap_or_else(|_| Err("no answer".to_owned()));
        let counts = if is_post { &mut outcome.posts } else { &mut outcome.gets };
        counts.all += 1;
        if !is_post {
            let taken = due.elapsed().as_millis();
            outcome.latencies.push(u32::try_from(taken).unwrap_or(u32::MAX));
        }
        if let Err(why) = result {
            counts.failed += 1;
            connection = None;
            if outcome.why.is_empty() && !is_post {
                outcome.why = why;
            }
        }
        due += between;
    }
    outcome
}

async fn ask(
    address: SocketAddr,
    connection: &mut Option<TcpStream>,
    id: u64,
    is_post: bool,
) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let stream = match connection {
        Some(stream) => stream,
        none => none.insert(TcpStream::connect(address).await.map_err(told)?),
    };
    let request = match is_post {
        true => {
            format!("POST / HTTP/1.1\r\nhost: a\r\nx-id: {id}\r\ncontent-length: 2\r\n\r\n{{}}")
        }
        false => format!("GET / HTTP/1.1\r\nhost: a\r\nx-id: {id}\r\n\r\n"),
    };
    stream.write_all(request.as_bytes()).await.map_err(told)?;
    let mut answer = Vec::new();
    loop {
        if let Some(at) = answer.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
            let status = head.lines().next().unwrap_or_default().to_owned();
            if !status.contains(" 200") {
                return Err(status);
            }
            if answer.len() >= at + 6 {
                return Ok(());
            }
        }
        if stream.read_buf(&mut answer).await.map_err(told)? == 0 {
            return Err("the connection was closed".to_owned());
        }
    }
}
