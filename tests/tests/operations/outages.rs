//! An outage of what a plugin depends on is one line of the log, and one when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use gateway_tests::upstream::full;
use gateway_tests::{Http1, Setup, Upstream, log};
use http::Response;

const TEXT: &str = r#"
[upstreams.judge]
targets = ["http://${env:JUDGE}"]
[plugins.asks-in-outage]
component = "forward-auth"
upstreams = ["judge"]
config = { upstream = "judge", path = "/ask" }
[plugins.introspects-in-outage]
component = "auth"
upstreams = ["judge"]
config.introspection = { upstream = "judge", path = "/token", client_id = "c", client_secret = "s", remember = "0s" }
[[routes]]
name = "asked"
paths = ["/asked"]
plugins = ["asks-in-outage"]
respond = { status = 200 }
[[routes]]
name = "introspected"
paths = ["/introspected"]
plugins = ["introspects-in-outage"]
respond = { status = 200 }
"#;

#[tokio::test]
async fn an_outage_is_one_line_and_its_end_another() {
    let is_well = Arc::new(AtomicBool::new(false));
    let judge = Upstream::http1({
        let is_well = Arc::clone(&is_well);
        move |_| {
            let status = if is_well.load(SeqCst) { 200 } else { 500 };
            async move {
                let answer = r#"{"active":true,"sub":"acme","client_id":"c"}"#;
                Response::builder().status(status).body(full(answer)).unwrap()
            }
        }
    })
    .await;
    let gateway = Setup::toml(TEXT, &[("JUDGE", &judge.address)]).start();
    let token = [("authorization", "Bearer x")];
    let ask = async |path: &str| {
        let mut client = Http1::connect(gateway.address).await;
        client.send(gateway_tests::client::request("GET", path, &token, "")).await.status()
    };
    let said = |plugin: &str, words: &str| {
        let of = |line: &log::Line| line.field("plugin") == plugin && line.message.contains(words);
        log::lines(of).len()
    };
    for (path, plugin) in [("/asked", "asks-in-outage"), ("/introspected", "introspects-in-outage")]
    {
        is_well.store(false, SeqCst);
        for _ in 0..5 {
            assert_eq!(ask(path).await, 503);
        }
        assert_eq!(said(plugin, "the plugin's request has no response: it answered 500"), 1);
        is_well.store(true, SeqCst);
        for _ in 0..3 {
            assert_eq!(ask(path).await, 200);
        }
        assert_eq!(said(plugin, "are answered again"), 1);
        let warned =
            log::lines(|it| it.field("plugin") == plugin && it.level == tracing::Level::WARN);
        assert_eq!(warned.len(), 1, "and nothing else: {warned:?}");
    }
}
