//! What happened to one exchange, for people who develop plugins.
//!
//! Owns the trace of an exchange: the request as it came, each hook with what it decided, changed
//! and took, and how it ended. Exchanges are traced only where [`Gateway::bind_traced`] was given
//! a receiver; everywhere else a hook costs one look at an `Option` more. Must not decide
//! anything, nor know how a trace is shown.
//!
//! [`Gateway::bind_traced`]: crate::Gateway::bind_traced

mod diff;

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

pub(crate) use diff::{fields, heads};

/// Bytes of a request body that a trace keeps at most: 1 MiB.
pub const MAX_BODY: usize = 1 << 20;

/// Steps that a trace keeps at most; a hook that sees a body chunk by chunk is one step a chunk.
pub const MAX_STEPS: usize = 200;

/// Receives each trace when its exchange has ended and its plugins were called for that. Called on
/// the thread that served it.
pub struct Tracer(Box<dyn Fn(Trace) + Send + Sync>);

impl Tracer {
    /// A receiver that is a function.
    pub fn new(tell: impl Fn(Trace) + Send + Sync + 'static) -> Self {
        Self(Box::new(tell))
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").finish_non_exhaustive()
    }
}

/// One exchange.
#[derive(Debug, Clone)]
pub struct Trace {
    /// As the log and problem documents name it.
    pub request_id: String,
    /// The connection's other end.
    pub peer: SocketAddr,
    /// The listener it came in by.
    pub listener: String,
    /// As it came.
    pub request: Request,
    /// The route, if one was found.
    pub route: Option<String>,
    /// The upstream that answered, if one did.
    pub upstream: Option<String>,
    /// What the client was answered, if it was.
    pub status: Option<StatusCode>,
    /// Whether the client left before it had the whole answer.
    pub left: bool,
    /// Why it failed, with all causes, if it did.
    pub failure: Option<String>,
    /// From the head of the request to the head of the response.
    pub to_head: Option<Duration>,
    /// From the head of the request to the end.
    pub duration: Duration,
    /// Bytes of body that the client was sent.
    pub sent: u64,
    /// What plugins did, in the order in which they did it.
    pub steps: Vec<Step>,
    /// Steps beyond [`MAX_STEPS`].
    pub omitted: usize,
    began: Instant,
}

/// A request as a client sent it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target, in the form in which it was sent.
    pub uri: Uri,
    /// The version.
    pub version: Version,
    /// The fields.
    pub headers: HeaderMap,
    /// Its body, up to [`MAX_BODY`].
    pub body: Vec<u8>,
    /// Bytes of body that were read; more than `body` holds if it was larger than the bound.
    pub read: u64,
    /// Whether the body was read to its end. One that a plugin answers is often not.
    pub is_complete: bool,
}

impl Request {
    /// Whether `body` is all of the body.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_complete && self.read == self.body.len() as u64
    }
}

/// What one plugin did at one moment.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name in the configuration.
    pub plugin: Arc<str>,
    /// The hook, as the interface names it; `every-request` or `every-response` for what the
    /// plugin's interest says of them.
    pub hook: &'static str,
    /// When the hook was called.
    pub began: Instant,
    /// How long the call took, with the way into the sandbox and back.
    pub took: Duration,
    /// Whether an instance had to be made first, since none was free: a part of the time.
    pub is_first: bool,
    /// Whether what is changed was known before, from the plugin's interest or from an earlier hook,
    /// and none is called.
    pub was_noted: bool,
    /// What it meant for the exchange.
    pub decision: Decision,
    /// What is different now.
    pub changes: Vec<Change>,
}

/// What a hook meant for the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It continues; see the changes for whether it does so unchanged.
    Next,
    /// The plugin answered.
    Answered(StatusCode),
    /// The plugin cut a body off, and this is why.
    CutOff(String),
    /// The plugin failed.
    Failed {
        /// How, with a backtrace if it trapped.
        why: String,
        /// Whether the exchange continues without it, since its `on_error` is `open`.
        goes_on: bool,
    },
}

/// One difference that a hook made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A line of a head came.
    Added(HeaderName, HeaderValue),
    /// A line of a head went.
    Removed(HeaderName, HeaderValue),
    /// Another method.
    Method(Method, Method),
    /// Another path or query.
    Target(String, String),
    /// Another status.
    Status(StatusCode, StatusCode),
    /// An attribute has this value now.
    Attribute(String, String),
    /// The request goes to this upstream.
    Upstream(String),
    /// A body, or a chunk of one, of another content: bytes before and after.
    Body(usize, usize),
}

/// A trace that is being written. It is sent when its last writer is dropped.
pub(crate) struct Recording {
    tracer: Arc<Tracer>,
    trace: RefCell<Option<Trace>>,
}

/// The initial values of a recording.
pub(crate) struct RecordingInit<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
}

impl Recording {
    pub(crate) fn begin(tracer: &Arc<Tracer>, init: &RecordingInit<'_>) -> Rc<Self> {
        let request = Request {
            method: init.method.clone(),
            uri: init.uri.clone(),
            version: init.version,
            headers: init.headers.clone(),
            body: Vec::new(),
            read: 0,
            is_complete: false,
        };
        let trace = Trace {
            request_id: init.request_id.to_owned(),
            peer: init.peer,
            listener: init.listener.to_owned(),
            request,
            route: None,
            upstream: None,
            status: None,
            left: false,
            failure: None,
            to_head: None,
            duration: Duration::ZERO,
            sent: 0,
            steps: Vec::new(),
            omitted: 0,
            began: Instant::now(),
        };
        Rc::new(Self { tracer: Arc::clone(tracer), trace: RefCell::new(Some(trace)) })
    }

    /// Writes to the trace.
    pub(crate) fn write(&self, write: impl FnOnce(&mut Trace)) {
        if let Some(trace) = self.trace.borrow_mut().as_mut() {
            write(trace);
        }
    }
}

impl Trace {
    /// The request has no body, or all of it was read.
    pub(crate) fn body_complete(&mut self) {
        self.request.is_complete = true;
    }

    /// A piece of the request's body.
    pub(crate) fn body_piece(&mut self, piece: &[u8]) {
        let request = &mut self.request;
        request.read += piece.len() as u64;
        let room = MAX_BODY.saturating_sub(request.body.len());
        request.body.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    pub(crate) fn step(&mut self, step: Step) {
        if self.steps.len() < MAX_STEPS {
            self.steps.push(step);
        } else {
            self.omitted += 1;
        }
    }

    /// The head of the response is on its way.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.to_head = Some(self.began.elapsed());
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(mut trace) = self.trace.take() {
            trace.duration = trace.began.elapsed();
            (self.tracer.0)(trace);
        }
    }
}
