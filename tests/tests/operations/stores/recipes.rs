//! The recipes in the README of `rate-limit`, each run as it is there but for limits that are smaller and windows that do not
//! end meanwhile. Those of stores are in `shared`, those of plans and of what is settled in `quotas`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Upstream, until, within};
use http::Response;
use tempfile::tempdir;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::gateways::Gateway;
use super::quotas::{keys, recipe};

/// Sections with a recipe, each of which a test runs: `recipe` is asked for all of them.
const RUN: [&str; 7] = [
    "# rate-limit",
    "## One limit for several gateways",
    "### Plans",
    "### Settling",
    "### Values in bodies",
    "## Requests at the same time",
    "## Exemptions",
];

#[test]
fn each_recipe_of_the_readme_is_run() {
    let readme = include_str!("../../../../plugins/rate-limit/README.md");
    let mut section = "";
    let mut recipes = Vec::new();
    for line in readme.lines() {
        match line {
            "```toml" => recipes.push(section),
            line if line.starts_with('#') => section = line,
            _ => {}
        }
    }
    assert_eq!(recipes, RUN, "a recipe needs a test that runs it, and a row here");
    let tests = [include_str!("shared.rs"), include_str!("quotas.rs"), include_str!("recipes.rs")];
    for section in RUN {
        let runs = tests.iter().any(|test| {
            test.contains(&format!("recipe(\"{section}\")"))
                || test.contains(&format!("split_once(\"{section}\")"))
        });
        assert!(runs, "no test takes the recipe of `{section}`");
    }
}

fn replaced(section: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(section.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "there is no {from} in\n{text}");
        text.replace(from, to)
    })
}

fn route(name: &str, plugins: &str, action: &str) -> String {
    format!("[[routes]]\nname = \"{name}\"\npaths = [\"/{name}\"]\nplugins = {plugins}\n{action}\n")
}

const FINE: &str = "respond = { body = \"fine\" }";

async fn statuses(
    gateway: &Gateway,
    path: &str,
    fields: &[(&str, &str)],
    count: usize,
) -> Vec<u16> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(gateway.ask(path, fields).await.0);
    }
    all
}

#[tokio::test]
async fn the_first_recipe_of_the_readme_limits_a_burst_and_a_day() {
    let recipe = recipe("# rate-limit");
    let recipe = replaced(&recipe, &[("window = \"1s\"", "window = \"100d\""), ("10000", "22")]);
    let folder = tempdir().unwrap();
    let keys = keys(&[("ada", ""), ("bob", "")]);
    let route = route("all", "[\"keys\", \"limit\"]", FINE);
    let gateway = Gateway::run(folder.path(), &format!("{keys}{recipe}{route}"));
    let key = [("x-api-key", "key-of-ada")];
    assert_eq!(statuses(&gateway, "/all", &key, 20).await, [200; 20]);
    assert_eq!(statuses(&gateway, "/all", &key, 2).await, [429; 2], "the burst");
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/all", &key, "")).await;
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["burst"]));
}

#[tokio::test]
async fn the_recipe_of_the_readme_limits_by_a_value_in_the_body() {
    let recipe = recipe("### Values in bodies");
    let changes = [("limit = 100", "limit = 2"), ("limit = 20", "limit = 4"), ("1m", "100d")];
    let recipe = replaced(&recipe, &changes);
    let folder = tempdir().unwrap();
    let keys = keys(&[("ada", ""), ("bob", "")]);
    let route = route("all", "[\"keys\", \"models\"]", FINE);
    let gateway = Gateway::run(folder.path(), &format!("{keys}{recipe}{route}"));
    for (who, body, session, status) in [
        ("ada", "{\"model\": \"large\"}", "1", 200),
        ("ada", "{\"model\": \"large\"}", "2", 200),
        ("ada", "{\"model\": \"large\"}", "3", 429),
        ("ada", "{\"model\": \"small\"}", "4", 200),
        ("bob", "{\"model\": \"large\"}", "5", 200),
        ("ada", "{}", "6", 400),
        ("ada", "{\"model\": \"a\"}", "7", 200),
        ("ada", "{\"model\": \"b\"}", "7", 200),
        ("ada", "{\"model\": \"c\"}", "7", 200),
        ("ada", "{\"model\": \"d\"}", "7", 200),
        ("ada", "{\"model\": \"e\"}", "7", 429),
    ] {
        let (key, cookie) = (format!("key-of-{who}"), format!("sid={session}"));
        let fields =
            [("x-api-key", &*key), ("cookie", &*cookie), ("content-type", "application/json")];
        let asked = request("POST", "/all", &fields, body);
        let answer = Http1::connect(gateway.address).await.send(asked).await;
        assert_eq!(answer.status(), status, "{who} {body} {session}");
    }
}

#[tokio::test]
async fn the_recipe_of_the_readme_bounds_requests_at_the_same_time() {
    let (gate, open) = watch::channel(false);
    let now = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&now);
    let upstream = Upstream::http1(move |_| {
        let (mut open, count) = (open.clone(), Arc::clone(&count));
        async move {
            count.fetch_add(1, SeqCst);
            drop(open.wait_for(|open| *open).await);
            Response::new(full("done"))
        }
    })
    .await;
    let recipe = recipe("## Requests at the same time");
    let consumers = ["a", "b", "c", "d", "e"];
    let keys = keys(&consumers.map(|name| (name, "")));
    let service = format!("[upstreams.service]\ntargets = [\"http://{}\"]\n", upstream.address);
    let route = route("all", "[\"keys\", \"gpu\"]", "upstream = \"service\"");
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &format!("{keys}{recipe}{service}{route}"));
    let ask = |who: &str| -> JoinHandle<Answer> {
        let (address, key) = (gateway.address, format!("key-of-{who}"));
        tokio::spawn(async move {
            let asked = request("GET", "/all", &[("x-api-key", &key)], "");
            Http1::connect(address).await.send(asked).await
        })
    };
    let mut asked = Vec::new();
    for (index, who) in consumers[..4].iter().flat_map(|who| [who, who]).enumerate() {
        asked.push(ask(who));
        until(|| now.load(SeqCst) == index + 1).await;
        if index == 1 {
            // A third of one consumer finds no place, and keeps none of the other kind.
            let refused = within(ask("a")).await.unwrap();
            assert_eq!(refused.status(), 429);
            assert_eq!(refused.problem()["violated-policies"], serde_json::json!(["each"]));
            assert!(refused.header("retry-after").is_some());
        }
    }
    // All eight are taken: one more waits, and is served when one of them ends.
    let waits = ask("e");
    gateway.until("gateway_plugin_slots{plugin=\"gpu\",state=\"waiting\"}", |it| it == 1.0).await;
    assert_eq!(now.load(SeqCst), 8);
    gate.send_replace(true);
    for asked in asked.into_iter().chain([waits]) {
        assert_eq!(within(asked).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn the_recipe_of_the_readme_exempts_addresses_consumers_and_routes() {
    let recipe = recipe("## Exemptions");
    let changes = [("window = \"1s\"", "window = \"100d\""), ("10.0.0.0/8", "127.0.0.2/32")];
    let recipe = replaced(&recipe, &changes);
    let keys = keys(&[("monitoring", ""), ("ada", "")]);
    let routes = route("all", "[\"keys\", \"limit\"]", FINE)
        + &route("health", "[\"limit\"]", FINE)
        + &route("open", "[\"limit\"]", FINE);
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &format!("{keys}{recipe}{routes}"));
    let limited = [vec![200; 10], vec![429; 2]].concat();
    assert_eq!(statuses(&gateway, "/open", &[], 12).await, limited);
    // One address has one count, whichever route it takes.
    let ada = [("x-api-key", "key-of-ada")];
    assert_eq!(statuses(&gateway, "/all", &ada, 2).await, [429; 2]);
    let monitoring = [("x-api-key", "key-of-monitoring")];
    assert_eq!(statuses(&gateway, "/all", &monitoring, 12).await, [200; 12]);
    assert_eq!(statuses(&gateway, "/health", &[], 12).await, [200; 12]);
    for (from, expected) in [(2, 200), (3, 429), (1, 429)] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0))).unwrap();
        let stream = socket.connect(gateway.address).await.unwrap();
        let mut client = Http1::over(stream).await;
        let mut last = 0;
        for turn in 0..12 {
            let answer = client.send(request("GET", "/open", &[], "")).await;
            last = answer.status();
            // Another address that is not exempt has a count of its own.
            let told = answer.header("ratelimit").is_some();
            assert_eq!(told, from != 2, "127.0.0.{from}, {turn}");
        }
        assert_eq!(last, expected, "127.0.0.{from}");
    }
}
