//! One worker: a thread, a runtime, and everything that is not shared.
//!
//! Owns its accept queues and its connections from accept to protocol. Commands from the control
//! thread come over a channel; nothing else crosses.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::accepting::Accepting;
use super::connection::ClientConnection;
use super::drain::Drain;
use super::memory::{Memory, keep_giving_back};
use super::sniff::sniff;
use super::{Transport, http1, http2};
use crate::chain::Endings;
use crate::conn::{ListenerKey, ListenerState};
use crate::connection_slots::{ConnectionSlot, Protocol};
use crate::exchange::{Application, WorkerState};
use crate::share::Share;
use crate::snapshot::{Shared, Snapshot};
use crate::tcp::{Socket, run_flusher};
use crate::telemetry::metrics::Metrics;
use crate::timer::Timers;
use crate::tls::{HandshakeFailure, take_refused};
use crate::upstream::SetupError;
use crate::usage::{Cells, Usage};

/// How long a connection may take to its first byte while its listener ends.
const BACK_OFF: Duration = Duration::from_millis(100);

/// For how long `on-complete` of the last exchanges may take when the worker ends.
const LAST_REPORTS: Duration = Duration::from_secs(1);

/// The commands of the control thread to a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Build all that this configuration needs, and answer whether it can be put in force. Until that is known, a
    /// worker that leaves does not end.
    Prepare(Arc<Shared>, Answer<Result<(), SetupError>>),
    /// Put what was prepared in force: new requests see it. Cannot fail.
    Commit(Part, Answer<()>),
    /// Forget what was prepared: another worker cannot take it.
    Discard,
    /// Finish, within this time; a second one may make it less.
    Drain(Duration),
}

/// Which of the sockets of a listener: each worker has one of its own, or more where there were more workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketKey {
    pub(crate) listener: ListenerKey,
    pub(crate) number: usize,
}

/// A socket that a worker accepts from.
pub(crate) type OpenSocket = (SocketKey, StdListener);

/// What changes for one worker with a configuration, besides what is in it.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// It accepts from these too.
    pub(crate) opens: Vec<OpenSocket>,
    /// It accepts from these no more, and another worker does. Those of a listener that is gone are none of them.
    pub(crate) closes: Vec<SocketKey>,
    /// It accepts nothing more, and ends with its last connection.
    pub(crate) leaves: bool,
}

/// How a worker begins.
#[derive(Debug)]
pub(crate) enum Begins {
    /// It accepts from these at once, and drops its part of the channel when it does.
    With(Vec<OpenSocket>, Beginning),
    /// It says whether it can take its configuration, and accepts from what comes with
    /// [`Commit`](Command::Commit).
    Told(Answer<Result<(), SetupError>>),
}

/// Held by workers that do not accept connections yet. Nothing is sent.
pub(crate) type Beginning = mpsc::Sender<Infallible>;

/// Where a worker answers, with its index.
pub(crate) type Answer<T> = std::sync::mpsc::Sender<(usize, T)>;

/// What a worker thread is started with.
#[derive(Debug)]
pub(crate) struct WorkerInit {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) begins: Begins,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) usage: Arc<Usage>,
}

/// What the connections of a worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) state: Rc<WorkerState>,
    pub(super) memory: Rc<Memory>,
    /// Who computes next.
    share: Rc<Share>,
    /// Those of the configuration in force.
    listeners: RefCell<Vec<Rc<Accepting>>>,
    /// Those that are gone and have connections.
    leaving: RefCell<Vec<Rc<Accepting>>>,
}

/// Runs the worker until it has drained.
///
/// # Errors
/// When the system gives no runtime or refuses a socket.
pub(crate) fn run(init: WorkerInit, application: impl Application) -> io::Result<()> {
    let (index, metrics) = (init.index, Arc::clone(&init.metrics));
    metrics.is_worker(index);
    let ran = run_here(init, application);
    metrics.worker_ended(index);
    ran
}

fn run_here(init: WorkerInit, application: impl Application) -> io::Result<()> {
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
    let (snapshot, begins) = (Snapshot::new(&init.shared, &timers, &share, None), init.begins);
    // The first configuration ends with its last request, as all others do, and not with the worker.
    drop(init.shared);
    let (snapshot, sockets, beginning) = match (snapshot, begins) {
        (snapshot, Begins::With(sockets, beginning)) => {
            (snapshot.map_err(io::Error::other)?, sockets, Some(beginning))
        }
        (Ok(snapshot), Begins::Told(answer)) => {
            let _given_up = answer.send((init.index, Ok(())));
            (snapshot, Vec::new(), None)
        }
        (Err(refused), Begins::Told(answer)) => {
            let _given_up = answer.send((init.index, Err(refused)));
            return Ok(());
        }
    };
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
        memory: Rc::default(),
        listeners: RefCell::default(),
        leaving: RefCell::default(),
    });
    let memory = keep_giving_back(Rc::clone(&worker.memory), worker.state.timers.clone());
    tokio::task::spawn_local(memory);
    for (key, socket) in sockets {
        worker.open(application, key, socket)?;
    }
    drop(beginning);
    tracing::debug!(worker = init.index, "worker started");
    run_commands(application, &worker, init.index, init.commands).await;
    worker.state.drains.close();
    // What is still there is cut off, and not left by its client.
    worker.all().iter().for_each(|it| it.drain.cut());
    let _those_that_wait = tokio::time::timeout(LAST_REPORTS, endings.reported()).await;
    Ok(())
}

impl Worker {
    /// Begins to accept the connections of a listener from one of its sockets.
    fn open<A: Application>(
        self: &Rc<Self>,
        application: A,
        key: SocketKey,
        socket: StdListener,
    ) -> io::Result<()> {
        let accepting = self.listener(key.listener).unwrap_or_else(|| {
            let accepting = Rc::new(Accepting::new(key.listener));
            self.listeners.borrow_mut().push(Rc::clone(&accepting));
            accepting
        });
        accepting.open(application, self, key.number, socket)
    }

    fn listener(&self, key: ListenerKey) -> Option<Rc<Accepting>> {
        self.listeners.borrow().iter().find(|it| it.key == key).cloned()
    }

    /// Its part of a configuration that is in force: which sockets it accepts from, and whether it leaves.
    fn takes<A: Application>(self: &Rc<Self>, application: A, part: Part) {
        self.all().iter().for_each(|it| it.drain.leave(part.leaves));
        for key in part.closes {
            self.listener(key.listener).inspect(|it| it.close(key.number));
        }
        for (key, socket) in part.opens {
            if let Err(error) = self.open(application, key, socket) {
                tracing::error!(%error, "a listener cannot be served by a worker");
            }
        }
    }

    /// Ends when there is neither a connection nor anything that is read for a client that has left.
    async fn emptied(&self) {
        for listener in &self.all() {
            listener.drain.emptied().await;
        }
        self.state.drains.ended().await;
    }

    /// Puts a configuration in force: listeners that it does not have finish.
    fn put_in_force(self: &Rc<Self>, next: Snapshot) {
        let grace = next.config.process.shutdown_grace;
        let is_gone = |it: &mut Rc<Accepting>| next.listener_of(it.key).is_none();
        let gone: Vec<_> = self.listeners.borrow_mut().extract_if(.., is_gone).collect();
        gone.iter().for_each(|it| self.state.retire(it.key));
        self.state.put_in_force(next);
        for accepting in gone {
            self.leaving.borrow_mut().push(Rc::clone(&accepting));
            tokio::task::spawn_local(Rc::clone(self).leave(accepting, grace));
        }
    }

    /// Ends a listener.
    async fn leave(self: Rc<Self>, listener: Rc<Accepting>, grace: Duration) {
        listener.drain.start();
        if tokio::time::timeout(grace, listener.drain.emptied()).await.is_err() {
            tracing::warn!(
                "connections of a listener that is gone were cut at the end of the grace time"
            );
            listener.drain.abort();
            listener.drain.emptied().await;
        }
        self.leaving.borrow_mut().retain(|it| it.key != listener.key);
        self.state.forget(listener.key);
    }

    /// All listeners, those that are gone too.
    fn all(&self) -> Vec<Rc<Accepting>> {
        self.listeners.borrow().iter().chain(&*self.leaving.borrow()).cloned().collect()
    }
}

async fn run_commands<A: Application>(
    application: A,
    worker: &Rc<Worker>,
    index: usize,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let (mut prepared, mut leaves) = (None, false);
    loop {
        let command = tokio::select! {
            biased;
            command = commands.recv() => command,
            () = worker.emptied(), if leaves && prepared.is_none() => None,
        };
        let Some(command) = command else { return };
        match command {
            Command::Prepare(shared, answer) => {
                let (before, timers) = (worker.state.snapshot(), &worker.state.timers);
                let next = Snapshot::new(&shared, timers, &worker.share, Some(&before));
                let outcome = next.map(|next| prepared = Some(next));
                let _given_up = answer.send((index, outcome));
            }
            Command::Commit(part, answer) => {
                if let Some(next) = prepared.take() {
                    worker.put_in_force(next);
                }
                leaves = part.leaves;
                worker.takes(application, part);
                let _given_up = answer.send((index, ()));
            }
            Command::Discard => prepared = None,
            Command::Drain(grace) => return drain(worker, grace, commands).await,
        }
    }
}

/// Lets open exchanges finish, those whose clients have left too, for no longer than the last command allows.
async fn drain(
    worker: &Rc<Worker>,
    grace: Duration,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let all = worker.all();
    all.iter().for_each(|it| it.drain.start());
    let mut emptied = pin!(async {
        for listener in &all {
            listener.drain.emptied().await;
        }
        worker.state.drains.ended().await;
    });
    let mut until = tokio::time::Instant::now() + grace;
    loop {
        tokio::select! {
            () = emptied.as_mut() => return,
            () = tokio::time::sleep_until(until) => {
                tracing::warn!("connections were cut at the end of the grace time");
                return;
            }
            Some(command) = commands.recv() => {
                if let Command::Drain(grace) = command {
                    until = until.min(tokio::time::Instant::now() + grace);
                }
            }
        }
    }
}

/// Serves a connection that was accepted.
pub(super) async fn connect<A: Application>(
    application: A,
    worker: Rc<Worker>,
    (listener, drain): (Rc<ListenerState>, Rc<Drain>),
    (stream, peer): (TcpStream, SocketAddr),
    slot: &ConnectionSlot,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let connection = Rc::new(ClientConnection::new(worker, listener, drain, peer, local));
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
    if connection.drain.is_draining() {
        tokio::time::sleep(BACK_OFF).await;
    } else {
        connection.drain.started().await;
    }
}
