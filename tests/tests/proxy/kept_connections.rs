//! Connections to targets that are kept, and targets that close them without a word.

use std::time::{Duration, Instant};

use gateway_tests::client::request;
use gateway_tests::{Http1, Setup, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How long the target keeps a connection.
const IDLE: Duration = Duration::from_millis(50);

/// Reads a request with its body; `None` at the end.
async fn read(stream: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        head.extend_from_slice(&buffer[..length]);
        let Some(end) = head.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let fields = String::from_utf8_lossy(&head[..end]).to_lowercase();
        let length = fields.split("content-length: ").nth(1).and_then(|it| it.split('\r').next());
        let length = length.map_or(0, |it| it.parse::<usize>().unwrap());
        if head.len() >= end + 4 + length {
            return Some(());
        }
    }
}

/// Closes what is idle for [`IDLE`], and each connection behind its tenth response.
async fn unreliable() -> Upstream {
    Upstream::script(|mut stream| async move {
        for number in 1..=10 {
            let Ok(Some(())) = tokio::time::timeout(IDLE, read(&mut stream)).await else { return };
            // The end leaves with the response: a request that came in between would be one that was received.
            rustix::net::sockopt::set_tcp_cork(&stream, number == 10).unwrap();
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_at_a_target_that_closes_connections_without_a_word() {
    let target = unreliable().await;
    let text = format!(
        "[upstreams.u]\ntargets = [\"http://{}\"]\n[[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\n\
         upstream = \"u\"\n",
        target.address
    );
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    let until = Instant::now() + Duration::from_millis(1_500);
    let address = gateway.address;
    let clients = (0..16_u64).map(|number| {
        tokio::spawn(async move {
            let mut client = Http1::connect(address).await;
            let mut statuses = Vec::new();
            while Instant::now() < until {
                let (method, body) = match statuses.len() % 3 {
                    0 => ("GET", ""),
                    1 => ("POST", "prompt"),
                    _ => ("POST", ""),
                };
                let answer = client.send(request(method, "/", &[], body)).await;
                statuses.push((method, answer.status()));
                // Around the target's time, and without a pause.
                let pause = if number < 12 { 44 + number } else { 0 };
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            statuses
        })
    });
    let mut all = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        all.extend(client.await.unwrap());
    }
    let failed: Vec<_> = all.iter().filter(|(_, status)| *status != 200).collect();
    assert!(failed.is_empty() && all.len() > 300, "{failed:?} of {}", all.len());
}
