//! One worker: a thread, a runtime, and everything that is not shared.
//!
//! Owns its accept queues and its connections from accept to protocol. Commands from the control
//! thread come over a channel; nothing else crosses.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::connection::Connection;
use super::drain::Drain;
use super::memory::{Memory, keep_giving_back};
use super::sniff::sniff;
use super::{Transport, http1, http2};
use crate::chain::{self, Ended};
use crate::config::ListenerId;
use crate::proxy::RequestIds;
use crate::snapshot::{ListenerState, Shared, Snapshot};
use crate::tcp::{Socket, run_flusher};
use crate::timer::Timers;
use crate::upstream::SetupError;

/// How long to wait when the process has no descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What the control thread tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// New requests see this configuration.
    Reload(Arc<Shared>),
    /// Finish, within this time.
    Drain(Duration),
}

/// What a thread is started with.
#[derive(Debug)]
pub(crate) struct Seed {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// One for each listener of the configuration.
    pub(crate) sockets: Vec<StdListener>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
}

/// The state of a worker, shared by all that runs on its thread.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) timers: Timers,
    pub(crate) ids: RequestIds,
    pub(crate) drain: Rc<Drain>,
    pub(crate) memory: Rc<Memory>,
    /// Exchanges that ended and whose plugins may wait when they are told.
    pub(crate) endings: mpsc::UnboundedSender<Ended>,
    snapshot: RefCell<Rc<Snapshot>>,
}

impl Worker {
    /// The configuration that is in force now.
    pub(crate) fn snapshot(&self) -> Rc<Snapshot> {
        Rc::clone(&self.snapshot.borrow())
    }
}

/// Runs the worker until it has drained.
///
/// # Errors
/// When the system gives no runtime or refuses a socket.
pub(crate) fn run(seed: Seed) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(seed))
}

async fn serve(seed: Seed) -> io::Result<()> {
    tokio::task::spawn_local(run_flusher());
    let timers = Timers::new();
    let snapshot = Snapshot::new(&seed.shared, &timers, None).map_err(io::Error::other)?;
    let (endings, ended) = mpsc::unbounded_channel();
    tokio::task::spawn_local(tell_plugins(ended));
    let worker = Rc::new(Worker {
        timers,
        endings,
        ids: RequestIds::new(),
        drain: Rc::default(),
        memory: Rc::default(),
        snapshot: RefCell::new(Rc::new(snapshot)),
    });
    let memory = keep_giving_back(Rc::clone(&worker.memory), worker.timers.clone());
    tokio::task::spawn_local(memory);
    for (index, socket) in seed.sockets.into_iter().enumerate() {
        let listener = TcpListener::from_std(socket)?;
        tokio::task::spawn_local(accept(Rc::clone(&worker), listener, ListenerId(index)));
    }
    tracing::debug!(worker = seed.index, "worker started");
    obey(&worker, seed.commands).await;
    Ok(())
}

/// Tells plugins of exchanges that ended, one after the other.
async fn tell_plugins(mut ended: mpsc::UnboundedReceiver<Ended>) {
    while let Some(ended) = ended.recv().await {
        chain::on_complete(&ended).await;
    }
}

async fn obey(worker: &Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Reload(shared) => {
                if let Err(error) = reload(worker, &shared) {
                    tracing::error!(%error, "the worker keeps its configuration");
                }
            }
            Command::Drain(grace) => {
                worker.drain.start();
                tokio::select! {
                    () = worker.drain.emptied() => {}
                    () = tokio::time::sleep(grace) => {
                        tracing::warn!("connections were cut at the end of the grace time");
                    }
                }
                return;
            }
        }
    }
}

fn reload(worker: &Worker, shared: &Arc<Shared>) -> Result<(), SetupError> {
    let next = Snapshot::new(shared, &worker.timers, Some(&worker.snapshot()))?;
    worker.snapshot.replace(Rc::new(next));
    Ok(())
}

async fn accept(worker: Rc<Worker>, listener: TcpListener, id: ListenerId) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = worker.drain.started() => return take_queued(&worker, &listener, id).await,
        };
        match accepted {
            Ok((stream, peer)) => welcome(&worker, stream, peer, id),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, listener = id.0, "cannot accept connections");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Connections that the kernel has already agreed to are served once more before the socket
/// closes; a client would see a reset otherwise.
async fn take_queued(worker: &Rc<Worker>, listener: &TcpListener, id: ListenerId) {
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => welcome(worker, stream, peer, id),
                Err(_) => return,
            },
            () = std::future::ready(()) => return,
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn welcome(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, id: ListenerId) {
    let listener = Rc::clone(worker.snapshot.borrow().listener(id));
    let open = worker.drain.enter();
    let worker = Rc::clone(worker);
    let memory = Rc::clone(&worker.memory);
    tokio::task::spawn_local(async move {
        let _open = open;
        if let Err(error) = connect(worker, listener, stream, peer).await {
            tracing::debug!(%error, %peer, "connection ended before its first request");
        }
        memory.was_freed();
    });
}

async fn connect(
    worker: Rc<Worker>,
    listener: Rc<ListenerState>,
    stream: TcpStream,
    peer: SocketAddr,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let connection = Rc::new(Connection::new(worker, listener, peer, local));
    // Boxed, as all is that a connection at rest does without: its task would keep room for it.
    let Some(begun) = Box::pin(begin(&connection, stream)).await? else {
        return Ok(());
    };
    if begun.is_http2 {
        Box::pin(http2::serve(begun.transport, begun.replay, connection)).await;
    } else {
        http1::serve(begun.transport, begun.replay, connection).await;
    }
    Ok(())
}

/// A connection whose protocol is known.
struct Begun {
    transport: Transport,
    is_http2: bool,
    replay: Bytes,
}

/// TLS and the choice of a protocol. `None` if the client left without a word, or the gateway
/// ends before it said one.
async fn begin(connection: &Rc<Connection>, stream: TcpStream) -> io::Result<Option<Begun>> {
    let timers = &connection.worker.timers;
    let Some(tls) = &connection.listener.tls else {
        let mut transport = Transport::Tcp(Socket::new(stream));
        let sniffed = tokio::select! {
            sniffed = sniff(&mut transport) => sniffed?,
            () = timers.after(connection.timeouts().keep_alive) => None,
            () = until_draining(connection) => None,
        };
        return Ok(sniffed.map(|sniffed| Begun {
            transport,
            is_http2: sniffed.is_http2,
            replay: sniffed.bytes,
        }));
    };
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(Socket::new(stream));
    let stream = tokio::select! {
        stream = handshake => stream?,
        () = timers.after(connection.timeouts().header) => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "TLS handshake"));
        }
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let transport = Transport::Tls(Box::new(stream));
    Ok(Some(Begun { transport, is_http2, replay: Bytes::new() }))
}

/// A connection that was just accepted is given a moment even while the gateway drains.
async fn until_draining(connection: &Connection) {
    if connection.worker.drain.is_draining() {
        tokio::time::sleep(BACK_OFF).await;
    } else {
        connection.worker.drain.started().await;
    }
}
