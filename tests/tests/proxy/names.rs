//! Names of targets, which a real name server tells: in the background, by their TTL, each address as a target, SRV
//! records. The server is Debian's dnsmasq, which is started anew with other records.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use gateway_tests::optional::missing;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream, log, until, within};
use http::Response;
use serde_json::Value;

/// A name server that knows the names of `test` and `internal`, and no others.
struct NameServer {
    port: u16,
    child: Child,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl NameServer {
    /// `None` where dnsmasq is not installed.
    async fn start(records: &[&str]) -> Option<Self> {
        let port = free_port();
        let Some(child) = spawn(port, records) else {
            missing("dnsmasq");
            return None;
        };
        let server = Self { port, child };
        server.ready().await;
        Some(server)
    }

    async fn ready(&self) {
        until(|| TcpStream::connect(("127.0.0.1", self.port)).is_ok()).await;
    }

    fn stop(&mut self) {
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }

    async fn tells(&mut self, records: &[&str]) {
        self.stop();
        self.child = spawn(self.port, records).unwrap();
        self.ready().await;
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(port: u16, records: &[&str]) -> Option<Child> {
    let found = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"].into_iter();
    let program = found.into_iter().find(|path| std::path::Path::new(path).exists())?;
    let port = format!("--port={port}");
    let mut command = Command::new(program);
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
    command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file="]);
    command.args(["--local=/test/", "--local=/internal/", &port]).args(records);
    Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A server at an address of this machine, which says its name and the `Host` that it was sent.
async fn named(address: &str, port: u16) -> Upstream {
    let address: SocketAddr = format!("{address}:{port}").parse().unwrap();
    Upstream::http1_at(address, move |request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        Response::new(full(format!("{} {host}", address.ip())))
    })
    .await
}

/// A gateway with one upstream.
fn start(name: &str, upstream: &str) -> Running {
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[upstreams.{name}]\n{upstream}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"{name}\"\n"
    );
    Setup::toml(&text, &[]).workers(1).start()
}

/// What the servers say to some requests, each over a connection of its own.
async fn asked(gateway: &Running, count: usize) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..count {
        let answer = Http1::get(gateway.address, "/").await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        said.push(answer.text().to_owned());
    }
    said
}

fn count(said: &[String], by: &str) -> usize {
    said.iter().filter(|it| it.split(' ').next() == Some(by)).count()
}

async fn shown(gateway: &Running, upstream: &str) -> Value {
    let answer = Http1::admin(gateway.admin.unwrap(), &format!("/upstreams/{upstream}")).await;
    serde_json::from_slice(&answer.body).unwrap()
}

fn targets(shown: &Value) -> Vec<String> {
    let all = shown["targets"].as_array().unwrap().iter();
    all.map(|it| it["target"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the upstream has these targets, while requests are answered.
async fn becomes(gateway: &Running, upstream: &str, expected: &[String]) {
    within(async {
        while targets(&shown(gateway, upstream).await) != expected {
            asked(gateway, 1).await;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn lines(upstream: &str) -> Vec<String> {
    let own =
        log::lines(|line| line.field("upstream") == upstream && line.message.contains("name"));
    own.into_iter().map(|line| line.message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_of_a_name_is_a_target_and_comes_and_goes_with_the_answer() {
    let first = ["--host-record=each.test,127.0.0.2,1", "--host-record=each.test,127.0.0.3,1"];
    let Some(mut dns) = NameServer::start(&first).await else { return };
    let port = free_port();
    let _two = named("127.0.0.2", port).await;
    let _three = named("127.0.0.3", port).await;
    let _four = named("127.0.0.4", port).await;
    let gateway = start(
        "each",
        &format!(
            "targets = [\"http://each.test:{port}\"]\nhost = \"target\"\n\
             dns = {{ resolver = \"dns\", servers = [\"{}\"], addresses = \"all\", \
             min_ttl = \"100ms\", negative_ttl = \"200ms\" }}",
            dns.address()
        ),
    );
    // From the first request on.
    let said = asked(&gateway, 8).await;
    assert_eq!((count(&said, "127.0.0.2"), count(&said, "127.0.0.3")), (4, 4), "{said:?}");
    assert!(said[0].ends_with(&format!(" each.test:{port}")), "{said:?}");
    let at = |number: u8| format!("127.0.0.{number}:{port}");
    let now = shown(&gateway, "each").await;
    assert_eq!(targets(&now), [at(2), at(3)]);
    let name = &now["names"][0];
    assert_eq!((&name["name"], &name["ttl_seconds"]), (&"each.test".into(), &1.0.into()));
    assert_eq!((&name["kind"], &name["resolver"]), (&"address".into(), &"dns".into()));
    assert_eq!(name["answer"].as_array().unwrap().len(), 2);
    let others = ["--host-record=each.test,127.0.0.3,1", "--host-record=each.test,127.0.0.4,1"];
    dns.tells(&others).await;
    becomes(&gateway, "each", &[at(3), at(4)]).await;
    let said = asked(&gateway, 8).await;
    assert_eq!((count(&said, "127.0.0.3"), count(&said, "127.0.0.4")), (4, 4), "{said:?}");
    // Without the server what it said last counts, and so it does where it knows the name no more.
    dns.stop();
    let failed = "gateway_upstream_name_look_ups_total{upstream=\"each\",name=\"each.test\",result=\"failed\"} 0";
    within(async {
        while Http1::admin(gateway.admin.unwrap(), "/metrics").await.text().contains(failed) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    dns.tells(&[]).await;
    within(async {
        while shown(&gateway, "each").await["names"][0]["error"] != "there is no such name" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(count(&asked(&gateway, 8).await, "127.0.0.4"), 4);
    dns.tells(&others).await;
    within(async {
        while !shown(&gateway, "each").await["names"][0]["error"].is_null() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let lines = lines("each");
    let of = |text: &str| lines.iter().filter(|line| *line == text).count();
    assert_eq!(of("what the name stands for has changed"), 1, "{lines:?}");
    // A look-up may have met the server while it was started anew.
    let lost = of("a name cannot be looked up: what was found last is used");
    assert!((1..=2).contains(&lost), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "the name can be looked up again", "{lines:?}");
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let known = "gateway_upstream_name_addresses{upstream=\"each\",name=\"each.test\"} 2";
    assert!(metrics.text().contains(known), "{known}");
    assert!(!metrics.text().contains(&at(2)), "nothing is left of a target that is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_an_address_that_is_gone_take_no_further_request() {
    let Some(mut dns) = NameServer::start(&["--host-record=any.test,127.0.0.2,0"]).await else {
        return;
    };
    let port = free_port();
    let two = named("127.0.0.2", port).await;
    let three = named("127.0.0.3", port).await;
    let gateway = start(
        "any",
        &format!(
            "targets = [\"http://any.test:{port}\"]\nkeep_alive = {{ idle = \"1s\" }}\n\
             dns = {{ resolver = \"dns\", servers = [\"{}\"], min_ttl = \"100ms\" }}",
            dns.address()
        ),
    );
    let mut client = Http1::connect(gateway.address).await;
    let get = || gateway_tests::client::to(gateway.address, gateway_tests::client::get("/"));
    for _ in 0..10 {
        assert_eq!(client.send(get()).await.status(), 200);
    }
    assert_eq!((two.requests().len(), two.connections()), (10, 1), "one look-up, one connection");
    dns.tells(&["--host-record=any.test,127.0.0.3,0"]).await;
    // The one connection of the client keeps that to the target busy: it is never idle for long.
    within(async {
        while three.requests().is_empty() {
            assert_eq!(client.send(get()).await.status(), 200);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let before = two.requests().len();
    for _ in 0..10 {
        assert_eq!(client.send(get()).await.status(), 200);
    }
    assert_eq!((two.requests().len(), two.connections(), three.connections()), (before, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_there_is_told_and_found_soon_after_it_is() {
    let Some(mut dns) = NameServer::start(&[]).await else { return };
    let port = free_port();
    let _two = named("127.0.0.2", port).await;
    let gateway = start(
        "later",
        &format!(
            "targets = [\"http://later.test:{port}\"]\n\
             dns = {{ resolver = \"dns\", servers = [\"{}\"], negative_ttl = \"1h\" }}",
            dns.address()
        ),
    );
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!(answer.status(), 502);
    dns.tells(&["--host-record=later.test,127.0.0.2"]).await;
    // Requests that fail ask, though not more than once a second.
    within(async {
        while Http1::get(gateway.address, "/").await.status() != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let failed = shown(&gateway, "later").await["names"][0]["look_ups"]["failed"].clone();
    assert!(failed.as_u64().unwrap() <= 3, "{failed}");
    assert_eq!(lines("later"), ["a name cannot be looked up", "the name can be looked up now"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_is_asked_in_the_background_and_not_for_each_connection() {
    let echo = Upstream::echo().await;
    let port = echo.address.port();
    let gateway = start(
        "local",
        &format!("targets = [\"http://localhost:{port}\"]\nkeep_alive = {{ connections = 0 }}"),
    );
    for _ in 0..20 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
    assert_eq!(echo.connections(), 20);
    let name = &shown(&gateway, "local").await["names"][0];
    assert_eq!(name["look_ups"], serde_json::json!({ "found": 1, "failed": 0 }));
    assert_eq!((&name["resolver"], &name["ttl_seconds"]), (&"system".into(), &30.0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_takes_targets_from_srv_records_and_from_addresses() {
    let (one, other) = (free_port(), free_port());
    let srv = |host: &str, port: u16, priority: u16, weight: u16| {
        format!("--srv-host=_http._tcp.orders.internal,{host},{port},{priority},{weight}")
    };
    let hosts = [
        "--host-record=a.internal,127.0.0.2,1",
        "--host-record=b.internal,127.0.0.3,1",
        "--host-record=stock.internal,127.0.0.2,1",
        "--host-record=stock.internal,127.0.0.3,1",
        "--local-ttl=1",
    ];
    let with = |records: &[String]| -> Vec<String> {
        hosts.iter().map(|it| (*it).to_owned()).chain(records.iter().cloned()).collect()
    };
    let records = with(&[srv("a.internal", one, 10, 3), srv("b.internal", one, 10, 1)]);
    let texts: Vec<&str> = records.iter().map(String::as_str).collect();
    let Some(mut dns) = NameServer::start(&texts).await else { return };
    let _servers = [
        named("127.0.0.2", one).await,
        named("127.0.0.3", one).await,
        named("127.0.0.3", other).await,
    ];
    let docs = include_str!("../../../docs/upstreams.md");
    let example = docs.split_once("\n## Names\n").unwrap().1;
    let example = example.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let example = example.replace("10.0.0.10:53", &dns.address());
    let example = example.replace(":9000", &format!(":{one}"));
    let text = format!("[admin]\naddress = \"127.0.0.1:0\"\n{example}");
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    let ask = async |path: &str, count: usize| {
        let mut said = Vec::new();
        for _ in 0..count {
            let answer = Http1::get(gateway.address, path).await;
            assert_eq!(answer.status(), 200, "{}", answer.text());
            said.push(answer.text().to_owned());
        }
        said
    };
    let said = ask("/orders/1", 8).await;
    assert_eq!((count(&said, "127.0.0.2"), count(&said, "127.0.0.3")), (6, 2), "{said:?}");
    let stock = ask("/stock/1", 8).await;
    assert_eq!((count(&stock, "127.0.0.2"), count(&stock, "127.0.0.3")), (4, 4), "{stock:?}");
    let now = shown(&gateway, "orders").await;
    let mut names = targets(&now);
    names.sort();
    assert_eq!(names, [format!("a.internal:{one}"), format!("b.internal:{one}")]);
    let kinds: Vec<_> =
        now["names"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "srv").count(), 1, "{now}");
    // Another port and another priority.
    let records = with(&[srv("a.internal", one, 20, 1), srv("b.internal", other, 10, 1)]);
    dns.tells(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    within(async {
        while !targets(&shown(&gateway, "orders").await).contains(&format!("b.internal:{other}")) {
            ask("/orders/1", 1).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let said = ask("/orders/1", 6).await;
    assert_eq!(count(&said, "127.0.0.3"), 6, "the lowest priority has all: {said:?}");
    let now = shown(&gateway, "orders").await;
    let priority = |host: &str| {
        let all = now["targets"].as_array().unwrap().iter();
        let mut found = all.filter(|it| it["target"].as_str().unwrap().starts_with(host));
        found.next().unwrap()["priority"].clone()
    };
    assert_eq!((priority("a."), priority("b.")), (1.into(), 0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_says_how_long_answers_hold() {
    let echo = Upstream::echo().await;
    let port = echo.address.port();
    let docs = include_str!("../../../docs/upstreams.md");
    let example = docs.split_once("\n### How long an answer holds\n").unwrap().1;
    let example = example.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    for (record, holds) in [("3600", 60.0), ("0", 5.0), ("20", 20.0)] {
        let record = format!("--host-record=search.internal,127.0.0.1,{record}");
        let Some(dns) = NameServer::start(&[&record]).await else { return };
        let text = example.replace("10.0.0.10:53", &dns.address());
        let text = text.replace(":9000", &format!(":{port}")).replace(":9025", &format!(":{port}"));
        let text = format!("[admin]\naddress = \"127.0.0.1:0\"\n{text}");
        let gateway = Setup::toml(&text, &[]).workers(1).start();
        for path in ["/search/1", "/mail/1"] {
            assert_eq!(Http1::get(gateway.address, path).await.status(), 200);
        }
        let name = &shown(&gateway, "search").await["names"][0];
        assert_eq!(name["ttl_seconds"], holds, "{name}");
        let name = &shown(&gateway, "mail").await["names"][0];
        assert_eq!((&name["resolver"], &name["ttl_seconds"]), (&"system".into(), &10.0.into()));
    }
    // A name that is not there is asked for again after `negative_ttl`, without a request.
    let Some(dns) = NameServer::start(&[]).await else { return };
    let text = example.replace("10.0.0.10:53", &dns.address());
    let mut setup = Setup::toml(&format!("[admin]\naddress = \"127.0.0.1:0\"\n{text}"), &[]);
    let own = &mut setup.config.upstreams[0].dns;
    assert_eq!(own.negative_ttl, std::time::Duration::from_secs(2));
    own.negative_ttl = std::time::Duration::from_millis(200);
    let gateway = setup.workers(1).start();
    within(async {
        while shown(&gateway, "search").await["names"][0]["look_ups"]["failed"].as_u64() < Some(3) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(shown(&gateway, "search").await["names"][0]["error"], "there is no such name");
}
