//! What plugins leave in the gateway, measured as memory of the process: the table of `docs/security.md`.
//!
//! A few clients by default; with `GATEWAY_TEST_LONG=1` as many as an attacker brings, and the numbers
//! of the table are printed. `GATEWAY` names a gateway that was built before.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::upstream::BoxBody;
use gateway_tests::{Raw, Upstream, guests};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::MIB;
use crate::process::Process;

/// An attack: what it does, the limits of the plugin, the request, and how many clients make it.
struct Attack {
    what: &'static str,
    setting: &'static str,
    limits: &'static str,
    request: &'static str,
    /// Bytes of body that each client sends, one less than it announced.
    body: usize,
    clients: usize,
    /// Mebibytes that it may bring about, with what instances and connections take.
    bound: u64,
}

fn attacks(many: bool) -> Vec<Attack> {
    let clients = |few, all| if many { all } else { few };
    let attack = |what, setting, limits, request, clients, bound| Attack {
        what,
        setting,
        limits,
        request,
        body: 0,
        clients,
        bound,
    };
    vec![
        attack(
            "1 MB of context on event streams",
            "exchanges",
            "exchanges = \"16MiB\"",
            "GET /events HTTP/1.1\r\nhost: a\r\nx-context: 1000000\r\n\r\n",
            clients(100, 1000),
            16,
        ),
        attack(
            "100 attributes of 1 KB on event streams",
            "exchanges",
            "exchanges = \"16MiB\"",
            "GET /events HTTP/1.1\r\nhost: a\r\nx-attributes: 100\r\n\r\n",
            clients(300, 1000),
            16,
        ),
        attack(
            "1 GiB of response for `Buffered(u64::MAX)`",
            "memory",
            "memory = \"4MiB\"",
            "GET /endless HTTP/1.1\r\nhost: a\r\nx-hold-response: 18446744073709551615\r\n\r\n",
            clients(5, 50),
            32,
        ),
        attack(
            "answers of 900 KB that nobody reads",
            "buffered",
            "buffered = \"16MiB\"",
            "GET /a HTTP/1.1\r\nhost: a\r\nx-answer: 200 900000\r\n\r\n",
            clients(60, 600),
            16,
        ),
        Attack {
            what: "10 MiB of upload that stop one byte early",
            setting: "buffered",
            limits: "memory = \"32MiB\", buffered = \"32MiB\"",
            request: "POST /a HTTP/1.1\r\nhost: a\r\nx-hold: 10485760\r\ncontent-length: 10485760\r\n\r\n",
            body: 10 << 20,
            clients: clients(10, 150),
            bound: 32,
        },
    ]
}

async fn service() -> Upstream {
    Upstream::http1(|request| async move {
        let pause = u64::from(request.uri().path() == "/events") * 50;
        let pieces = stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Some((Ok(Frame::data(Bytes::from_static(&[b'x'; 1 << 10]))), ()))
        });
        let body: BoxBody = StreamBody::new(pieces).boxed_unsync();
        Response::new(body)
    })
    .await
}

fn configuration(service: SocketAddr, limits: &str) -> String {
    format!(
        r#"
        [plugins.leaves]
        component = "{}"
        limits = {{ deadline = "10s", instances = 1, {limits} }}
        [upstreams.service]
        targets = ["http://{service}"]
        [[routes]]
        name = "all"
        paths = ["/{{*rest}}"]
        plugins = ["leaves"]
        upstream = "service"
        "#,
        guests::path("leaves").display()
    )
}

/// Who is refused may be cut off while it sends.
async fn client(address: SocketAddr, attack: &Attack) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = vec![b'u'; attack.body.saturating_sub(1)];
    let sent = async {
        client.write_all(attack.request.as_bytes()).await?;
        client.write_all(&body).await
    };
    let _sent_or_refused = tokio::time::timeout(Duration::from_secs(5), sent).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_memory_is_what_the_bounds_say() {
    let many = std::env::var_os("GATEWAY_TEST_LONG").is_some();
    let upstream = service().await;
    println!("attack | clients | `limits` | bound, MiB | idle, MiB | highest, MiB");
    for attack in attacks(many) {
        let gateway = Process::start(&configuration(upstream.address, attack.limits));
        // An instance is made, and what each worker needs once.
        Raw::ask(gateway.address, "GET /a HTTP/1.1\r\nhost: a\r\nx-answer: 200 1\r\n\r\n").await;
        let idle = gateway.resident();
        gateway.forget_peak();
        let mut clients = Vec::new();
        for _ in 0..attack.clients {
            clients.push(client(gateway.address, &attack).await);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let peak = gateway.peak();
        let Attack { what, setting, bound, .. } = attack;
        let (idle, peak, count) = (idle / MIB, peak / MIB, attack.clients);
        println!("{what} | {count} | `{setting}` | {bound} | {idle} | {peak}");
        // A connection and its exchange take tens of kilobytes. What is held grows into larger pieces of
        // memory, and what is freed meanwhile is not all given back at once. Pages of the program that were unmapped
        // come back.
        let room = bound + bound / 2 + 40 + attack.clients as u64 / 8;
        assert!(peak <= idle + room, "{what}: {idle} to {peak} MiB");
    }
}
