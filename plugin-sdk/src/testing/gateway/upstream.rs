//! Upstreams behind a gateway of a test. What the plugin sends by itself is answered as was
//! granted; what an exchange sends waits for the answer that the test gives.

use std::io::{self, BufReader, BufWriter, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::http_client::{HttpError, Request};
use crate::testing::both::Answering;
use crate::testing::calls::Call;
use crate::testing::gateway::http1::{self, Framing, Message};
use crate::testing::host::RequestState;
use crate::testing::message::{ResponseBuilder, SentRequest};
use crate::wire::Field;

/// What the upstreams of one gateway have in common.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Who waits for the request of an exchange. Exchanges take turns up to there.
    pub(super) waiting: Mutex<Option<Sender<Event>>>,
    pub(super) calls: Mutex<Vec<Call>>,
}

/// What becomes of a request that was sent to the gateway.
pub(super) enum Event {
    /// It came to an upstream, which answers when the test says how.
    Arrived(SentRequest, Sender<ResponseBuilder>),
    /// The client got an answer, or none that is whole.
    Answered(io::Result<Message>),
}

/// Listens for the gateway until the process ends. An upstream with a name is a granted one.
pub(super) fn listen(
    arrivals: &Arc<Arrivals>,
    granted: Option<(String, Answering)>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let upstream = Arc::new(Upstream { arrivals: Arc::clone(arrivals), granted });
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let upstream = Arc::clone(&upstream);
            thread::spawn(move || {
                // The gateway closes when it likes, and sees for itself where this side fails.
                let _closed = upstream.serve(&stream);
            });
        }
    });
    Ok(address)
}

struct Upstream {
    arrivals: Arc<Arrivals>,
    granted: Option<(String, Answering)>,
}

impl Upstream {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let (mut reader, mut writer) = (BufReader::new(stream), BufWriter::new(stream));
        while let Some(message) = http1::read_request(&mut reader)? {
            let (method, target) = message.request.clone().unwrap_or_default();
            let ResponseBuilder { head, chunks, .. } = match self.answer(&method, &target, message)
            {
                Some(Ok(response)) => response,
                // With a byte: otherwise the gateway would try once more.
                Some(Err(error)) => return write!(writer, "no HTTP: {error}\r\n\r\n"),
                None => return Ok(()),
            };
            let has_body = head.status >= 200 && head.status != 204 && head.status != 304;
            let framing = if has_body { Framing::of(&chunks) } else { Framing::None };
            let chunks = if method == "HEAD" { Vec::new() } else { chunks };
            let line = format!("HTTP/1.1 {} -", head.status);
            http1::write(&mut writer, &line, &head.fields, &chunks, framing)?;
        }
        Ok(())
    }

    /// `None` where the connection is to end without an answer.
    fn answer(
        &self,
        method: &str,
        target: &str,
        message: Message,
    ) -> Option<Result<ResponseBuilder, HttpError>> {
        let method = method.to_owned();
        let Message { fields, body, .. } = message;
        // The gateway names itself in what it passes on, and not in what its plugins send.
        let is_passed_on = fields.iter().any(|field| field.name == "via");
        if let Some((name, answer)) = self.granted.as_ref().filter(|_| !is_passed_on) {
            let call = call(name, method, target, fields, body);
            lock(&self.arrivals.calls).push(call.clone());
            return Some(answer(&call));
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let head = RequestState { method, path: path.to_owned(), query, fields };
        let upstream = self.granted.as_ref().map(|(name, _)| name.clone());
        let (answer, answered): (_, Receiver<ResponseBuilder>) = channel();
        let waiting = lock(&self.arrivals.waiting).clone()?;
        waiting.send(Event::Arrived(SentRequest { head, upstream, body }, answer)).ok()?;
        // Nothing comes if the test is done with the exchange.
        answered.recv().ok().map(Ok)
    }
}

fn call(upstream: &str, method: String, target: &str, fields: Vec<Field>, body: Vec<u8>) -> Call {
    Call::new(Request {
        upstream: upstream.to_owned(),
        method,
        target: target.to_owned(),
        fields,
        body,
        timeout: None,
        response_limit: None,
    })
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
