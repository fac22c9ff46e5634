//! Targets that fail as they are told to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of requests at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Nobody listens, and what was open is closed.
    Killed,
    /// Nothing is answered until it is over.
    Paused,
    /// Connections are reset when a request has come.
    Resets,
    /// Answers take long.
    Slow,
    /// Nobody answers to a new connection, not even by a refusal; what was open is silent.
    BlackHole,
}

const SLOW: Duration = Duration::from_secs(3);

pub(super) struct Target {
    pub(super) address: SocketAddr,
    fault: watch::Sender<Fault>,
    /// How often each `POST` has come.
    posts: Posts,
    task: JoinHandle<()>,
}

type Posts = Arc<Mutex<HashMap<u64, u32>>>;

/// So many, without a fault.
pub(super) async fn start(count: usize) -> Vec<Target> {
    let mut targets = Vec::new();
    let posts = Posts::default();
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let (fault, receiver) = watch::channel(Fault::None);
        let task = tokio::spawn(serve(address, receiver, Arc::clone(&posts)));
        gateway_tests::until(|| std::net::TcpStream::connect(address).is_ok()).await;
        targets.push(Target { address, fault, posts: Arc::clone(&posts), task });
    }
    targets
}

/// How many `POST`s have come to targets more than once.
pub(super) fn processed_twice(targets: &[Target]) -> usize {
    let posts = targets[0].posts.lock().unwrap();
    posts.values().filter(|times| **times > 1).count()
}

/// How many of these `POST`s no target has received.
pub(super) fn never_received(targets: &[Target], ids: &[u64]) -> usize {
    let posts = targets[0].posts.lock().unwrap();
    ids.iter().filter(|id| !posts.contains_key(id)).count()
}

impl Target {
    /// Waits until the fault is there: nobody can connect.
    pub(super) async fn is(&self, fault: Fault) {
        assert_eq!(fault, Fault::BlackHole);
        let (address, patience) = (self.address, Duration::from_millis(50));
        gateway_tests::until(|| std::net::TcpStream::connect_timeout(&address, patience).is_err())
            .await;
    }

    pub(super) fn becomes(&self, fault: Fault) {
        self.fault.send_if_modified(|now| std::mem::replace(now, fault) != fault);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(address: SocketAddr, mut fault: watch::Receiver<Fault>, posts: Posts) {
    // What was open when it became a black hole stays open, and silent.
    let mut silent = Vec::new();
    loop {
        let now = *fault.borrow_and_update();
        match now {
            Fault::Killed => {
                if fault.changed().await.is_err() {
                    return;
                }
            }
            Fault::BlackHole => {
                let hole = BlackHole::at(address).await;
                let changed = fault.changed().await;
                drop(hole);
                silent.clear();
                if changed.is_err() {
                    return;
                }
            }
            _ => {
                let listener = bound(address).await;
                let mut connections = JoinSet::new();
                loop {
                    tokio::select! {
                        accepted = listener.accept() => {
                            let Ok((stream, _)) = accepted else { continue };
                            connections.spawn(answer(stream, fault.clone(), Arc::clone(&posts)));
                        }
                        changed = fault.changed() => {
                            if changed.is_err() {
                                return;
                            }
                            if matches!(*fault.borrow(), Fault::Killed | Fault::BlackHole) {
                                break;
                            }
                        }
                        Some(_) = connections.join_next() => {}
                    }
                }
                if *fault.borrow() == Fault::BlackHole {
                    silent.push(connections);
                }
            }
        }
    }
}

async fn bound(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// A socket whose queue is full: the system drops what asks for a connection.
struct BlackHole {
    _listener: rustix::fd::OwnedFd,
    _queued: JoinSet<Option<TcpStream>>,
}

impl BlackHole {
    async fn at(address: SocketAddr) -> Self {
        let listener = loop {
            let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            sockopt::set_socket_reuseaddr(&listener, true).unwrap();
            match bind(&listener, &address) {
                Ok(()) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        listen(&listener, 0).unwrap();
        let mut queued = JoinSet::new();
        for _ in 0..4 {
            queued.spawn(async move { TcpStream::connect(address).await.ok() });
        }
        Self { _listener: listener, _queued: queued }
    }
}

/// Answers the requests of a connection.
async fn answer(mut stream: TcpStream, mut fault: watch::Receiver<Fault>, posts: Posts) {
    let mut input = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = input.windows(4).position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
            if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&input[..end]).to_ascii_lowercase();
        let body = if head.starts_with("post") { 2 } else { 0 };
        while input.len() < end + body {
            if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        }
        input.drain(..end + body);
        let id = head.lines().find_map(|line| line.strip_prefix("x-id: ")?.trim().parse().ok());
        if let (Some(id), true) = (id, body > 0) {
            *posts.lock().unwrap().entry(id).or_default() += 1;
        }
        loop {
            let now = *fault.borrow_and_update();
            match now {
                Fault::Paused | Fault::BlackHole => {
                    if fault.changed().await.is_err() {
                        return;
                    }
                }
                Fault::Resets => {
                    let _reset = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                    return;
                }
                Fault::Slow => {
                    tokio::time::sleep(SLOW).await;
                    break;
                }
                Fault::None | Fault::Killed => break,
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}
