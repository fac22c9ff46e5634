//! Requests that components send by themselves, to upstreams that they were granted.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use gateway_tests::client::request;
use gateway_tests::setup::Running;
use gateway_tests::upstream::full;
use gateway_tests::{ClosedPort, Http1, Raw, Setup, Upstream, log, until, within};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc::UnboundedSender;

use super::ask;

/// A component that was granted the upstream `granted`, beside one that it was not.
fn calling(upstream: &Upstream) -> Running {
    let text = r#"
[upstreams.granted]
targets = ["http://${env:UPSTREAM}"]
timeouts = { idle = "200ms" }

[upstreams.other]
targets = ["http://${env:UPSTREAM}"]

[components.service]
file = "./serves.wasm"
upstreams = ["granted"]

[[routes]]
name = "other"
paths = ["/other"]
upstream = "other"

[[routes]]
name = "service"
paths = ["/{*rest}"]
component = "service"
"#;
    Setup::toml(text, &[("UPSTREAM", &upstream.address)]).start()
}

#[tokio::test]
async fn it_sends_requests_to_the_upstreams_that_it_was_granted() {
    let upstream = Upstream::http1(|request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
        let answer = Response::builder().status(203).header("x-from", "there");
        answer.header("keep-alive", "timeout=5").body(full(text)).unwrap()
    })
    .await;
    let gateway = calling(&upstream);
    let sent = request("POST", "/pass/granted/a?b=c", &[("x-name", "Ada")], "a body");
    let answer = Http1::connect(gateway.address).await.send(sent).await;
    assert_eq!((answer.status(), answer.text()), (203, "POST /a?b=c a body"));
    assert_eq!(answer.header("x-from"), Some("there"));
    let seen = upstream.requests().remove(0).headers;
    assert_eq!(seen["host"], upstream.address.to_string());
    assert_eq!(
        (&seen["x-name"], &seen["x-request-id"]),
        (&"Ada".parse().unwrap(), &answer.id().parse().unwrap())
    );
    // Names of upstreams are names of hosts, in any case.
    assert_eq!(ask(&gateway, "/pass/GRANTED/").await.status(), 203);
    assert_eq!(upstream.connections(), 1, "connections are kept");

    for name in ["other", "nobody", "granted:80", "a.granted"] {
        let answer = ask(&gateway, &format!("/pass/{name}/")).await;
        assert_eq!(answer.text(), "ErrorCode::HttpRequestDenied", "{name}");
        let told = log::of_request(answer.id());
        assert!(told[0].message.contains(&format!("`{name}`, which is no upstream")), "{told:?}");
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_request_streams_to_the_upstream_as_it_comes() {
    let upstream = Upstream::echo().await;
    let gateway = calling(&upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST /pass/granted/ HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.send("3\r\none\r\n").await;
    until(|| upstream.requests().len() == 1).await;
    raw.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert!(raw.response().await.body.contains("onetwo"));
}

/// Dropped with the body that it belongs to.
struct Gone(UnboundedSender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _nobody_asks = self.0.send(());
    }
}

#[tokio::test]
async fn events_of_an_upstream_pass_as_they_come_and_end_with_the_client() {
    let (sender, mut gone) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::http1(move |_| {
        let guard = Gone(sender.clone());
        let events = stream::unfold((0, guard), |(index, guard)| async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let event = Frame::data(Bytes::from(format!("data: {index}\n\n")));
            Some((Ok(event), (index + 1, guard)))
        });
        async { Response::new(StreamBody::new(events).boxed_unsync()) }
    })
    .await;
    let gateway = calling(&upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /pass/granted/events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("data: 3\n\n").await;
    drop(raw);
    within(gone.recv()).await.unwrap();
}

#[tokio::test]
async fn its_requests_are_bounded_and_what_goes_wrong_is_logged() {
    let upstream = Upstream::http1(|request| async move {
        match request.uri().path() {
            "/slow" => std::future::pending().await,
            "/stalls" => {
                let first = stream::once(async { Ok(Frame::data(Bytes::from("half"))) });
                let all = first.chain(stream::pending());
                Response::new(StreamBody::new(all).boxed_unsync())
            }
            _ => Response::new(full("fine")),
        }
    })
    .await;
    let gateway = calling(&upstream);
    let answer = ask(&gateway, "/asks/150").await;
    assert_eq!(answer.text(), "100 ErrorCode::ConnectionLimitReached");
    let told = log::of_request(answer.id());
    let told: Vec<_> = told.iter().filter(|line| line.message.contains("100 requests")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    // The next request starts again.
    assert_eq!(ask(&gateway, "/asks/1").await.text(), "1 ");

    let answer = ask(&gateway, "/pass/granted/connect").await;
    assert_eq!(answer.text(), "ErrorCode::HttpRequestMethodInvalid");

    let answer = ask(&gateway, "/pass/granted/slow").await;
    assert_eq!(answer.text(), "ErrorCode::ConnectionReadTimeout");
    let told = log::of_request(answer.id());
    assert!(told[0].message.contains("`granted` failed: no response within 50ms"), "{told:?}");
    // It panics at it, in the middle of its own response.
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /pass/granted/stalls HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("half").await;
    let rest = raw.rest().await;
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest:?}");

    let address = upstream.address;
    drop(upstream);
    let _closed = ClosedPort::at(address).await;
    assert_eq!(ask(&gateway, "/asks/1").await.text(), "0 ErrorCode::ConnectionRefused");
}
