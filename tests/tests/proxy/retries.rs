//! Requests that are sent once more, where their route says so: for what, to whom, and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use gateway_tests::client::{Answer, get, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Raw, Running, Setup, Upstream, log};
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One route with these retries, to an upstream of these targets with more keys.
fn start(name: &str, targets: &[&Upstream], retries: &str, more: &str) -> Running {
    let targets: Vec<_> =
        targets.iter().map(|target| format!("\"http://{}\"", target.address)).collect();
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[recorder]\nsample = 1.0\n\
         [upstreams.{name}]\ntargets = [{}]\nejection = {{ consecutive_failures = 0 }}\n{more}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"{name}\"\naccess_log = \"all\"\n\
         retries = {{ {retries} }}\n",
        targets.join(", ")
    );
    Setup::toml(&text, &[]).workers(1).start()
}

/// The first example of a chapter of the documentation, with other addresses.
fn example(chapter: &str, at: &[(&str, &Upstream)]) -> Setup {
    Setup::toml(&example_text(chapter, at), &[]).workers(1)
}

fn example_text(chapter: &str, at: &[(&str, &Upstream)]) -> String {
    let docs = include_str!("../../../docs/upstreams.md");
    let behind = docs.split_once(&format!("# {chapter}\n")).unwrap().1;
    let toml = behind.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    at.iter().fold(toml.to_owned(), |text, (address, upstream)| {
        assert!(text.contains(address));
        text.replace(address, &upstream.address.to_string())
    })
}

/// Answers each request with this status, after it has read the request, and counts.
async fn answering(status: u16, fields: &'static [(&'static str, &'static str)]) -> Upstream {
    Upstream::http1(move |request| async move {
        let _read = request.into_body().collect().await;
        let response = Response::builder().status(status);
        let response = fields.iter().fold(response, |it, (name, value)| it.header(*name, *value));
        response.body(full("no")).unwrap()
    })
    .await
}

/// Reads the head of a request, and does the same with each connection.
async fn closing(seen: &Arc<AtomicUsize>) -> Upstream {
    let seen = Arc::clone(seen);
    Upstream::script(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                seen.fetch_add(1, SeqCst);
            }
        }
    })
    .await
}

async fn send(gateway: &Running, method: &str, body: impl Into<Bytes>) -> Answer {
    let mut client = Http1::connect(gateway.address).await;
    client.send(request(method, "/", &[], body)).await
}

async fn metric(gateway: &Running, line: &str) -> String {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let mut found = page.text().lines().filter_map(|it| it.strip_prefix(line));
    found.next().unwrap_or_default().trim().to_owned()
}

/// The attempts of a request, as the log has them, without their times.
async fn attempts(answer: &Answer) -> String {
    let line = || {
        let lines = log::of_request(answer.id());
        lines.into_iter().find(|line| line.target == "gateway::access")
    };
    gateway_tests::until(|| line().is_some()).await;
    let line = line().unwrap();
    let words = line.field("attempts").split(", ");
    words.map(|one| one.split(' ').nth(1).unwrap_or_default()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_of_the_list_is_replaced_by_that_of_another_target() {
    let (busy, well) = (answering(503, &[("retry-after", "600")]).await, Upstream::echo().await);
    let gateway = start("busy", &[&busy, &well], "", "");
    for _ in 0..6 {
        let answer = send(&gateway, "GET", "").await;
        assert_eq!(answer.status(), 200);
    }
    assert_eq!((busy.requests().len(), well.requests().len()), (3, 6));
    let answer = send(&gateway, "PUT", "all of it").await;
    let (first, second) = (answer.text().to_owned(), send(&gateway, "PUT", "all of it").await);
    assert_eq!((&*first, second.text()), ("all of it", "all of it"));
    let shown = [attempts(&answer).await, attempts(&second).await];
    assert!(shown.contains(&"status-503 answered".to_owned()), "{shown:?}");
    // It may have been processed; and for a second it would go to the target that did not fail last.
    assert_eq!(send(&gateway, "POST", "x").await.status(), 200);
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let mut statuses = [send(&gateway, "POST", "x").await, send(&gateway, "POST", "x").await]
        .map(|answer| answer.status());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    let target = busy.address;
    let line = format!(
        "gateway_upstream_attempts_total{{upstream=\"busy\",target=\"{target}\",result=\"status\"}}"
    );
    assert_eq!(metric(&gateway, &line).await, "4");
    let line =
        format!("gateway_upstream_retries_total{{upstream=\"busy\",target=\"{}\"}}", well.address);
    assert_eq!(metric(&gateway, &line).await, "4");
    let id = if shown[0].contains(' ') { answer.id() } else { second.id() };
    let record = Http1::admin(gateway.admin.unwrap(), &format!("/requests/{id}")).await;
    let record: Value = serde_json::from_slice(&record.body).unwrap();
    let results: Vec<_> = record["upstream"]["attempts"].as_array().unwrap().iter().collect();
    assert_eq!((results[0]["result"].as_str(), results.len()), (Some("status-503"), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_processed_is_repeated_only_for_methods_that_allow_it() {
    let seen = Arc::new(AtomicUsize::new(0));
    let gone = closing(&seen).await;
    let gateway = start("gone", &[&gone], "attempts = 3, backoff = \"1ms\"", "");
    let answer = send(&gateway, "GET", "").await;
    assert_eq!((answer.status(), seen.swap(0, SeqCst)), (502, 3));
    assert_eq!(attempts(&answer).await, "closed closed closed");
    assert_eq!((send(&gateway, "POST", "x").await.status(), seen.swap(0, SeqCst)), (502, 1));
    let methods = "methods = [\"POST\"], attempts = 2, backoff = \"1ms\"";
    let listed = start("listed", &[&gone], methods, "");
    assert_eq!((send(&listed, "POST", "x").await.status(), seen.swap(0, SeqCst)), (502, 2));
    assert_eq!((send(&listed, "GET", "").await.status(), seen.swap(0, SeqCst)), (502, 1));
    let statuses = start("statuses", &[&gone], "on = [], backoff = \"1ms\"", "");
    assert_eq!((send(&statuses, "GET", "").await.status(), seen.swap(0, SeqCst)), (502, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_where_nobody_listens_yet_is_asked_again_with_any_method() {
    let address = gateway_tests::ClosedPort::new();
    let text = format!(
        "[upstreams.late]\ntargets = [\"http://{address}\"]\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"late\"\naccess_log = \"all\"\n\
         retries = {{ attempts = 4, backoff = \"1ms\" }}\n"
    );
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    let answer = send(&gateway, "POST", "x").await;
    assert_eq!(answer.status(), 502);
    assert_eq!(attempts(&answer).await, "refused refused refused refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_given_up_for_another_target() {
    let silent = Upstream::script(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let well = Upstream::echo().await;
    // Where the other one is slow, the machine is: each may have ten attempts.
    let retries = "attempts = 10, attempt_timeout = \"300ms\"";
    let gateway = start("silent", &[&silent, &well], retries, "");
    let answers = [send(&gateway, "PUT", "body").await, send(&gateway, "PUT", "body").await];
    assert!(answers.iter().all(|it| it.status() == 200 && it.text() == "body"));
    let shown = [attempts(&answers[0]).await, attempts(&answers[1]).await];
    assert!(shown.iter().any(|it| it.starts_with("attempt-timeout")), "{shown:?}");
    let gateway = start("mute", &[&silent], "attempts = 2, attempt_timeout = \"50ms\"", "");
    let answer = send(&gateway, "GET", "").await;
    assert_eq!(answer.status(), 504);
    assert_eq!(attempts(&answer).await, "attempt-timeout attempt-timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_again_whole_though_the_first_target_answered_in_its_middle() {
    // Answers when it has the head.
    let hasty = Upstream::script(|mut stream| async move {
        let mut buffer = [0; 4096];
        let _read = stream.read(&mut buffer).await;
        let _sent = stream
            .write_all(b"HTTP/1.1 503 no\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .await;
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let well = Upstream::echo().await;
    let gateway = start("hasty", &[&hasty, &well], "body = \"1MiB\"", "");
    let text = "0123456789abcdef".repeat(8 << 10);
    let pieces = text.as_bytes().chunks(32 << 10);
    let mut seen = 0;
    for _ in 0..4 {
        let mut client = Raw::connect(gateway.address).await;
        client.send("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for piece in pieces.clone() {
            client.send(format!("{:x}\r\n", piece.len())).await;
            client.send(piece).await;
            client.send("\r\n").await;
            tokio::task::yield_now().await;
        }
        client.send("0\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.status, response.body.len()), (200, text.len()));
        assert!(response.body == text);
        seen += 1;
    }
    assert_eq!((seen, well.requests().len()), (4, 4));
    assert!(hasty.connections() > 0);
    assert_eq!(metric(&gateway, "gateway_held_body_bytes").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_bound_is_sent_once() {
    let busy = answering(503, &[]).await;
    let gateway = start("large", &[&busy], "body = \"1KiB\", backoff = \"1ms\"", "");
    assert_eq!(send(&gateway, "PUT", vec![b'a'; 1024]).await.status(), 503);
    assert_eq!(busy.requests().len(), 3);
    assert_eq!(send(&gateway, "PUT", vec![b'a'; 1025]).await.status(), 503);
    assert_eq!(busy.requests().len(), 4);
    let refused = "gateway_upstream_retries_refused_total{upstream=\"large\",reason=\"body\"}";
    assert_eq!(metric(&gateway, refused).await, "1");
}

#[tokio::test]
async fn no_wait_goes_beyond_the_time_of_the_request() {
    let busy = answering(503, &[("retry-after", "3")]).await;
    let text = format!(
        "[upstreams.in-time]\ntargets = [\"http://{}\"]\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"in-time\"\n\
         retries = {{ attempts = 3, retry_after = \"5s\" }}\ntimeouts.request = \"2s\"\n",
        busy.address
    );
    let gateway = Setup::toml(&text, &[]).start();
    let answer = send(&gateway, "GET", "").await;
    assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("3")));
    assert_eq!(busy.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_waited_for_within_its_bound() {
    let soon = answering(503, &[("retry-after", "0")]).await;
    let gateway = start("soon", &[&soon], "backoff = \"1m\", max_backoff = \"1m\"", "");
    // It says when, so that no other wait is needed.
    assert_eq!(send(&gateway, "GET", "").await.status(), 503);
    assert_eq!(soon.requests().len(), 3);
    let later = answering(429, &[("retry-after", "2")]).await;
    let well = Upstream::echo().await;
    let gateway = start("later", &[&later, &well], "statuses = [429]", "");
    let mut statuses =
        [send(&gateway, "GET", "").await, send(&gateway, "GET", "").await].map(|it| it.status());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429], "429 is about the caller, whatever target is asked");
    assert_eq!(later.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_keeps_an_upstream_that_fails_from_getting_more() {
    let busy = answering(503, &[]).await;
    let budget = "retry_budget = { share = 0.0, min_per_second = 1 }";
    let gateway = start("spent", &[&busy], "backoff = \"1ms\"", budget);
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..40 {
        assert_eq!(client.send(request("GET", "/", &[], "")).await.status(), 503);
    }
    // Ten in ten seconds; a slow machine has a few more.
    let more = busy.requests().len() - 40;
    assert!((10..30).contains(&more), "{more}");
    let said =
        log::lines(|line| line.field("upstream") == "spent" && line.message.contains("budget"));
    assert_eq!(
        said[0].message,
        "the retry budget is spent: requests that fail are not sent again for now"
    );
    assert!(said.len() <= more / 5, "one line a change: {}", said.len());
    let refused = "gateway_upstream_retries_refused_total{upstream=\"spent\",reason=\"budget\"}";
    assert!(metric(&gateway, refused).await.parse::<usize>().unwrap() > 10);
    assert!(
        !metric(&gateway, "gateway_upstream_retry_budget_spent{upstream=\"spent\"}")
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_sent_again_over_http2_too_and_ejection_learns_of_each_attempt() {
    let answer = |status: u16| {
        Upstream::http2(move |request| async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Response::builder().status(status).body(full(body)).unwrap()
        })
    };
    let (busy, well) = (answer(503).await, answer(200).await);
    let targets = format!("\"http://{}\", \"http://{}\"", busy.address, well.address);
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.two]\ntargets = [{targets}]\nprotocol = \"http2\"\n\
         ejection = {{ consecutive_failures = 2, time = \"1h\", max_time = \"1h\" }}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"two\"\nretries = {{}}\n"
    );
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    for _ in 0..8 {
        let answer = send(&gateway, "PUT", "body").await;
        assert_eq!((answer.status(), answer.text()), (200, "body"));
    }
    assert_eq!((busy.requests().len(), well.requests().len()), (2, 8));
    let seen = well.requests();
    assert!(seen.iter().all(|it| it.headers.contains_key("x-request-id")
        && it.headers["x-forwarded-for"] == "127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_documentation_saves_requests() {
    let (busy, well) = (answering(503, &[]).await, Upstream::echo().await);
    let at = [("10.0.0.1:9000", &busy), ("10.0.0.2:9000", &well)];
    let gateway = example("Another attempt", &at).start();
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..4 {
        let answer = client.send(request("PUT", "/catalogue/1", &[], "a price")).await;
        assert_eq!((answer.status(), answer.text()), (200, "a price"));
    }
    assert_eq!((busy.requests().len(), well.requests().len()), (2, 4));
}

/// Holds each request until it is let go.
async fn holding(gate: &Arc<tokio::sync::Semaphore>) -> Upstream {
    let gate = Arc::clone(gate);
    Upstream::http1(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(full("done"))
        }
    })
    .await
}

fn spawn(gateway: &Running) -> tokio::task::JoinHandle<Answer> {
    let address = gateway.address;
    tokio::spawn(async move { Http1::get(address, "/").await })
}

async fn becomes(gateway: &Running, line: &str, value: &str) {
    gateway_tests::within(async {
        while metric(gateway, line).await != value {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_has_so_many_requests_at_a_time_and_others_wait_or_are_turned_away() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let slow = holding(&gate).await;
    let config = |requests: usize| {
        let text = format!(
            "[admin]\naddress = \"127.0.0.1:0\"\n[upstreams.slow]\ntargets = [\"http://{}\"]\n\
             capacity = {{ requests = {requests}, queue = 2, queue_time = \"10m\" }}\n\
             [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"slow\"\n",
            slow.address
        );
        Setup::toml(&text, &[]).workers(2)
    };
    let gateway = config(2).start();
    let (open, waiting) = (
        "gateway_upstream_requests{upstream=\"slow\",state=\"open\"}",
        "gateway_upstream_requests{upstream=\"slow\",state=\"waiting\"}",
    );
    let mut served = vec![spawn(&gateway), spawn(&gateway)];
    becomes(&gateway, open, "2").await;
    served.push(spawn(&gateway));
    let mut leaves = Raw::connect(gateway.address).await;
    leaves.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    becomes(&gateway, waiting, "2").await;
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")));
    assert!(!answer.text().contains("slow"), "no names for clients");
    let line = "gateway_upstream_requests_shed_total{upstream=\"slow\",reason=\"full\"}";
    assert_eq!(metric(&gateway, line).await, "1");
    let failed =
        "gateway_requests_failed_total{route=\"r\",fault=\"upstream\",reason=\"upstream-full\"}";
    becomes(&gateway, failed, "1").await;
    let cause = &log::of_request(answer.id())[0];
    assert!(cause.field("cause").contains("it has 2 requests (`capacity.requests`), and 2 wait"));
    assert_eq!(slow.requests().len(), 2);
    // A client that leaves gives up its place in the queue.
    leaves.reset();
    becomes(&gateway, waiting, "1").await;
    // More places are there at once, fewer when requests end.
    let reload = |requests| {
        let (handle, config) = (gateway.handle.clone(), config(requests).config);
        tokio::task::spawn_blocking(move || handle.reload(config).unwrap())
    };
    reload(3).await.unwrap();
    becomes(&gateway, open, "3").await;
    reload(1).await.unwrap();
    served.push(spawn(&gateway));
    becomes(&gateway, waiting, "1").await;
    gate.add_permits(2);
    becomes(&gateway, open, "1").await;
    assert_eq!(metric(&gateway, waiting).await, "1");
    gate.add_permits(2);
    for answer in served {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    becomes(&gateway, open, "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_capacity_turns_requests_away_that_waited_for_too_long() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let slow = holding(&gate).await;
    let gateway = example("Capacity", &[("10.0.0.1:9000", &slow)]).start();
    let address = gateway.address;
    let ask = move || tokio::spawn(async move { Http1::get(address, "/reports/1").await });
    let first: Vec<_> = (0..4).map(|_| ask()).collect();
    gateway_tests::until(|| slow.requests().len() == 4).await;
    let late = ask().await.unwrap();
    assert_eq!((late.status(), late.header("retry-after")), (503, Some("1")));
    assert_eq!(slow.requests().len(), 4);
    gate.add_permits(9);
    for answer in first {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    assert_eq!(ask().await.unwrap().status(), 200);
}

/// Works on so many requests at a time, 40 ms on each; more share its time. Notes the most that were there at a time.
async fn sharing(at_a_time: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Upstream {
    let (at_a_time, most) = (Arc::clone(at_a_time), Arc::clone(most));
    let open = Arc::new(AtomicUsize::new(0));
    Upstream::http1(move |_| {
        let (at_a_time, most, open) =
            (Arc::clone(&at_a_time), Arc::clone(&most), Arc::clone(&open));
        async move {
            let count = open.fetch_add(1, SeqCst) + 1;
            most.fetch_max(count, SeqCst);
            let load = count as f64 / at_a_time.load(SeqCst) as f64;
            tokio::time::sleep(std::time::Duration::from_millis(40).mul_f64(load.max(1.0))).await;
            open.fetch_sub(1, SeqCst);
            Response::new(full("found"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_has_as_many_requests_as_it_answers_quickly_and_more_when_it_can() {
    let (at_a_time, most) = (Arc::new(AtomicUsize::new(8)), Arc::default());
    let search = sharing(&at_a_time, &most).await;
    let text = example_text("By latency", &[("10.0.0.1:9000", &search)]);
    let text = format!("[admin]\naddress = \"127.0.0.1:0\"\n{text}");
    let gateway = Setup::toml(&text, &[]).workers(2).start();
    let address = gateway.address;
    let limit = async || {
        let line = metric(&gateway, "gateway_upstream_requests_limit{upstream=\"search\"}").await;
        line.parse::<usize>().unwrap_or_default()
    };
    let until = async |is_reached: fn(usize) -> bool| {
        gateway_tests::within(async {
            while !is_reached(limit().await) {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
    };
    let [answered, refused] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let (answered, refused) = (Arc::clone(&answered), Arc::clone(&refused));
            tokio::spawn(async move {
                let mut client = Http1::connect(address).await;
                loop {
                    match client.send(get("/search/1")).await.status() {
                        200 => answered.fetch_add(1, SeqCst),
                        // It waited for longer than it may, as some do where the machine has other work.
                        503 => refused.fetch_add(1, SeqCst),
                        other => panic!("{other}"),
                    };
                }
            })
        })
        .collect();
    // Four requests are answered in 40 ms each, which shows what is possible; eight and more are let through then.
    until(|limit| limit >= 8).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    most.store(0, SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let settled = most.load(SeqCst);
    assert!((8..=40).contains(&settled), "{settled} at a time, of 100 that want to be");
    at_a_time.store(1_000, SeqCst);
    until(|limit| limit >= 50).await;
    assert!(clients.iter().all(|client| !client.is_finished()), "no request failed");
    let (answered, refused) = (answered.load(SeqCst), refused.load(SeqCst));
    assert!(refused * 4 < answered, "{refused} refused, {answered} answered");
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    let is_told = |line: &log::Line| {
        line.message.contains("another number of requests") && line.field("upstream") == "search"
    };
    assert!(!log::lines(is_told).is_empty());
}

/// Answers with a status and its name, and tells what it was sent.
async fn provider(name: &'static str, status: u16, says: &'static str) -> Upstream {
    Upstream::http1(move |request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|it| it.to_bytes()).unwrap_or_default();
        let field = |name: &str| head.headers.get(name).map_or("-", |it| it.to_str().unwrap());
        let told = format!(
            "{name} {says} {} {} {} {} {}",
            head.uri,
            field("x-attempt"),
            field("authorization"),
            field("x-secret"),
            body.len()
        );
        Response::builder().status(status).body(full(told)).unwrap()
    })
    .await
}

fn failing_over(name: &str, providers: [&str; 3], keys: &str, route: &str) -> Running {
    let [one, two, three] = providers;
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[recorder]\nsample = 1.0\n\
         [upstreams.{name}-1]\ntargets = [\"http://{one}\"]\n\
         [upstreams.{name}-2]\ntargets = [\"http://{two}\"]\n\
         [upstreams.{name}-3]\ntargets = [\"http://{three}\"]\n\
         [plugins.again]\ncomponent = \"./again.wasm\"\ngrants = [\"attempts\"]\n\
         forward_to = [\"{name}-2\", \"{name}-3\"]\n\
         config = {{ upstreams = [\"{name}-2\", \"{name}-3\"]{keys} }}\n\
         [plugins.tagger]\ncomponent = \"./tagger.wasm\"\nconfig = {{ name = \"t\" }}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"again\", \"tagger\"]\nupstream = \"{name}-1\"\n\
         access_log = \"all\"\n{route}\n"
    );
    Setup::toml(&text, &[]).workers(1).start()
}

fn at(upstream: &Upstream) -> String {
    upstream.address.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_has_a_request_sent_again_to_other_upstreams_until_one_answers() {
    let one = provider("one", 529, "busy").await;
    let two = provider("two", 200, "sorry").await;
    let three = provider("three", 200, "fine").await;
    let gateway = failing_over("over", [&at(&one), &at(&two), &at(&three)].map(|it| &**it), "", "");
    let mut client = Http1::connect(gateway.address).await;
    let prompt = "a prompt ".repeat(20_000);
    for _ in 0..2 {
        let expected = "three fine /v1?a=b 3 Bearer over-3 - 180000";
        let fields = [("x-secret", "s"), ("authorization", "Bearer client")];
        let request = request("POST", "/v1?a=b", &fields, prompt.clone());
        let answer = client.send(request).await;
        assert_eq!((answer.status(), answer.text()), (200, expected));
        assert_eq!(answer.header("x-sent"), Some("3"));
        // What request hooks wanted written is there once, and response hooks of others have seen this response once.
        assert_eq!(
            (answer.header("x-seen"), answer.header("x-trace-response")),
            (Some("yes"), Some("t"))
        );
        assert_eq!(attempts(&answer).await, "answered answered answered");
    }
    let line = format!(
        "gateway_upstream_attempts_total{{upstream=\"over-2\",target=\"{}\",result=\"answered\"}}",
        two.address
    );
    assert_eq!(metric(&gateway, &line).await, "2");
    let answer = client.send(request("GET", "/", &[], "")).await;
    let path = format!("/requests/{}", answer.id());
    let record = Http1::admin(gateway.admin.unwrap(), &path).await;
    let record: Value = serde_json::from_slice(&record.body).unwrap();
    let targets = record["upstream"]["attempts"].as_array().unwrap().iter();
    let targets: Vec<_> = targets.map(|it| it["target"].as_str().unwrap().to_owned()).collect();
    assert_eq!(targets, [at(&one), at(&two), at(&three)]);
    assert_eq!(
        (&record["answered_by"], &record["failure"]),
        (&"upstream over-3".into(), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_attempt_may_have_another_body_and_follows_an_upstream_that_is_not_there() {
    let closed = gateway_tests::ClosedPort::new();
    let nowhere = closed.to_string();
    let two = provider("two", 200, "fine").await;
    let keys = ", body = \"translated\"";
    // Nothing is kept of the client's body.
    let route = "retries = { body = \"1KiB\" }";
    let gateway = failing_over("gone", [&nowhere, &at(&two), &nowhere], keys, route);
    let answer = send(&gateway, "POST", vec![b'x'; 4096]).await;
    assert_eq!(answer.text(), "two fine /v2/messages?beta=true 2 Bearer gone-2 - 10");
    assert_eq!(attempts(&answer).await, "refused answered");
    let lines = log::of_request(answer.id());
    assert!(lines.iter().all(|line| line.field("cause").is_empty()), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_a_plugin_are_bounded_and_need_the_body() {
    let busy = provider("busy", 503, "busy").await;
    let all = at(&busy);
    let gateway =
        failing_over("all", [&all, &all, &all], "", "retries = { statuses = [], body = \"1KiB\" }");
    let answer = send(&gateway, "GET", "").await;
    assert_eq!((answer.status(), busy.requests().len()), (503, 8));
    assert_eq!(answer.header("x-sent"), Some("8"));
    assert!(
        log::said(answer.id())
            .contains(&"no other attempt: the request was sent 8 times".to_owned())
    );
    let answer = send(&gateway, "POST", vec![b'x'; 4096]).await;
    assert_eq!((answer.status(), busy.requests().len()), (503, 9));
    assert!(
        log::said(answer.id())
            .contains(&"no other attempt: the request's body was not kept".to_owned())
    );
    assert_eq!(metric(&gateway, "gateway_held_body_bytes").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_slow_is_sent_to_another_target_besides_and_the_slower_one_is_cancelled()
{
    let left = Arc::new(AtomicUsize::new(0));
    let gone = Arc::clone(&left);
    let silent = Upstream::script(move |mut stream| {
        let gone = Arc::clone(&gone);
        async move {
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            gone.fetch_add(1, SeqCst);
        }
    })
    .await;
    let well = Upstream::echo().await;
    let budget = "retry_budget = { share = 0.0, min_per_second = 1 }";
    let retries = "on = [], statuses = [503], hedge_after = \"20ms\"";
    let gateway = start("hedged", &[&silent, &well], retries, budget);
    let mut client = Http1::connect(gateway.address).await;
    let mut hedged = 0;
    for _ in 0..6 {
        let answer = client.send(request("GET", "/", &[], "")).await;
        assert_eq!(answer.status(), 200);
        let shown = attempts(&answer).await;
        // Where the machine was slow, the good one is hedged too, or a second one came for nothing.
        hedged += usize::from(shown == "cancelled answered");
    }
    assert!((1..=6).contains(&hedged), "{hedged}");
    gateway_tests::until(|| left.load(SeqCst) >= hedged).await;
    let line = format!(
        "gateway_upstream_attempts_total{{upstream=\"hedged\",target=\"{}\",result=\"cancelled\"}}",
        silent.address
    );
    assert!(metric(&gateway, &line).await.parse::<usize>().unwrap() >= hedged);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_hedging_answers_though_a_target_is_silent() {
    let silent = Upstream::script(|stream| async move {
        let _stays_open = stream;
        std::future::pending().await
    })
    .await;
    let well = Upstream::echo().await;
    let at = [("10.0.0.1:9000", &silent), ("10.0.0.2:9000", &well)];
    let gateway = example("Hedging", &at).start();
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..4 {
        assert_eq!(client.send(request("GET", "/search/x", &[], "")).await.status(), 200);
    }
    assert!(silent.connections() >= 1, "it had its turn");
    assert_eq!(well.requests().len(), 4);
}
