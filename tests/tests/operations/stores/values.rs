//! Keys and values in a server that several gateways share.

use std::time::{Duration, Instant};

use gateway_tests::Http1;
use gateway_tests::client::request;
use tempfile::tempdir;
use tokio::task::JoinSet;

use super::gateways::{Gateway, limit};
use super::server::{ALL, KINDS, Kind, Server};
use super::shared::store;

/// A plugin that counts, and the route `/NAME` that it is for.
fn counts(name: &str, on_error: &str, config: &str) -> String {
    let guest = gateway_tests::guests::path("counter");
    format!(
        "[plugins.{name}]\ncomponent = {guest:?}\ngrants = [\"key-value\"]\n\
         key_value = {{ store = \"shared\", on_store_error = \"{on_error}\" }}\n\
         limits = {{ deadline = \"1s\" }}\n{config}\n\
         [[routes]]\nname = \"{name}\"\npaths = [\"/{name}\"]\nplugins = [\"{name}\"]\n\
         respond = {{ body = \"fine\" }}\n"
    )
}

/// What the plugin answers.
async fn ask(gateway: &Gateway, path: &str, key: &str, what: &str) -> String {
    let mut client = Http1::connect(gateway.address).await;
    let fields = [("x-count-key", key), ("x-count-do", what)];
    let asked = request("GET", path, &fields, "");
    let answer = client.send_within(asked, Duration::from_secs(60)).await;
    assert_eq!(answer.status(), 200);
    answer.header("x-count").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_have_the_same_keys_and_values() {
    for kind in ALL {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let text = store(&server, "")
            + &counts("counts", "closed", "")
            + &counts("brief", "closed", "config.ttl = 300");
        let mut gateways = Vec::new();
        for _ in 0..3 {
            gateways.push(Gateway::run_up(folder.path(), &text).await);
        }
        let [one, other] = [&gateways[0], &gateways[1]];
        let long = "k".repeat(700);
        for key in ["colour", &long] {
            assert_eq!(ask(one, "/counts", key, "get").await, "none", "{kind:?}");
            assert_eq!(ask(one, "/counts", key, "set blue").await, "set");
            assert_eq!(ask(other, "/counts", key, "get").await, "blue");
            assert_eq!(ask(other, "/counts", key, "absent red").await, "false");
            assert_eq!(ask(other, "/counts", key, "increment").await, "NotANumber");
            assert_eq!(ask(other, "/brief", key, "get").await, "none", "that is another plugin");
            assert_eq!(ask(other, "/counts", key, "delete").await, "true");
            assert_eq!(ask(one, "/counts", key, "delete").await, "false");
            assert_eq!(ask(one, "/counts", key, "absent red").await, "true");
            assert_eq!(ask(other, "/counts", key, "get").await, "red");
        }
        assert!(server.ask("GET gateway:{counts}:v=colour").contains("red"));
        let most = i64::MAX.to_string();
        assert_eq!(ask(one, "/counts", "most", &format!("set {most}")).await, "set");
        assert_eq!(ask(one, "/counts", "most", "increment").await, "NotANumber", "past 64 bits");
        assert_eq!(ask(one, "/counts", &"k".repeat(1_025), "set a").await, "TooLarge");

        // No sum is told twice.
        let mut tasks = JoinSet::new();
        for index in 0..30 {
            let address = gateways[index % 3].address;
            tasks.spawn(async move {
                let mut client = Http1::connect(address).await;
                let mut sums = Vec::new();
                for _ in 0..20 {
                    let asked = request("GET", "/counts", &[("x-count-key", "sum")], "");
                    let answer = client.send_within(asked, Duration::from_secs(60)).await;
                    sums.push(answer.header("x-count").unwrap().parse::<u64>().unwrap());
                }
                sums
            });
        }
        let mut sums = Vec::new();
        while let Some(more) = tasks.join_next().await {
            sums.extend(more.unwrap());
        }
        sums.sort_unstable();
        assert_eq!(sums, (1..=600).collect::<Vec<_>>(), "{kind:?}");

        // A counter keeps the time with which it began, and a value ends with its own.
        for what in ["set blue", "increment", "absent blue"] {
            let began = Instant::now();
            ask(one, "/brief", what, what).await;
            while ask(other, "/brief", what, "get").await != "none" {
                assert!(began.elapsed() < Duration::from_secs(30), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_full_says_so_and_goes_on() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &["--maxmemory-policy", "noeviction"]).await else {
            continue;
        };
        let folder = tempdir().unwrap();
        let text = store(&server, "") + &counts("counts", "closed", "");
        let gateway = Gateway::run_up(folder.path(), &text).await;
        assert_eq!(ask(&gateway, "/counts", "a", "set 1").await, "set");
        assert!(server.ask("CONFIG SET maxmemory 1").starts_with("+OK"));
        for _ in 0..4 {
            for what in ["set 2", "absent 2", "increment"] {
                assert_eq!(ask(&gateway, "/counts", "a", what).await, "Full", "{kind:?} {what}");
            }
        }
        assert_eq!(ask(&gateway, "/counts", "a", "get").await, "1");
        assert!(gateway.metric("gateway_store_up").await > 0.0, "it answers");
        assert!(server.ask("CONFIG SET maxmemory 0").starts_with("+OK"));
        assert_eq!(ask(&gateway, "/counts", "a", "increment").await, "2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_done_without_as_configured() {
    for kind in KINDS {
        let Some(mut server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let text = format!("[stores.shared]\nredis = \"{}\"\ntimeout = \"1s\"\n", server.url())
            + &counts("closed", "closed", "")
            + &counts("local", "local", "");
        let gateway = Gateway::run_up(folder.path(), &text).await;
        assert_eq!(ask(&gateway, "/local", "a", "set 7").await, "set");
        assert_eq!(ask(&gateway, "/closed", "a", "set 7").await, "set");

        // Silent: a hook waits for it, and no worker does.
        server.pause();
        let waits = async {
            let began = Instant::now();
            assert_eq!(ask(&gateway, "/closed", "a", "get").await, "Unavailable", "{kind:?}");
            began.elapsed()
        };
        let others = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut longest = Duration::ZERO;
            for _ in 0..20 {
                let (status, took) = gateway.ask("/free", &[]).await;
                assert_eq!(status, 200);
                longest = longest.max(took);
            }
            longest
        };
        let (waited, longest) = tokio::join!(waits, others);
        assert!(waited >= Duration::from_millis(900), "{waited:?}");
        assert!(longest < Duration::from_millis(800), "no other waited: {longest:?}");
        server.go_on();
        gateway.until("gateway_store_up", |up| up == 1.0).await;
        assert_eq!(ask(&gateway, "/closed", "a", "get").await, "7");

        // Gone.
        server.kill();
        gateway.until("gateway_store_up", |up| up == 0.0).await;
        for what in ["get", "set 8", "absent 8", "increment"] {
            assert_eq!(ask(&gateway, "/closed", "a", what).await, "Unavailable", "{what}");
        }
        assert_eq!(ask(&gateway, "/closed", "a", "delete").await, "false");
        for what in ["none", "1", "2"] {
            let asked = if what == "none" { "get" } else { "increment" };
            assert_eq!(ask(&gateway, "/local", "a", asked).await, what, "it has its own");
        }
        server.start_again().await;
        gateway.until("gateway_store_up", |up| up == 1.0).await;
        assert_eq!(ask(&gateway, "/local", "a", "get").await, "none", "the server lost it");
        assert_eq!(ask(&gateway, "/closed", "a", "increment").await, "1");
        gateway.says("answers again", 1).await;
        gateway.says("cannot be had", 1).await;
    }
}

/// A plugin may have its limits and its values in one server, and each in its place.
#[tokio::test]
async fn limits_and_values_are_apart_in_one_server() {
    let Some(server) = Server::start(Kind::Redis, &[]).await else { return };
    let folder = tempdir().unwrap();
    let policy = "{ name = \"day\", limit = 2, window = \"1d\", key = [] }";
    let text = store(&server, "")
        + &counts("counts", "local", "")
        + &limit("day", "\"shared\"", policy).replace("[\"day\"]", "[\"day\", \"counts\"]");
    let gateway = Gateway::run_up(folder.path(), &text).await;
    assert_eq!(gateway.statuses("/day", 3).await, [200, 200, 429]);
    assert_eq!(ask(&gateway, "/counts", "requests", "get").await, "2");
}
