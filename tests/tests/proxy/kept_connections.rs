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

/// Later than any connection rests that is not told apart, in milliseconds.
const LATE: u64 = 1_300;

/// What a target sends behind the head of a response to `HEAD`, and how much later.
fn stray(number: usize) -> (&'static [u8], Duration) {
    let bodies: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        b"a body that begins like none",
        b"1f\r\nHTTP/1.1 200 OK\r\n",
    ];
    let delays = [0, 0, 1, 3, 10, 40, 90, 300, LATE];
    (
        bodies[number % bodies.len()],
        Duration::from_millis(delays[number / bodies.len() % delays.len()]),
    )
}

/// Sends a body with its responses to `HEAD`, the one that the first segment of the path says.
async fn careless() -> Upstream {
    Upstream::script(|mut stream| async move {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
                    return;
                }
            }
            let head = String::from_utf8(head).unwrap();
            let [method, path] = [0, 1].map(|at| head.split(' ').nth(at).unwrap());
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", path.len());
            let answer = if method == "HEAD" { text } else { text + path };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            if method == "HEAD" {
                let (stray, delay) = stray(path.split('/').nth(1).unwrap().parse().unwrap());
                tokio::time::sleep(delay).await;
                if stream.write_all(stray).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// So many pairs of `HEAD` and `GET` from each of two clients, two pairs through each upstream: a worker knows of a target what
/// it sends as soon as it has done so once, and here none does.
async fn pairs(pairs: usize) {
    let upstreams = pairs / 2;
    use std::fmt::Write as _;
    let target = careless().await;
    let mut text = String::new();
    for number in 0..upstreams {
        write!(
            text,
            "[upstreams.u{number}]\ntargets = [\"http://{}\"]\n[[routes]]\nname = \"r{number}\"\n\
             paths = [\"/{number}/{{*rest}}\"]\nupstream = \"u{number}\"\n",
            target.address
        )
        .unwrap();
    }
    let gateway = Setup::toml(&text, &[]).workers(2).start();
    let clients = (0..2).map(|client| {
        let address = gateway.address;
        tokio::spawn(async move {
            let mut connection = Http1::connect(address).await;
            for pair in 0..pairs {
                let path = format!("/{}/{client}/{pair}", pair / 2);
                for method in ["HEAD", "GET"] {
                    let answer = connection.send(request(method, &path, &[], "")).await;
                    let body = if method == "HEAD" { "" } else { &path };
                    assert_eq!((answer.status(), answer.text()), (200, body), "{method} {path}");
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_behind_a_response_to_head_is_in_another_whenever_it_comes() {
    pairs(400).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_body_behind_a_response_to_head_is_in_no_other_however_late_it_comes() {
    let target = careless().await;
    let gateway = Setup::proxy(target.address).workers(1).start();
    // The first segment names a whole response, that late.
    assert_eq!(stray(24), (stray(0).0, Duration::from_millis(LATE)));
    let ask = |method: &'static str, number: usize| {
        let address = gateway.address;
        tokio::spawn(async move {
            let path = format!("/24/{number}");
            let mut client = Http1::connect(address).await;
            let answer = client.send(request(method, &path, &[], "")).await;
            let body = if method == "HEAD" { "" } else { &path };
            assert_eq!((answer.status(), answer.text()), (200, body), "{method} {path}");
        })
    };
    for pause in [LATE - 100, 0] {
        // Both while they rest and shortly before the bodies come.
        let all = (0..6).map(|number| ask(if pause > 0 { "HEAD" } else { "GET" }, number));
        for asked in all.collect::<Vec<_>>() {
            asked.await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "its configuration has 2,500 upstreams"]
async fn no_body_behind_ten_thousand_responses_to_head_is_in_another() {
    pairs(5_000).await;
}
