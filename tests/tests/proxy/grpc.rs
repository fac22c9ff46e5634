//! gRPC through the gateway: a real client and a real server, over HTTP/2 in clear on both sides.

mod echo;
mod web;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use gateway_tests::{Http1, Http2, Setup, Upstream, client, within};
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::grpc::echo::{LARGE, Note, Server, note};

/// A client of the service.
struct Client(tonic::client::Grpc<Channel>);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self::over(within(endpoint.connect()).await.unwrap())
    }

    fn over(channel: Channel) -> Self {
        Self(tonic::client::Grpc::new(channel).max_decoding_message_size(2 * LARGE))
    }

    async fn say(&mut self, request: Request<Note>) -> Result<Response<Note>, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/Say");
        within(self.0.unary(request, path, codec())).await
    }

    async fn count(&mut self, ask: Note) -> Result<Streaming<Note>, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/Count");
        let response = within(self.0.server_streaming(Request::new(ask), path, codec())).await;
        response.map(Response::into_inner)
    }

    async fn gather(&mut self, notes: impl Stream<Item = Note> + Send + 'static) -> Note {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/Gather");
        let asked = self.0.client_streaming(Request::new(notes), path, codec());
        within(asked).await.unwrap().into_inner()
    }

    async fn chat(
        &mut self,
        notes: impl Stream<Item = Note> + Send + 'static,
    ) -> Result<Streaming<Note>, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/Chat");
        let response = within(self.0.streaming(Request::new(notes), path, codec())).await;
        response.map(Response::into_inner)
    }
}

fn codec() -> ProstCodec<Note, Note> {
    ProstCodec::default()
}

#[tokio::test]
async fn carries_a_unary_call_with_its_metadata() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let mut client = Client::connect(gateway.address).await;
    let mut request = Request::new(note("hello", 7));
    request.metadata_mut().insert("x-token", MetadataValue::from_static("secret"));
    let response = client.say(request).await.unwrap();
    assert_eq!(response.metadata().get("x-token").unwrap(), "secret");
    assert!(response.metadata().contains_key("x-request-id"), "it went through the gateway");
    assert_eq!(response.into_inner(), note("hello", 7));
}

#[tokio::test]
async fn carries_a_failure_with_its_code_message_and_details() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let mut client = Client::connect(gateway.address).await;
    let status = client.say(Request::new(note("unknown", 0))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such «note»: 100 %"));
    assert_eq!(status.details(), [0, 255]);
    assert_eq!(status.metadata().get("x-reason").unwrap(), "lost");
}

#[tokio::test]
async fn carries_a_stream_of_the_server_and_the_failure_at_its_end() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let mut client = Client::connect(gateway.address).await;
    let notes: Vec<_> = within(client.count(note("", 1_000)).await.unwrap().collect()).await;
    let counts: Vec<u32> = notes.into_iter().map(|note| note.unwrap().count).collect();
    assert_eq!(counts, (0..1_000).collect::<Vec<_>>());

    let mut failing = client.count(note("fail", 2)).await.unwrap();
    for count in 0..2 {
        assert_eq!(within(failing.message()).await.unwrap(), Some(note("tick", count)));
    }
    // The status is in the trailers, behind messages that were already read.
    let status = within(failing.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "the tape broke"));
}

#[tokio::test]
async fn carries_a_stream_of_the_client() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let mut client = Client::connect(gateway.address).await;
    let notes = stream::iter(0..1_000).map(|count| note(&format!("note {count}"), count));
    assert_eq!(client.gather(notes).await, note("note 999", 1_000));
}

#[tokio::test]
async fn carries_a_conversation_in_which_each_side_waits_for_the_other() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let mut client = Client::connect(gateway.address).await;
    let (say, notes) = mpsc::channel(1);
    let notes = stream::unfold(notes, async |mut notes| Some((notes.recv().await?, notes)));
    let mut heard = client.chat(notes).await.unwrap();
    let mut count = 0;
    while count < 200 {
        // Nothing more is said before the answer is there: a held frame would end this.
        within(say.send(note("ping", count))).await.unwrap();
        let answer = within(heard.message()).await.unwrap().unwrap();
        assert_eq!(answer, note("ping", count + 1));
        count = answer.count;
    }
    drop(say);
    assert_eq!(within(heard.message()).await.unwrap(), None);
}

#[tokio::test]
async fn carries_messages_that_are_larger_than_every_window() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let mut client = Client::connect(gateway.address).await;
    let large = note(&"0123456789abcdef".repeat(LARGE / 16), 1);
    let answer = client.say(Request::new(large.clone())).await.unwrap().into_inner();
    assert!(answer == large, "{} bytes came back", answer.text.len());
}

#[tokio::test]
async fn carries_many_calls_of_one_connection_at_once() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.address)).unwrap();
    let channel = within(endpoint.connect()).await.unwrap();
    let calls: Vec<_> = (0..300)
        .map(|count| {
            let mut client = Client::over(channel.clone());
            tokio::spawn(async move {
                let notes = client.count(note("", count)).await.unwrap();
                let notes: Vec<_> = within(notes.collect()).await;
                assert!(notes.iter().all(Result::is_ok));
                assert_eq!(notes.len(), count as usize);
            })
        })
        .collect();
    for call in calls {
        within(call).await.unwrap();
    }
}

#[tokio::test]
async fn tells_the_server_when_a_client_leaves_a_stream() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let mut client = Client::connect(gateway.address).await;
    let mut notes = client.count(note("hang", 1)).await.unwrap();
    assert_eq!(within(notes.message()).await.unwrap(), Some(note("tick", 0)));
    drop(notes);
    within(server.echo.left.notified()).await;
    // The connection continues.
    let answer = client.say(Request::new(note("still here", 0))).await.unwrap();
    assert_eq!(answer.into_inner(), note("still here", 0));
}

#[tokio::test]
async fn tells_the_server_the_deadline_of_a_call() {
    let server = Server::start();
    let gateway = Setup::proxy(server.address).over_http2().start();
    let mut client = Client::connect(gateway.address).await;
    let mut request = Request::new(note("deadline", 0));
    request.set_timeout(Duration::from_secs(19));
    let answer = client.say(request).await.unwrap().into_inner();
    assert_eq!(answer.text, "19000000u");
}

/// The client does not keep the time: it says how long it would wait.
#[tokio::test]
async fn a_call_is_given_up_when_its_deadline_is_over() {
    let (reset, was_reset) = tokio::sync::oneshot::channel::<()>();
    let reset = std::sync::Mutex::new(Some(reset));
    let silent = Upstream::http2(move |_| {
        let dropped = reset.lock().unwrap().take();
        async move {
            let _tells_when_it_is_dropped = dropped;
            std::future::pending().await
        }
    })
    .await;
    let gateway = Setup::proxy(silent.address).over_http2().start();
    let mut caller = Http2::connect(gateway.address).await;
    let fields =
        [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "150m")];
    let answer = caller.send(client::request2("POST", "/test.Echo/Say", &fields, "")).await;
    assert_eq!((answer.status(), answer.header("grpc-status")), (200, Some("4")));
    assert_eq!(silent.request().headers["grpc-timeout"], "150m");
    within(was_reset).await.unwrap_err();
}

#[tokio::test]
async fn a_deadline_that_is_over_is_not_the_upstreams_fault() {
    let silent = Upstream::http2(|_| async { std::future::pending().await }).await;
    let text = "[admin]\naddress = \"127.0.0.1:0\"\n\
        [upstreams.silent]\ntargets = [\"http://${env:SILENT}\"]\nprotocol = \"http2\"\n\
        ejection = { consecutive_failures = 1, max_share = 1.0 }\n\
        [[routes]]\nname = \"echo\"\npaths = [\"/{*rest}\"]\nupstream = \"silent\"\n";
    let gateway = Setup::toml(text, &[("SILENT", &silent.address)]).start();
    let mut caller = Http2::connect(gateway.address).await;
    let fields =
        [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "50m")];
    for _ in 0..2 {
        let answer = caller.send(client::request2("POST", "/test.Echo/Say", &fields, "")).await;
        assert_eq!(answer.header("grpc-status"), Some("4"));
    }
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let failed = "gateway_requests_failed_total{route=\"echo\",fault=\"client\",reason=\"deadline-timeout\"} 2\n";
    assert!(page.text().contains(failed), "{}", page.text());
    assert!(!page.text().contains("fault=\"upstream\""), "{}", page.text());
    let ejected =
        page.text().lines().filter(|line| line.starts_with("gateway_upstream_ejections_total"));
    assert!(ejected.clone().count() > 0 && ejected.clone().all(|line| line.ends_with(" 0")));
}

#[tokio::test]
async fn what_the_gateway_answers_itself_is_a_failure_to_the_client() {
    let nobody = gateway_tests::ClosedPort::new();
    let gateway = Setup::new()
        .upstream(nobody.address)
        .over_http2()
        .route(gateway_tests::forward("/test.Echo/Say", 0))
        .start();
    let mut client = Client::connect(gateway.address).await;
    let status = client.say(Request::new(note("hello", 0))).await.unwrap_err();
    let told = "The gateway could not connect to the upstream.";
    assert_eq!((status.code(), status.message()), (Code::Unavailable, told));
    let failed = match client.count(note("hello", 0)).await {
        Ok(mut notes) => within(notes.message()).await.unwrap_err(),
        Err(status) => status,
    };
    assert_eq!((failed.code(), failed.message()), (Code::Unimplemented, "No route matches."));
}

#[tokio::test]
async fn calls_pass_through_plugins_like_any_request() {
    let server = Server::start();
    let setup = Setup::toml(
        r#"
        [upstreams.echo]
        targets = ["http://${env:ECHO}"]
        protocol = "http2"

        [plugins.keys]
        component = "auth"
        limits = { deadline = "10s" }
        [[plugins.keys.config.api_key.keys]]
        id = "one"
        digest = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
        consumer = "ada"

        [plugins.limit]
        component = "rate-limit"
        limits = { deadline = "10s" }
        [[plugins.limit.config.policies]]
        name = "three"
        limit = 3
        window = "1h"
        key = ["consumer.id"]

        [plugins.shape]
        component = "transform"
        limits = { deadline = "10s" }
        [plugins.shape.config.request.headers.set]
        x-token = "${consumer.id}"

        [[routes]]
        name = "echo"
        paths = ["/test.Echo/{method}"]
        plugins = ["keys", "limit", "shape"]
        upstream = "echo"
        "#,
        &[("ECHO", &server.address)],
    );
    // Plugins are compiled meanwhile, which takes its time.
    let gateway = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();
    let mut client = Client::connect(gateway.address).await;
    let status = client.say(Request::new(note("hello", 0))).await.unwrap_err();
    let needed = (Code::Unauthenticated, "A valid credential is needed.");
    assert_eq!((status.code(), status.message()), needed);
    let request = |text: &str| {
        let mut request = Request::new(note(text, 0));
        request.metadata_mut().insert("x-api-key", MetadataValue::from_static("secret"));
        request
    };
    for _ in 0..2 {
        let response = client.say(request("hello")).await.unwrap();
        assert_eq!(response.metadata().get("x-token").unwrap(), "ada");
    }
    // A failure of the server's own comes through the plugins as it is.
    let status = client.say(request("unknown")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such «note»: 100 %"));
    let status = client.say(request("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("No quota is left under three"), "{status:?}");
    assert!(status.metadata().contains_key("retry-after"), "{status:?}");
    // An hour's third is longer than a client should sleep.
    assert_eq!(status.metadata().get("x-should-retry").unwrap(), "false");
}
