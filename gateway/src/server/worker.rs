//! One worker: a thread, a runtime, and everything that is not shared.
//!
//! Owns its accept queues and its connections from accept to protocol. Commands from the control
//! thread come over a channel; nothing else crosses.

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

use super::connection::ClientConnection;
use super::drain::Drain;
use super::memory::{Memory, keep_giving_back};
use super::sniff::sniff;
use super::{Transport, http1, http2};
use crate::chain::Endings;
use crate::config::ListenerId;
use crate::conn::ListenerState;
use crate::connection_slots::{ConnectionSlot, ConnectionSlots, Protocol};
use crate::exchange::{Application, WorkerState};
use crate::share::Share;
use crate::snapshot::{Shared, Snapshot};
use crate::tcp::{Socket, run_flusher};
use crate::telemetry::metrics::Metrics;
use crate::timer::Timers;
use crate::tls::{HandshakeFailure, take_refused};
use crate::upstream::SetupError;
use crate::usage::{Cells, Usage};

/// How long to wait when the process has no descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// For how long `on-complete` of the last exchanges may take when the worker ends.
const LAST_REPORTS: Duration = Duration::from_secs(1);

/// The commands of the control thread to a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Build all that this configuration needs, and answer whether it can be put in force.
    Prepare(Arc<Shared>, Answer<Result<(), SetupError>>),
    /// Put what was prepared in force: new requests see it. Cannot fail.
    Commit(Answer<()>),
    /// Forget what was prepared: another worker cannot take it.
    Discard,
    /// Finish, within this time.
    Drain(Duration),
}

/// Where a worker answers, with its index.
pub(crate) type Answer<T> = std::sync::mpsc::Sender<(usize, T)>;

/// What a worker thread is started with.
#[derive(Debug)]
pub(crate) struct WorkerInit {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// One for each listener of the configuration.
    pub(crate) sockets: Vec<StdListener>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    /// One for each listener; all workers have the same.
    pub(crate) slots: Vec<Arc<ConnectionSlots>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) usage: Arc<Usage>,
}

/// What the connections of a worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) state: Rc<WorkerState>,
    pub(super) drain: Rc<Drain>,
    pub(super) memory: Rc<Memory>,
    /// Who computes next.
    share: Rc<Share>,
    slots: Vec<Arc<ConnectionSlots>>,
}

/// Runs the worker until it has drained.
///
/// # Errors
/// When the system gives no runtime or refuses a socket.
pub(crate) fn run(init: WorkerInit, application: impl Application) -> io::Result<()> {
    init.metrics.is_worker(init.index);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tasks, endings) = (LocalSet::new(), Endings::default());
    let usage = Cells::new(&init.usage);
    let served = serve(init, application, endings.clone(), Rc::clone(&usage));
    let served = tasks.block_on(&runtime, served);
    // Connections that were cut at the end of the grace time end here, and their exchanges with
    // them.
    drop(tasks);
    let reported = async { tokio::time::timeout(LAST_REPORTS, endings.finish()).await };
    if LocalSet::new().block_on(&runtime, reported).is_err() {
        tracing::warn!("`on-complete` of the last exchanges took too long and was cancelled");
    }
    usage.hand_over(true);
    // A name that is being looked up keeps its thread for as long as the system likes: nobody
    // waits for it any more.
    runtime.shutdown_background();
    served
}

async fn serve<A: Application>(
    init: WorkerInit,
    application: A,
    endings: Endings,
    usage: Rc<Cells>,
) -> io::Result<()> {
    tokio::task::spawn_local(run_flusher());
    let (timers, share) = (Timers::new(), Rc::new(Share::default()));
    tokio::task::spawn_local(Rc::clone(&share).run());
    let snapshot = Snapshot::new(&init.shared, &timers, &share, None).map_err(io::Error::other)?;
    // The first configuration ends with its last request, as all others do, and not with the worker.
    drop(init.shared);
    tokio::task::spawn_local(endings.clone().report());
    tokio::task::spawn_local(Rc::clone(&usage).keep_handing_over());
    let worker = Rc::new(Worker {
        state: Rc::new(WorkerState::new(
            init.index,
            timers,
            snapshot,
            application.observers(&endings, &usage),
        )),
        share,
        drain: Rc::default(),
        memory: Rc::default(),
        slots: init.slots,
    });
    let memory = keep_giving_back(Rc::clone(&worker.memory), worker.state.timers.clone());
    tokio::task::spawn_local(memory);
    for (index, socket) in init.sockets.into_iter().enumerate() {
        let listener = TcpListener::from_std(socket)?;
        tokio::task::spawn_local(accept(
            application,
            Rc::clone(&worker),
            listener,
            ListenerId(index),
        ));
    }
    tracing::debug!(worker = init.index, "worker started");
    run_commands(&worker, init.index, init.commands).await;
    // What is still there is cut off, and not left by its client.
    worker.drain.cut();
    let _those_that_wait = tokio::time::timeout(LAST_REPORTS, endings.reported()).await;
    Ok(())
}

async fn run_commands(
    worker: &Rc<Worker>,
    index: usize,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let mut prepared = None;
    while let Some(command) = commands.recv().await {
        match command {
            Command::Prepare(shared, answer) => {
                let (before, timers) = (worker.state.snapshot(), &worker.state.timers);
                let next = Snapshot::new(&shared, timers, &worker.share, Some(&before));
                let outcome = next.map(|next| prepared = Some(next));
                let _given_up = answer.send((index, outcome));
            }
            Command::Commit(answer) => {
                if let Some(next) = prepared.take() {
                    worker.state.put_in_force(next);
                }
                let _given_up = answer.send((index, ()));
            }
            Command::Discard => prepared = None,
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

async fn accept<A: Application>(
    application: A,
    worker: Rc<Worker>,
    listener: TcpListener,
    id: ListenerId,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = worker.drain.started() => {
                return take_queued(application, &worker, &listener, id).await;
            }
        };
        match accepted {
            Ok((stream, peer)) => spawn_connection(application, &worker, stream, peer, id),
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
async fn take_queued<A: Application>(
    application: A,
    worker: &Rc<Worker>,
    listener: &TcpListener,
    id: ListenerId,
) {
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => spawn_connection(application, worker, stream, peer, id),
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

fn spawn_connection<A: Application>(
    application: A,
    worker: &Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    id: ListenerId,
) {
    let listener = Rc::clone(worker.state.snapshot().listener(id));
    let address = peer.ip().to_canonical();
    let slot = worker.slots[id.0].take(&listener.config.limits, address, listener.trusts(address));
    let Some(slot) = slot else { return };
    let open = worker.drain.enter();
    let worker = Rc::clone(worker);
    let memory = Rc::clone(&worker.memory);
    tokio::task::spawn_local(async move {
        let _open = open;
        let ends = (stream, peer);
        if let Err(error) = connect(application, worker, listener, ends, &slot).await {
            tracing::debug!(%error, %peer, "connection ended before its first request");
        }
        memory.was_freed();
    });
}

async fn connect<A: Application>(
    application: A,
    worker: Rc<Worker>,
    listener: Rc<ListenerState>,
    (stream, peer): (TcpStream, SocketAddr),
    slot: &ConnectionSlot,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let connection = Rc::new(ClientConnection::new(worker, listener, peer, local));
    // Boxed, as all is that a connection at rest does without: its task would keep room for it.
    let Some(begun) = Box::pin(begin(&connection, stream, slot)).await? else {
        return Ok(());
    };
    slot.speaks(if begun.is_http2 { Protocol::Http2 } else { Protocol::Http1 });
    if begun.is_http2 {
        Box::pin(http2::serve(application, begun.transport, begun.replay, connection)).await;
    } else {
        http1::serve(application, begun.transport, begun.replay, connection).await;
    }
    Ok(())
}

/// A connection whose protocol is known.
struct Begun {
    transport: Transport,
    is_http2: bool,
    replay: Bytes,
}

/// TLS and the choice of a protocol. `None` if the client left without sending anything, or the gateway
/// ends before it said one.
async fn begin(
    connection: &Rc<ClientConnection>,
    stream: TcpStream,
    slot: &ConnectionSlot,
) -> io::Result<Option<Begun>> {
    let timers = &connection.worker.state.timers;
    let Some(tls) = &connection.facts.listener.tls else {
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
    slot.handshake_begins();
    let handshake = TlsAcceptor::from(Arc::clone(&tls.config)).accept(Socket::new(stream));
    let stream = tokio::select! {
        stream = handshake => stream,
        () = timers.after(connection.timeouts().header) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "TLS handshake"))
        }
    };
    let checked = stream.and_then(|stream| {
        let client = tls.client(stream.get_ref().1).map_err(io::Error::other)?;
        Ok((stream, client))
    });
    let (stream, client) = checked.inspect_err(|error| {
        let peer = connection.facts.peer_address;
        slot.handshake_failed(HandshakeFailure::from(error), peer, take_refused(), error);
    })?;
    if let Some(client) = client {
        let _is_the_first = connection.facts.client_tls.set(client);
    }
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let transport = Transport::Tls(Box::new(stream));
    Ok(Some(Begun { transport, is_http2, replay: Bytes::new() }))
}

/// A connection that was just accepted is given a moment even while the gateway drains.
async fn until_draining(connection: &ClientConnection) {
    if connection.worker.drain.is_draining() {
        tokio::time::sleep(BACK_OFF).await;
    } else {
        connection.worker.drain.started().await;
    }
}
