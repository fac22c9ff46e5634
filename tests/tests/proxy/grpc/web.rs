//! gRPC-Web, byte by byte as its clients write it, translated for a real server of gRPC.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateway_tests::client::{request, request2};
use gateway_tests::{Answer, Http1, Http2, Running, Setup, Upstream};
use prost::Message as _;

use crate::grpc::echo::{Note, Server, note};

fn start(address: std::net::SocketAddr) -> Running {
    let text = format!(
        "[upstreams.echo]\ntargets = [\"http://{address}\"]\nprotocol = \"http2\"\ngrpc_web = \"translate\"\n\
         [[routes]]\nname = \"echo\"\npaths = [\"/{{*rest}}\"]\nupstream = \"echo\"\n"
    );
    Setup::toml(&text, &[]).workers(1).start()
}

/// A frame of this kind: 0 for a message, 0x80 for trailers.
fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], data].concat()
}

/// What frames there are.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((head, rest)) = body.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        found.push((head[0], rest[..length].to_vec()));
        body = &rest[length..];
    }
    assert!(body.is_empty());
    found
}

/// Texts one after the other, each with its padding.
fn decoded(text: &[u8]) -> Vec<u8> {
    assert_eq!(text.len() % 4, 0);
    text.chunks(4).flat_map(|quad| STANDARD.decode(quad).unwrap()).collect()
}

async fn call(gateway: &Running, method: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
    let mut client = Http1::connect(gateway.address).await;
    let fields = [("content-type", kind), ("x-grpc-web", "1"), ("accept", kind)];
    client.send(request("POST", &format!("/test.Echo/{method}"), &fields, body)).await
}

fn trailers(frame: &(u8, Vec<u8>)) -> Vec<String> {
    assert_eq!(frame.0, 0x80);
    let mut lines: Vec<_> = std::str::from_utf8(&frame.1)
        .unwrap()
        .split_terminator("\r\n")
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_call_in_binary_has_messages_and_then_its_trailers_in_its_body() {
    let server = Server::start();
    let gateway = start(server.address);
    let ask = frame(0, &note("hello", 7).encode_to_vec());
    let answer = call(&gateway, "Say", "application/grpc-web+proto", ask.clone()).await;
    let kind = answer.header("content-type");
    assert_eq!((answer.status(), kind), (200, Some("application/grpc-web")));
    let came = frames(&answer.body);
    assert_eq!(Note::decode(&*came[0].1).unwrap(), note("hello", 7));
    assert_eq!((came.len(), trailers(&came[1])), (2, vec!["grpc-status: 0".to_owned()]));
    // The same over HTTP/2.
    let mut client = Http2::connect(gateway.address).await;
    let fields = [("content-type", "application/grpc-web")];
    let answer = client.send(request2("POST", "/test.Echo/Say", &fields, ask)).await;
    assert_eq!(frames(&answer.body)[0], came[0]);

    let ask = frame(0, &note("fail", 2).encode_to_vec());
    let answer = call(&gateway, "Count", "application/grpc-web", ask).await;
    let came = frames(&answer.body);
    assert_eq!(came.len(), 3);
    assert_eq!(trailers(&came[2]), ["grpc-message: the%20tape%20broke", "grpc-status: 15"]);
}

#[tokio::test]
async fn a_call_in_base64_is_read_in_pieces_and_answered_in_pieces() {
    let server = Server::start();
    let gateway = start(server.address);
    let (one, two) = (note("ones", 1).encode_to_vec(), note("another", 2).encode_to_vec());
    // A text for each frame, with its own padding.
    let body = format!("{}{}", STANDARD.encode(frame(0, &one)), STANDARD.encode(frame(0, &two)));
    assert!(body.trim_end_matches('=').contains('='));
    let kind = "application/grpc-web-text+proto";
    let answer = call(&gateway, "Gather", kind, body).await;
    let kind = Some("application/grpc-web-text");
    assert_eq!((answer.status(), answer.header("content-type")), (200, kind));
    let came = frames(&decoded(&answer.body));
    assert_eq!(Note::decode(&*came[0].1).unwrap(), note("another", 2));
    assert_eq!(trailers(&came[1]), ["grpc-status: 0"]);
    let ask = STANDARD.encode(frame(0, &note("", 1_000).encode_to_vec()));
    let answer = call(&gateway, "Count", "application/grpc-web-text", ask).await;
    assert_eq!(frames(&decoded(&answer.body)).len(), 1_001);
}

#[tokio::test]
async fn failures_come_in_the_head_and_what_is_no_base64_is_refused() {
    let server = Server::start();
    let gateway = start(server.address);
    let ask = frame(0, &note("unknown", 0).encode_to_vec());
    let answer = call(&gateway, "Say", "application/grpc-web+proto", ask).await;
    let kind = answer.header("content-type");
    assert_eq!((kind, answer.header("grpc-status")), (Some("application/grpc-web"), Some("5")));
    for body in ["AAAA!AAA", "AAAAAAA"] {
        let answer = call(&gateway, "Say", "application/grpc-web-text", body).await;
        assert_eq!((answer.status(), answer.header("grpc-status")), (200, Some("13")));
        assert_eq!(answer.header("content-type"), Some("application/grpc-web-text"));
        let told = answer.header("grpc-message");
        assert_eq!(told, Some("The body of gRPC-Web is not base64."));
    }
    // What speaks no gRPC is passed on as it is, and so is what is no gRPC-Web.
    let plain = Upstream::http2(async |request| {
        let kind = request.headers()["content-type"].to_str().unwrap().to_owned();
        http::Response::builder()
            .header("content-type", "text/plain")
            .body(gateway_tests::upstream::full(kind))
            .unwrap()
    })
    .await;
    let gateway = start(plain.address);
    for (kind, sent) in [
        ("application/grpc-web-text+proto", "application/grpc+proto"),
        ("application/grpc", "application/grpc"),
        ("application/json", "application/json"),
    ] {
        assert_eq!(call(&gateway, "Say", kind, "AAAA").await.text(), sent);
    }
    assert_eq!(plain.requests()[0].headers["te"], "trailers");
}

#[tokio::test]
async fn the_example_of_the_documentation_serves_pages_of_another_origin() {
    let server = Server::start();
    let docs = include_str!("../../../../docs/upstreams.md");
    let behind = docs.split_once("\n## gRPC-Web\n").unwrap().1;
    let text = behind.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let text = text.replace("10.0.0.1:50051", &server.address.to_string());
    let setup = Setup::toml(&text.replace("orders.v1.Orders", "test.Echo"), &[]);
    // Plugins are compiled meanwhile, which takes its time.
    let gateway = tokio::task::spawn_blocking(|| setup.workers(1).start()).await.unwrap();
    let mut client = Http1::connect(gateway.address).await;
    let asks = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-grpc-web,x-user-agent"),
    ];
    let answer = client.send(request("OPTIONS", "/test.Echo/Say", &asks, "")).await;
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!((answer.status(), allowed), (204, Some("https://shop.example")));
    let fields = [("origin", "https://shop.example"), ("content-type", "application/grpc-web")];
    let ask = frame(0, &note("unknown", 0).encode_to_vec());
    let answer = client.send(request("POST", "/test.Echo/Say", &fields, ask)).await;
    assert_eq!(answer.header("grpc-status"), Some("5"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("grpc-status") && exposed.contains("grpc-message"), "{exposed}");
}
