//! WebSocket over HTTP/2 (RFC 8441): extended CONNECT of clients, and to upstreams.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway::config::AccessLog;
use gateway_tests::streams::{self, Streams};
use gateway_tests::{Raw, Running, Setup, Upstream, log, route, until, within};
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Asks for a tunnel, once the gateway has announced that it may be asked.
async fn ask(
    client: &Streams,
    protocol: &'static str,
    path: &str,
) -> (ResponseFuture, SendStream<Bytes>) {
    until(|| client.0.is_extended_connect_protocol_enabled()).await;
    let request = Request::builder()
        .method("CONNECT")
        .uri(format!("http://a.example{path}"))
        .header("sec-websocket-version", "13")
        .header("origin", "http://a.example")
        .extension(Protocol::from_static(protocol))
        .body(())
        .unwrap();
    client.0.clone().send_request(request, false).unwrap()
}

/// The bytes of a stream, with its ends.
fn io(mut received: RecvStream, mut stream: SendStream<Bytes>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(16 << 10);
    let (mut read, mut write) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some(Ok(data)) = received.data().await {
            received.flow_control().release_capacity(data.len()).unwrap();
            if write.write_all(&data).await.is_err() {
                return;
            }
        }
        let _is_over = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut piece = vec![0; 16 << 10];
        while let Ok(length @ 1..) = read.read(&mut piece).await {
            let mut data = Bytes::copy_from_slice(&piece[..length]);
            while !data.is_empty() {
                stream.reserve_capacity(data.len());
                let room = poll_fn(|context| stream.poll_capacity(context)).await;
                let Some(Ok(room)) = room else { return };
                if stream.send_data(data.split_to(room.min(data.len())), false).is_err() {
                    return;
                }
            }
        }
        let _is_over = stream.send_data(Bytes::new(), true);
    });
    near
}

/// Opens a WebSocket over a stream of its own.
async fn open(client: &Streams, path: &str) -> (Response<()>, WebSocketStream<DuplexStream>) {
    let (answer, stream) = ask(client, "websocket", path).await;
    let (head, received) = within(answer).await.unwrap().into_parts();
    let socket = WebSocketStream::from_raw_socket(io(received, stream), Role::Client, None).await;
    (Response::from_parts(head, ()), socket)
}

/// Sends messages back until it is closed.
async fn echo<S>(mut socket: WebSocketStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() {
            socket.send(message).await.unwrap();
        }
    }
}

/// A server of WebSocket over HTTP/1.1.
async fn server() -> Upstream {
    Upstream::script(|stream| async move {
        if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
            echo(socket).await;
        }
    })
    .await
}

/// One over HTTP/2 in clear, which announces it or not; with the heads of its requests.
async fn server2(announces: bool) -> (Upstream, UnboundedReceiver<(String, HeaderMap)>) {
    let (tell, told) = unbounded_channel();
    let upstream = Upstream::script(move |stream| {
        let tell = tell.clone();
        async move {
            let mut builder = h2::server::Builder::new();
            if announces {
                builder.enable_connect_protocol();
            }
            let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
            while let Some(Ok((request, mut reply))) = connection.accept().await {
                let protocol = request.extensions().get().map(Protocol::as_str);
                let what = format!("{} {protocol:?} {}", request.method(), request.uri());
                tell.send((what, request.headers().clone())).unwrap();
                if request.uri().path() == "/none" {
                    streams::answer(&mut reply, 404, "no socket");
                    continue;
                }
                let stream = reply.send_response(Response::new(()), false).unwrap();
                let io = io(request.into_body(), stream);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
                tokio::spawn(echo(socket));
            }
        }
    })
    .await;
    (upstream, told)
}

/// Text and a message that is larger than all windows come back, and the end comes in good order.
async fn talk<S>(mut socket: WebSocketStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    for text in ["one", "two", &"x".repeat(3 << 20)] {
        within(socket.send(Message::text(text))).await.unwrap();
        assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text(text));
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = within(socket.next()).await {}
}

#[tokio::test]
async fn a_websocket_of_http2_is_one_of_http1_upstream() {
    let (tell, mut told) = unbounded_channel();
    let upstream = Upstream::script(move |stream| {
        let tell = tell.clone();
        async move {
            let mut head = vec![0; 4 << 10];
            let length = stream.peek(&mut head).await.unwrap();
            tell.send(String::from_utf8(head[..length].to_vec()).unwrap()).unwrap();
            if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
                echo(socket).await;
            }
        }
    })
    .await;
    log::listen();
    let mut setup = Setup::proxy(upstream.address);
    setup.config.process.access_log = AccessLog::All;
    let gateway = setup.start();
    let client = Streams::connect(gateway.address).await;
    let (head, socket) = open(&client, "/chat?room=1").await;
    assert_eq!(head.status(), 200);
    for gone in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
        assert!(!head.headers().contains_key(gone), "{gone}");
    }
    let id = head.headers()["x-request-id"].to_str().unwrap();
    let seen = within(told.recv()).await.unwrap().to_ascii_lowercase();
    assert!(seen.starts_with("get /chat?room=1 http/1.1\r\n"), "{seen}");
    for line in [
        "host: a.example",
        "connection: upgrade",
        "upgrade: websocket",
        "origin: http://a.example",
        "sec-websocket-version: 13",
        "sec-websocket-key: ",
        "via: 2.0 gateway",
    ] {
        assert!(seen.contains(&format!("\r\n{line}")), "{line} in {seen}");
    }
    talk(socket).await;
    // As over HTTP/1.1.
    until(|| !log::of_request(id).is_empty()).await;
    let line = &log::of_request(id)[0];
    let field = |name: &str| line.field(name).to_owned();
    assert_eq!((field("method"), field("status")), ("GET".into(), "101".into()), "{line:?}");
    for bytes in ["uploaded", "downloaded"] {
        let bytes: usize = field(bytes).parse().unwrap();
        assert!((3 << 20..(3 << 20) + 1000).contains(&bytes), "{line:?}");
    }
}

#[tokio::test]
async fn a_websocket_goes_on_over_http2_to_a_target_that_announces_it() {
    let (upstream, mut told) = server2(true).await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let client = Streams::connect(gateway.address).await;
    let (head, socket) = open(&client, "/chat").await;
    assert_eq!(head.status(), 200);
    let (what, fields) = within(told.recv()).await.unwrap();
    assert_eq!(what, "CONNECT Some(\"websocket\") http://a.example/chat");
    assert!(!fields.contains_key("sec-websocket-key") && !fields.contains_key("upgrade"));
    assert_eq!(fields["sec-websocket-version"], "13");
    talk(socket).await;
    // A refusal is a response like others, whose stream ends.
    let (answer, _stream) = ask(&client, "websocket", "/none").await;
    let (head, mut body) = within(answer).await.unwrap().into_parts();
    assert_eq!(head.status, 404);
    assert_eq!(streams::read(&mut body).await.unwrap().0, b"no socket");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_websocket_of_http1_goes_on_over_http2() {
    let (upstream, mut told) = server2(true).await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let connect = || async { TcpStream::connect(gateway.address).await.unwrap() };
    // The client checks what its key is answered with.
    let asked = tokio_tungstenite::client_async("ws://a.example/chat", connect().await);
    let (socket, response) = within(asked).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(
        within(told.recv()).await.unwrap().0,
        "CONNECT Some(\"websocket\") http://a.example/chat"
    );
    talk(socket).await;
    let refused = tokio_tungstenite::client_async("ws://a.example/none", connect().await);
    let refused = within(refused).await.unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");
}

#[tokio::test]
async fn says_that_a_target_takes_no_websocket_over_http2() {
    let (upstream, mut told) = server2(false).await;
    log::listen();
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let (head, _socket) = open(&Streams::connect(gateway.address).await, "/").await;
    assert_eq!(head.status(), 501);
    let id = head.headers()["x-request-id"].to_str().unwrap();
    until(|| !log::of_request(id).is_empty()).await;
    let said = format!("{:?}", log::of_request(id));
    assert!(said.contains("SETTINGS_ENABLE_CONNECT_PROTOCOL"), "{said}");
    let asked = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, asked).await.status, 501);
    assert!(told.try_recv().is_err());
}

/// The response to an extended CONNECT, with its body.
async fn refused(gateway: &Running, protocol: &'static str, path: &str) -> (u16, String) {
    let client = Streams::connect(gateway.address).await;
    let (answer, _stream) = ask(&client, protocol, path).await;
    let (head, mut body) = within(answer).await.unwrap().into_parts();
    let body = streams::read(&mut body).await.unwrap().0;
    (head.status.as_u16(), String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn refuses_what_is_no_websocket() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        let head = raw.read_until("\r\n\r\n").await;
        let answer = match head.split(' ').nth(1) {
            Some("/forbidden") => {
                "403 Forbidden\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"
            }
            Some("/forged") => {
                "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: s3pPLMBiTxaQ9kYg2hIg7VUQlYI=\r\n\r\n"
            }
            Some("/bare") => {
                "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
            }
            _ => "200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\npage",
        };
        raw.send(format!("HTTP/1.1 {answer}")).await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).route(route("/own")).start();
    let (status, body) = refused(&gateway, "connect-udp", "/").await;
    assert_eq!(status, 501);
    assert!(body.contains("CONNECT is served for WebSocket over HTTP/2 alone"), "{body}");
    assert_eq!(refused(&gateway, "websocket", "/forbidden").await, (403, "no".to_owned()));
    for path in ["/forged", "/bare"] {
        assert_eq!(refused(&gateway, "websocket", path).await.0, 502, "{path}");
    }
    // Any success would be taken for a tunnel.
    for path in ["/page", "/own"] {
        let (status, body) = refused(&gateway, "websocket", path).await;
        assert_eq!(status, 501, "{path}");
        assert!(body.contains("There is no WebSocket at this resource"), "{body}");
    }
}

/// Agrees to a WebSocket, whose bytes are the script's.
async fn agree(stream: TcpStream) -> Raw {
    let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    Raw::from(socket.into_inner())
}

/// A tunnel for bytes through the gateway.
async fn tunnel(address: SocketAddr) -> (Streams, RecvStream, SendStream<Bytes>) {
    let client = Streams::connect(address).await;
    let (answer, stream) = ask(&client, "websocket", "/").await;
    let response = within(answer).await.unwrap();
    assert_eq!(response.status(), 200);
    (client, response.into_body(), stream)
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = agree(stream).await;
        let all = raw.rest().await;
        raw.send(format!("after the end of {all}")).await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let (_client, mut received, mut stream) = tunnel(gateway.address).await;
    assert!(streams::send(&mut stream, Bytes::from_static(b"all")).await);
    let (bytes, _) = streams::read(&mut received).await.unwrap();
    assert_eq!(bytes, b"after the end of all");
}

#[tokio::test]
async fn a_tunnel_that_breaks_on_one_side_breaks_on_the_other_and_no_other_stream_does() {
    let (tell, mut told) = unbounded_channel();
    let upstream = Upstream::script(move |stream| {
        let tell = tell.clone();
        async move {
            let mut raw = agree(stream).await;
            if raw.read_until("go").await.starts_with("break") {
                return raw.reset();
            }
            let rest = raw.rest().await;
            tell.send(rest).unwrap();
        }
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let (client, mut other, mut others) = tunnel(gateway.address).await;
    // The upstream ends its connection without an end.
    let (answer, mut stream) = ask(&client, "websocket", "/").await;
    let mut received = within(answer).await.unwrap().into_body();
    stream.send_data("break go".into(), false).unwrap();
    let error = streams::read(&mut received).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    // The client resets its stream.
    let (answer, mut stream) = ask(&client, "websocket", "/").await;
    let _received = within(answer).await.unwrap().into_body();
    stream.send_data("go".into(), false).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.send_reset(Reason::CANCEL);
    assert_eq!(within(told.recv()).await.unwrap(), "");
    others.send_data("go".into(), true).unwrap();
    assert_eq!(within(told.recv()).await.unwrap(), "");
    assert_eq!(streams::read(&mut other).await.unwrap().0, b"");
}

#[tokio::test]
async fn a_tunnel_that_nobody_reads_ends_with_its_client() {
    let upstream = Upstream::script(|stream| async move {
        let _unread = agree(stream).await;
        tokio::time::sleep(2 * gateway_tests::PATIENCE).await;
    })
    .await;
    log::listen();
    let mut setup = Setup::proxy(upstream.address);
    setup.config.process.access_log = AccessLog::All;
    let gateway = setup.start();
    let client = Streams::connect(gateway.address).await;
    let (answer, mut stream) = ask(&client, "websocket", "/").await;
    let response = within(answer).await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let piece = Bytes::from(vec![b'x'; 16 << 10]);
    let mut sent = 0;
    loop {
        stream.reserve_capacity(piece.len());
        let room = poll_fn(|context| stream.poll_capacity(context));
        let Ok(room) = tokio::time::timeout(Duration::from_millis(300), room).await else { break };
        let piece = piece.slice(..room.unwrap().unwrap().min(piece.len()));
        sent += piece.len();
        stream.send_data(piece, false).unwrap();
    }
    // What the kernel takes, and a window.
    assert!(sent < 32 << 20, "{sent}");
    assert!(log::of_request(&id).is_empty());
    stream.send_reset(Reason::CANCEL);
    until(|| !log::of_request(&id).is_empty()).await;
}

#[tokio::test]
async fn a_silent_tunnel_ends_after_the_idle_time() {
    let upstream = Upstream::script(|stream| async move {
        agree(stream).await.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| it.timeouts.idle = Duration::from_millis(100))
        .start();
    let (_client, mut received, _stream) = tunnel(gateway.address).await;
    let error = streams::read(&mut received).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL));
}

#[tokio::test]
async fn a_tunnel_goes_on_within_the_grace_and_is_cut_then() {
    let upstream = server().await;
    let mut setup = Setup::proxy(upstream.address);
    setup.config.process.shutdown_grace = gateway_tests::PATIENCE;
    let mut gateway = setup.start();
    let client = Streams::connect(gateway.address).await;
    let (_, mut socket) = open(&client, "/").await;
    let address = gateway.address;
    gateway.stop();
    until(|| std::net::TcpStream::connect(address).is_err()).await;
    socket.send(Message::text("still")).await.unwrap();
    assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text("still"));
    // GOAWAY came: no new stream opens.
    let refused = within(async { client.0.clone().ready().await.map(drop) }).await;
    assert!(refused.is_err());
    assert!(!gateway.has_ended());
    gateway.handle.end_now();
    until(|| gateway.has_ended()).await;
    assert!(!matches!(within(socket.next()).await, Some(Ok(_))));
}
