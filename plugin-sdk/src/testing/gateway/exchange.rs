//! A request on its way through the gateway, and its answer on the way back.

use std::io::{self, BufReader};
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::testing::both::HostExchange;
use crate::testing::gateway::Gateway;
use crate::testing::gateway::http1::{self, Framing};
use crate::testing::gateway::upstream::{Arrivals, Event, lock};
use crate::testing::host::ResponseState;
use crate::testing::message::{Answer, RequestBuilder, ResponseBuilder, SentRequest};
use crate::wire::Field;

/// How long anything may take before a test fails for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An exchange that was sent through a [`Gateway`].
pub struct GatewayExchange<'a> {
    /// It runs until the exchange is over.
    _gateway: PhantomData<&'a Gateway>,
    events: Receiver<Event>,
    state: Option<SentRequest>,
    answer: Option<Answer>,
    /// Waits for the upstream's response.
    answering: Option<Sender<ResponseBuilder>>,
}

impl GatewayExchange<'_> {
    /// Sends a request, and follows it up to the upstream or to the answer. The caller sees to it
    /// that exchanges take turns with this.
    pub(super) fn begin(address: SocketAddr, arrivals: &Arrivals, request: RequestBuilder) -> Self {
        let (sender, events) = channel();
        *lock(&arrivals.waiting) = Some(sender.clone());
        thread::spawn(move || {
            let answered = TcpStream::connect(address).and_then(|stream| send(&stream, &request));
            // Nobody listens once the test is done with the exchange.
            let _done = sender.send(Event::Answered(answered));
        });
        let mut exchange =
            Self { _gateway: PhantomData, events, state: None, answer: None, answering: None };
        exchange.follow();
        *lock(&arrivals.waiting) = None;
        exchange
    }

    /// The request as the upstream got it.
    ///
    /// # Panics
    /// If it was answered before.
    pub fn request(&self) -> &SentRequest {
        let answer = self.answer.as_ref();
        self.state.as_ref().unwrap_or_else(|| panic!("the upstream got no request: {answer:?}"))
    }

    /// What the client got, once it did.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// Lets the upstream answer. Returns what the client gets.
    ///
    /// # Panics
    /// If the upstream has no request of this exchange to answer, or the client gets no whole
    /// answer; see [`try_response`](Self::try_response).
    pub fn response(&mut self, response: ResponseBuilder) -> &Answer {
        self.try_response(response).unwrap_or_else(|error| panic!("no whole answer: {error}"))
    }

    /// Lets the upstream answer. Returns what the client gets, if that is whole.
    ///
    /// # Errors
    /// If the answer was cut off.
    ///
    /// # Panics
    /// If the upstream has no request of this exchange to answer.
    pub fn try_response(&mut self, response: ResponseBuilder) -> io::Result<&Answer> {
        let answering = self.answering.take();
        let answering = answering.unwrap_or_else(|| panic!("no upstream waits: {:?}", self.answer));
        answering.send(response).map_err(io::Error::other)?;
        match self.next() {
            Event::Answered(answered) => Ok(self.answer.insert(answer(answered?))),
            Event::Arrived(..) => panic!("the upstream got the request a second time"),
        }
    }

    /// Up to the upstream, or to the answer.
    fn follow(&mut self) {
        match self.next() {
            Event::Arrived(request, answering) => {
                self.state = Some(request);
                self.answering = Some(answering);
            }
            Event::Answered(answered) => match answered {
                Ok(message) => self.answer = Some(answer(message)),
                Err(error) => panic!("the gateway gave no whole answer: {error}"),
            },
        }
    }

    fn next(&self) -> Event {
        match self.events.recv_timeout(PATIENCE) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => panic!("nothing came within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the client ended without a word"),
        }
    }
}

fn answer(message: http1::Message) -> Answer {
    let http1::Message { status, fields, body, .. } = message;
    Answer { head: ResponseState { status, fields }, body }
}

/// Sends a request over its own connection, and waits for the answer.
fn send(stream: &TcpStream, request: &RequestBuilder) -> io::Result<http1::Message> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = &request.head;
    let target = match &head.query {
        Some(query) => format!("{}?{query}", head.path),
        None => head.path.clone(),
    };
    let mut fields = head.fields.clone();
    if !fields.iter().any(|field| field.name == "host") {
        fields.insert(0, Field { name: "host".to_owned(), value: b"localhost".to_vec() });
    }
    fields.push(Field { name: "connection".to_owned(), value: b"close".to_vec() });
    let chunks = &request.chunks;
    let framing = if chunks.is_empty() { Framing::None } else { Framing::of(chunks) };
    let line = format!("{} {target} HTTP/1.1", head.method);
    thread::scope(|scope| {
        scope.spawn(|| {
            // An answer may come before the end of a long body, which is then not read.
            let _not_read = http1::write(&mut { stream }, &line, &fields, chunks, framing);
        });
        http1::read_response(&mut BufReader::new(stream), head.method == "HEAD")
    })
}

impl HostExchange for GatewayExchange<'_> {
    fn request(&self) -> &SentRequest {
        Self::request(self)
    }

    fn answer(&self) -> Option<&Answer> {
        Self::answer(self)
    }

    fn response(&mut self, response: ResponseBuilder) -> &Answer {
        Self::response(self, response)
    }
}
