//! Requests that plugins send by themselves: to whom, how long, how large, how many.

use std::sync::Arc;
use std::time::Duration;

use gateway::{BindError, Gateway};
use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Raw, Running, Setup, Upstream, log, until, within};
use http::Response;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

/// A gateway with `calls-out` under this name, which may call the upstream `granted`; `other` is
/// the same, and not granted.
fn calling(name: &str, upstream: &Upstream) -> Setup {
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[upstreams.granted]\ntargets = [\"http://${{env:UPSTREAM}}\"]\n\
         [upstreams.other]\ntargets = [\"http://${{env:UPSTREAM}}\"]\n\
         [plugins.{name}]\ncomponent = \"./calls-out.wasm\"\nupstreams = [\"granted\"]\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"{name}\"]\n\
         respond = {{ body = \"fine\" }}\n\
         [[routes]]\nname = \"bare\"\npaths = [\"/bare\"]\nrespond = {{ body = \"bare\" }}\n\
         [[routes]]\nname = \"echo\"\npaths = [\"/echo\"]\nplugins = [\"{name}\"]\n\
         upstream = \"other\"\n"
    );
    Setup::toml(&text, &[("UPSTREAM", &upstream.address)])
}

async fn ask(gateway: &Running, fields: &[(&str, &str)]) -> Answer {
    Http1::connect(gateway.address).await.send(request("GET", "/", fields, "")).await
}

/// What became of the request that these fields ask for.
async fn answer(gateway: &Running, fields: &[(&str, &str)]) -> String {
    let mut all = vec![("x-call", "granted")];
    all.extend(fields);
    let answer = ask(gateway, &all).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.header("x-answer").unwrap().to_owned()
}

async fn hello() -> Upstream {
    Upstream::http1(|request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = format!("{} {}{}", head.method, head.uri, String::from_utf8_lossy(&body));
        let response = Response::builder().status(203).header("x-from", "there");
        response.body(full(text)).unwrap()
    })
    .await
}

#[tokio::test]
async fn a_plugin_calls_an_upstream_over_a_connection_that_is_used_again() {
    let upstream = hello().await;
    let gateway = calling("calls", &upstream).start();
    let told = answer(&gateway, &[("x-target", "/a?b=c")]).await;
    assert_eq!(told, "203 there 10 GET /a?b=c");
    let told = answer(&gateway, &[("x-body", "hello")]).await;
    assert_eq!(told, "203 there 11 POST /hello");
    let asked = ask(&gateway, &[("x-call", "granted"), ("x-times", "10")]).await;
    assert_eq!(asked.header("x-answers"), Some("10"));
    // A `POST` takes none that was idle for long, which a busy machine may do.
    assert!(upstream.connections() <= 3);
    let requests = upstream.requests();
    assert_eq!(requests.len(), 12);
    let last = &requests[11].headers;
    assert_eq!(last["host"], upstream.address.to_string());
    assert_eq!(last["x-request-id"], asked.id());
    assert!(!last.contains_key("x-call"), "nothing of the client's request goes along");
}

#[tokio::test]
async fn an_upstream_that_was_not_granted_cannot_be_called() {
    let upstream = hello().await;
    let gateway = calling("not-granted", &upstream).start();
    for name in ["other", "nobody", ""] {
        let answer = ask(&gateway, &[("x-call", name)]).await;
        assert_eq!(answer.header("x-answer"), Some("NotGranted"), "{name}");
    }
    for (field, words) in
        [("content-length", "is the gateway's"), ("a b", "not a valid field name")]
    {
        let told = answer(&gateway, &[("x-field", field)]).await;
        assert!(told.starts_with("Invalid(") && told.contains(words), "{told}");
    }
    let told = answer(&gateway, &[("x-target", "http://elsewhere/")]).await;
    assert!(told.contains("is not a path and a query"), "{told}");
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn ten_thousand_calls_in_one_hook_are_sixteen_and_told_once() {
    let upstream = hello().await;
    let mut setup = calling("many", &upstream);
    // Being refused 10,000 times takes longer than 20 ms where nothing is optimised.
    setup.config.plugins[0].deadline = Duration::from_secs(5);
    let gateway = setup.start();
    let answer = ask(&gateway, &[("x-call", "granted"), ("x-times", "10000")]).await;
    assert_eq!(answer.header("x-answers"), Some("16"));
    assert_eq!(answer.header("x-answer"), Some("TooMany"));
    assert_eq!(upstream.requests().len(), 16);
    let told = log::of_request(answer.id());
    let told: Vec<_> = told.iter().filter(|line| line.message.contains("more than 16")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].field("plugin"), "many");
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    for (result, count) in [("response", 16), ("refused", 10_000 - 16)] {
        let name = "gateway_plugin_upstream_requests_total";
        // One more was refused in `configure` of the instance, and one when it was loaded.
        let count = if result == "refused" { count + 2 } else { count };
        let line = format!("{name}{{plugin=\"many\",result=\"{result}\"}} {count}\n");
        assert!(metrics.text().contains(&line), "{line}{}", metrics.text());
    }
    // The next hook starts again.
    let answer = ask(&gateway, &[("x-call", "granted"), ("x-times", "16")]).await;
    assert_eq!(answer.header("x-answers"), Some("16"));
}

#[tokio::test]
async fn time_and_size_are_bounded_and_what_went_wrong_is_logged() {
    let upstream = Upstream::http1(|request| async move {
        match request.uri().path() {
            "/silent" => std::future::pending().await,
            "/long" => Response::new(full(vec![b'x'; 2 << 20])),
            _ => Response::new(full(vec![b'x'; 1000])),
        }
    })
    .await;
    let gateway = calling("bounds", &upstream).start();
    let asked = [("x-call", "granted"), ("x-target", "/silent"), ("x-timeout", "50")];
    let silent = ask(&gateway, &asked).await;
    assert_eq!(silent.header("x-answer"), Some("Timeout"));
    let named = |line: &log::Line| line.message.contains("no whole response within 50ms");
    let line = log::of_request(silent.id()).into_iter().find(named).unwrap();
    assert_eq!((line.field("plugin"), line.field("upstream")), ("bounds", "granted"));
    // 1 MiB, unless the plugin says otherwise.
    assert_eq!(answer(&gateway, &[("x-target", "/long")]).await, "TooLarge");
    let told = answer(&gateway, &[("x-target", "/long"), ("x-limit", "2097152")]).await;
    assert!(told.starts_with("200  2097152 xxx"), "{told}");
    assert_eq!(answer(&gateway, &[("x-limit", "999")]).await, "TooLarge");
    assert!(answer(&gateway, &[("x-limit", "1000")]).await.starts_with("200  1000 xxx"));
}

#[tokio::test]
async fn upstreams_that_are_not_there_or_do_not_speak_http_are_told_apart() {
    let garbage = Upstream::script(|mut stream| async move {
        let _read = stream.read(&mut [0; 1024]).await;
        let _written = stream.write_all(b"what?\r\n\r\n").await;
    })
    .await;
    let gateway = calling("garbage", &garbage).start();
    assert_eq!(answer(&gateway, &[]).await, "Protocol");
    let address = garbage.address;
    drop(garbage);
    until(|| std::net::TcpStream::connect(address).is_err()).await;
    assert_eq!(answer(&gateway, &[]).await, "Connect");
}

#[tokio::test]
async fn waiting_is_not_computing_and_the_worker_serves_others_meanwhile() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let upstream = Upstream::http1(move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(full("at last"))
        }
    })
    .await;
    let mut setup = calling("waits", &upstream);
    setup.config.plugins[0].deadline = Duration::from_millis(50);
    let gateway = setup.start();
    let address = gateway.address;
    let fields = [("x-call", "granted"), ("x-timeout", "20000")];
    let waiting = tokio::spawn(async move {
        Http1::connect(address).await.send(request("GET", "/", &fields, "")).await
    });
    until(|| !upstream.requests().is_empty()).await;
    // Longer than the hook may compute.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(Http1::get(gateway.address, "/bare").await.text(), "bare");
    assert_eq!(Http1::get(gateway.address, "/").await.text(), "fine");
    gate.add_permits(1);
    let answer = within(waiting).await.unwrap();
    assert_eq!(answer.header("x-answer"), Some("200  7 at last"));

    // The time is up for one that computes after its wait.
    gate.add_permits(1);
    let answer = ask(&gateway, &[("x-call", "granted"), ("x-spin", "1")]).await;
    assert_eq!(answer.status(), 500);
    let named = |line: &log::Line| line.message.contains("its deadline of 50ms");
    until(|| log::of_request(answer.id()).iter().any(named)).await;
}

#[tokio::test]
async fn a_reload_leaves_a_call_under_way_alone() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let upstream = Upstream::http1(move |request| {
        let gate = Arc::clone(&opened);
        async move {
            if request.uri().path() == "/wait" {
                gate.acquire().await.unwrap().forget();
            }
            Response::new(full("at last"))
        }
    })
    .await;
    let gateway = calling("reloads", &upstream).start();
    let address = gateway.address;
    let waiting = tokio::spawn(async move {
        let fields = [("x-call", "granted"), ("x-target", "/wait"), ("x-timeout", "20000")];
        Http1::connect(address).await.send(request("GET", "/", &fields, "")).await
    });
    until(|| !upstream.requests().is_empty()).await;
    let mut revoked = calling("reloads", &upstream);
    revoked.config.plugins[0].upstreams = Some(vec![]);
    gateway.handle.reload(revoked.config).unwrap();
    within(async { while answer(&gateway, &[]).await != "NotGranted" {} }).await;
    gate.add_permits(1);
    let answer = within(waiting).await.unwrap();
    assert_eq!(answer.header("x-answer"), Some("200  7 at last"));
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_call_with_it() {
    let (asked, left) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (on_request, on_end) = (Arc::clone(&asked), Arc::clone(&left));
    let upstream = Upstream::script(move |mut stream| {
        let (asked, left) = (Arc::clone(&on_request), Arc::clone(&on_end));
        async move {
            let _request = stream.read(&mut [0; 1024]).await;
            asked.add_permits(1);
            let ended = stream.read(&mut [0; 1024]).await;
            assert!(matches!(ended, Ok(0) | Err(_)), "nothing more comes");
            left.add_permits(1);
        }
    })
    .await;
    let gateway = calling("leaves", &upstream).start();
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-call: granted\r\nx-timeout: 60000\r\n\r\n").await;
    within(asked.acquire()).await.unwrap().forget();
    // Ending its side alone would say that it waits.
    client.reset();
    within(left.acquire()).await.unwrap().forget();
    assert_eq!(Http1::get(gateway.address, "/").await.text(), "fine");
}

#[tokio::test]
async fn hooks_of_bodies_and_pieces_of_responses_can_wait_and_those_of_requests_are_told_that_they_cannot()
 {
    let upstream = Upstream::echo().await;
    let gateway = calling("where", &upstream).start();
    for (place, expected) in [("body", "200  0 "), ("chunk", "NotHere"), ("piece", "200  0 ")] {
        let fields = [("x-call", "granted"), ("x-where", place)];
        let asked = request("POST", "/echo", &fields, "a body");
        let answer = Http1::connect(gateway.address).await.send(asked).await;
        assert_eq!((answer.status(), answer.text()), (200, expected), "{place}");
    }
}

#[tokio::test]
async fn the_end_of_an_exchange_cannot_wait_either() {
    let upstream = hello().await;
    let gateway = calling("ends", &upstream).start();
    let answer = ask(&gateway, &[("x-call", "granted"), ("x-where", "complete")]).await;
    until(|| log::said(answer.id()) == ["NotHere"]).await;
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_plugin_that_promised_not_to_wait_fails_when_it_does() {
    let upstream = hello().await;
    let mut setup = calling("promises", &upstream);
    setup.config.plugins[0].config = r#"{"promise":true}"#.to_owned();
    let gateway = setup.start();
    assert_eq!(Http1::get(gateway.address, "/").await.text(), "fine");
    let answer = ask(&gateway, &[("x-call", "granted")]).await;
    assert_eq!(answer.status(), 500);
    let named = |line: &log::Line| line.message.contains("its interest says `never-waits`");
    until(|| log::of_request(answer.id()).iter().any(named)).await;
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn what_a_component_needs_is_told_without_a_configuration() {
    use gateway::config::Component;
    use gateway_tests::guests;
    for (guest, grant, key) in [
        ("records", Some("metrics"), None),
        ("keeper", None, Some("secrets")),
        ("calls-out", None, Some("upstreams")),
    ] {
        let found = gateway::inspect(&Component::File(guests::path(guest))).unwrap();
        let needs = |import: &&gateway::PluginImport| import.grant.or(import.key).is_some();
        let import = found.imports.iter().find(needs).unwrap();
        assert_eq!((import.grant, import.key), (grant, key), "{guest}");
    }
}

#[tokio::test]
async fn the_import_must_be_granted_by_naming_upstreams() {
    let upstream = hello().await;
    let mut setup = calling("bare", &upstream);
    setup.config.plugins[0].upstreams = None;
    let errors = Gateway::bind(setup.config).map(drop).unwrap_err();
    let [BindError::Plugin { message, help, .. }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(message, "it imports what it was not granted: \"http-client\"");
    let words = "to grant it, write `upstreams = [\"NAME\"]`, with the upstreams that it may use, \
                 beside `component`";
    assert_eq!(help.as_deref(), Some(words));
}
