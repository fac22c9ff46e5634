//! The service behind the gateway, served by tonic. Its code is written by hand: there is no
//! `protoc` in the build.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, BoxStream, Service};
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// Messages are larger than the 4 MiB that a client takes by default.
pub(crate) const LARGE: usize = 8 << 20;

/// What both sides send.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Note {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(uint32, tag = "2")]
    pub(crate) count: u32,
}

pub(crate) fn note(text: &str, count: u32) -> Note {
    Note { text: text.to_owned(), count }
}

/// The service `test.Echo`.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    /// A client left a stream that does not end.
    pub(crate) left: Arc<Notify>,
}

impl Echo {
    /// One note for one note.
    async fn say(request: Request<Note>) -> Result<Response<Note>, Status> {
        let token = request.metadata().get("x-token").cloned();
        let deadline = request.metadata().get("grpc-timeout");
        let deadline = deadline.map(|deadline| deadline.to_str().unwrap().to_owned());
        let note = request.into_inner();
        if note.text == "unknown" {
            let mut status =
                Status::with_details(Code::NotFound, "no such «note»: 100 %", vec![0, 255].into());
            status.metadata_mut().insert("x-reason", MetadataValue::from_static("lost"));
            return Err(status);
        }
        if note.text == "deadline" {
            return Ok(Response::new(Note { text: deadline.unwrap_or_default(), count: 0 }));
        }
        let mut response = Response::new(note);
        if let Some(token) = token {
            response.metadata_mut().insert("x-token", token);
        }
        Ok(response)
    }

    /// As many notes as asked for, and then as told.
    async fn count(
        request: Request<Note>,
        left: Arc<Notify>,
    ) -> Result<Response<BoxStream<Note>>, Status> {
        let Note { text, count } = request.into_inner();
        let notes = stream::iter(0..count).map(|count| Ok(note("tick", count)));
        let end: BoxStream<Note> = match text.as_str() {
            "fail" => Box::pin(stream::iter([Err(Status::data_loss("the tape broke"))])),
            "hang" => {
                Box::pin(stream::unfold(Leaving(left), async |_| std::future::pending().await))
            }
            _ => Box::pin(stream::empty()),
        };
        Ok(Response::new(Box::pin(notes.chain(end))))
    }

    /// How many notes there were.
    async fn gather(request: Request<Streaming<Note>>) -> Result<Response<Note>, Status> {
        let mut notes = request.into_inner();
        let (mut count, mut text) = (0, String::new());
        while let Some(note) = notes.message().await? {
            count += 1;
            text = note.text;
        }
        Ok(Response::new(note(&text, count)))
    }

    /// Each note at once, and one more.
    async fn chat(request: Request<Streaming<Note>>) -> Result<Response<BoxStream<Note>>, Status> {
        let notes = request.into_inner();
        let more = |note: Note| Note { count: note.count + 1, ..note };
        Ok(Response::new(Box::pin(notes.map(move |note| note.map(more)))))
    }
}

/// Tells when it is dropped.
struct Leaving(Arc<Notify>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A method of the service, as tonic calls it.
struct Method<F>(F);

impl<F, R, T, A> Service<Request<R>> for Method<F>
where
    F: FnMut(Request<R>) -> A,
    A: Future<Output = Result<Response<T>, Status>>,
{
    type Response = Response<T>;
    type Error = Status;
    type Future = A;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> A {
        self.0(request)
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let left = Arc::clone(&self.left);
        Box::pin(async move {
            let codec = ProstCodec::<Note, Note>::default();
            let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(2 * LARGE);
            let path = request.uri().path().to_owned();
            let response = match path.as_str() {
                "/test.Echo/Say" => grpc.unary(Method(Echo::say), request).await,
                "/test.Echo/Count" => {
                    let count = Method(move |request| Echo::count(request, Arc::clone(&left)));
                    grpc.server_streaming(count, request).await
                }
                "/test.Echo/Gather" => grpc.client_streaming(Method(Echo::gather), request).await,
                "/test.Echo/Chat" => grpc.streaming(Method(Echo::chat), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            };
            Ok(response)
        })
    }
}

/// The service behind the gateway; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) echo: Echo,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let echo = Echo::default();
        let service = echo.clone();
        let task = tokio::spawn(async move {
            let incoming = incoming.with_nodelay(Some(true));
            let server = tonic::transport::Server::builder();
            server.serve_with_incoming(service, incoming).await.unwrap();
        });
        Self { address, echo, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
