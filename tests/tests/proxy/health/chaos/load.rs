//! Requests at an even rate, whatever becomes of those before them, and what came of each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Of so many requests one is a `POST`.
const POSTS: u64 = 5;
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
    /// The `POST`s that failed.
    pub(super) lost: Vec<u64>,
    /// How many `POST`s failed in each way.
    ways: BTreeMap<String, usize>,
    /// Of `GET`s: when they were to be sent, and how long it took from then.
    latencies: Vec<(Duration, Duration)>,
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
        self.lost.extend(other.lost);
        for (way, count) in other.ways {
            *self.ways.entry(way).or_default() += count;
        }
        self.latencies.extend(other.latencies);
    }

    /// Of `GET`s, within how many milliseconds this share was answered.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        at(share, &self.sorted(|_| true))
    }

    fn sorted(&self, counts: impl Fn(Duration) -> bool) -> Vec<f64> {
        let latencies = self.latencies.iter().filter(|(at, _)| counts(*at));
        let mut sorted: Vec<_> = latencies.map(|(_, taken)| taken.as_secs_f64() * 1e3).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }

    /// In a line, with the latencies of those that were to be sent at such times.
    pub(super) fn shown(&self, counts: impl Fn(Duration) -> bool) -> String {
        let sorted = self.sorted(counts);
        let at = |share: f64| at(share, &sorted);
        let Self { gets, posts, why, ways, .. } = self;
        format!(
            "GET {} of {} failed ({why}), POST {} of {} ({ways:?}), p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms of {}",
            gets.failed,
            gets.all,
            posts.failed,
            posts.all,
            at(0.5),
            at(0.99),
            at(0.999),
            sorted.len()
        )
    }
}

fn at(share: f64, sorted: &[f64]) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// So many requests a second for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) rate: u32,
    pub(super) time: Duration,
}

impl Load {
    /// Each client has a connection of its own and sends so seldom that one slow answer delays no other request.
    pub(super) async fn run(self, address: SocketAddr, begin: Instant) -> Outcome {
        let Self { rate, time } = self;
        let clients = (rate / 2).max(100).min(rate);
        let between = Duration::from_secs(1) * clients / rate;
        let mut all = JoinSet::new();
        for client in 0..clients {
            let first = begin + between * client / clients;
            all.spawn(client_for(address, (begin, first), between, begin + time));
        }
        let mut outcome = Outcome::default();
        while let Some(one) = all.join_next().await {
            outcome.add(one.unwrap());
        }
        outcome
    }
}

async fn client_for(
    address: SocketAddr,
    (begin, first): (Instant, Instant),
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
            outcome.latencies.push((due - begin, due.elapsed()));
        }
        if let Err(why) = result {
            counts.failed += 1;
            connection = None;
            if is_post {
                outcome.lost.push(id);
                *outcome.ways.entry(why).or_default() += 1;
            } else if outcome.why.is_empty() {
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
