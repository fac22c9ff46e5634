//! Splits: which variant of a route a request goes to, what makes it stay there, and what is seen of it.

use gateway_tests::client::{get, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream};
use http::Response;

/// An upstream that answers with its name.
async fn named(name: &'static str) -> Upstream {
    Upstream::http1(move |_| async move { Response::new(full(name)) }).await
}

struct Split {
    gateway: Running,
    _upstreams: [Upstream; 2],
    text: String,
}

impl Split {
    /// `stable` and `canary` behind one route, with more in the table and in the file.
    async fn start(weights: [u32; 2], by: &str, more: &str) -> Self {
        let upstreams = [named("stable").await, named("canary").await];
        let [stable, canary] = upstreams.each_ref().map(|it| it.address);
        let text = format!(
            "[admin]\naddress = \"127.0.0.1:0\"\n\
             [upstreams.v1]\ntargets = [\"http://{stable}\"]\n\
             [upstreams.v2]\ntargets = [\"http://{canary}\"]\n\
             {more}\n\
             [routes.split]\nby = {by}\n\
             variants = [{{ name = \"stable\", upstream = \"v1\", weight = {} }}, \
             {{ name = \"canary\", upstream = \"v2\", weight = {} }}]\n",
            weights[0], weights[1]
        );
        Self { gateway: Setup::toml(&text, &[]).workers(2).start(), _upstreams: upstreams, text }
    }

    async fn of_user(&self, user: usize) -> String {
        let mut client = Http1::connect(self.gateway.address).await;
        let user = format!("user-{user}");
        let answer = client.send(request("GET", "/", &[("x-user", &user)], "")).await;
        assert_eq!(answer.status(), 200);
        answer.text().to_owned()
    }
}

const ROUTE: &str = "[[routes]]\nname = \"chat\"\npaths = [\"/{*rest}\"]";

#[tokio::test]
async fn a_user_stays_with_a_variant_until_its_share_moves() {
    let split = Split::start([70, 30], "[\"header:x-user\"]", ROUTE).await;
    let mut before = Vec::new();
    for user in 0..100 {
        before.push(split.of_user(user).await);
    }
    let canaries = before.iter().filter(|name| *name == "canary").count();
    assert!((15..=45).contains(&canaries), "{canaries}");
    for (user, name) in before.iter().enumerate() {
        assert_eq!(split.of_user(user).await, *name, "each time the same, on each worker");
    }
    // In another gateway too, and in one in which the canary has more.
    let grown = split.text.replace("weight = 30", "weight = 70");
    split.gateway.handle.reload(Setup::toml(&grown, &[]).workers(2).config).unwrap();
    let mut after = 0;
    for (user, name) in before.iter().enumerate() {
        let now = split.of_user(user).await;
        after += usize::from(now == "canary");
        assert!(now == *name || now == "canary", "nobody leaves the one that grows");
    }
    assert!(after > canaries, "{canaries} to {after}");
    // Back, and nobody is elsewhere than before.
    split.gateway.handle.reload(Setup::toml(&split.text, &[]).workers(2).config).unwrap();
    for (user, name) in before.iter().enumerate() {
        assert_eq!(split.of_user(user).await, *name);
    }
}

#[tokio::test]
async fn who_has_no_key_is_drawn_each_time_and_a_weight_of_0_gets_nobody() {
    let split = Split::start([1, 1], "[\"cookie:sid\"]", ROUTE).await;
    let mut client = Http1::connect(split.gateway.address).await;
    let mut seen = [0; 2];
    for _ in 0..100 {
        let answer = client.send(get("/")).await;
        seen[usize::from(answer.text() == "canary")] += 1;
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
    let with_cookie = || request("GET", "/", &[("cookie", "a=b; sid=7")], "");
    let first = client.send(with_cookie()).await.text().to_owned();
    for _ in 0..20 {
        assert_eq!(client.send(with_cookie()).await.text(), first);
    }
    let split = Split::start([0, 1], "[]", ROUTE).await;
    for user in 0..50 {
        assert_eq!(split.of_user(user).await, "canary");
    }
}

#[tokio::test]
async fn the_variant_is_in_metrics_access_logs_and_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let more = format!(
        "[access_logs.own]\nfile = {log:?}\nformat = \"{{variant}} {{attribute.plan}} {{upstream_name}}\"\n\
         [plugins.shape]\ncomponent = \"transform\"\n\
         config = {{ request.headers.set.x-seen = \"yes\", response.headers.set.x-variant = \"${{route.variant}}\" }}\n\
         [[routes]]\nname = \"chat\"\npaths = [\"/chat/{{user}}\"]\nplugins = [\"shape\"]\naccess_log = \"own\""
    );
    let split = Split::start([1, 1], "[\"consumer.id\", \"capture.user\"]", &more).await;
    let mut client = Http1::connect(split.gateway.address).await;
    let mut counts = [0; 2];
    for user in 0..40 {
        let answer = client.send(get(&format!("/chat/u%2D{user}"))).await;
        let name = answer.text();
        assert_eq!(answer.header("x-variant"), Some(name));
        assert_eq!(
            client.send(get(&format!("/chat/u-{user}"))).await.text(),
            name,
            "the same text"
        );
        counts[usize::from(name == "canary")] += 2;
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    gateway_tests::until(|| {
        std::fs::read_to_string(&log).unwrap_or_default().lines().count() == 80
    })
    .await;
    let lines = std::fs::read_to_string(&log).unwrap();
    let canaries = lines.lines().filter(|line| *line == "canary - v2").count();
    let stables = lines.lines().filter(|line| *line == "stable - v1").count();
    assert_eq!([stables, canaries], counts);
    let page = Http1::admin(split.gateway.admin.unwrap(), "/metrics").await;
    for (name, count) in ["stable", "canary"].iter().zip(counts) {
        let line = format!(
            "gateway_variant_requests_total{{route=\"chat\",variant=\"{name}\",status=\"200\"}} {count}"
        );
        assert!(page.text().lines().any(|it| it == line), "{line}");
        let line = format!(
            "gateway_variant_request_duration_seconds_count{{route=\"chat\",variant=\"{name}\"}} {count}"
        );
        assert!(page.text().lines().any(|it| it == line), "{line}");
    }
    let routes = Http1::admin(split.gateway.admin.unwrap(), "/routes/chat").await;
    let shown: serde_json::Value = serde_json::from_slice(&routes.body).unwrap();
    assert_eq!(shown["action"]["kind"], "split", "{shown}");
    assert_eq!(shown["action"]["variants"][1]["upstream"], "v2");
}

#[tokio::test]
async fn the_variant_is_that_of_the_upstream_that_answered_where_a_plugin_sent_it_elsewhere() {
    let failing =
        Upstream::http1(|_| async { Response::builder().status(503).body(full("no")).unwrap() })
            .await;
    let (stable, other) = (named("stable").await, named("other").await);
    let asks = |next: &str| {
        let text = format!(
            "[admin]\naddress = \"127.0.0.1:0\"\n\
             [upstreams.v1]\ntargets = [\"http://{}\"]\n[upstreams.v2]\ntargets = [\"http://{}\"]\n\
             [upstreams.other]\ntargets = [\"http://{}\"]\n\
             [plugins.shape]\ncomponent = \"transform\"\n\
             config = {{ response.headers.set.x-variant = \"variant ${{route.variant}}\" }}\n\
             [plugins.again]\ncomponent = \"./again.wasm\"\ngrants = [\"attempts\"]\n\
             forward_to = [\"v1\", \"other\"]\nconfig = {{ upstreams = [\"{next}\"] }}\n\
             [[routes]]\nname = \"chat\"\npaths = [\"/\"]\nplugins = [\"shape\", \"again\"]\n\
             [routes.split]\nvariants = [{{ name = \"canary\", upstream = \"v2\", weight = 1 }}, \
             {{ name = \"stable\", upstream = \"v1\", weight = 0 }}]\n",
            stable.address, failing.address, other.address
        );
        Setup::toml(&text, &[]).start()
    };
    for (next, variant) in [("v1", "variant stable"), ("other", "variant")] {
        let gateway = asks(next);
        let answer = Http1::get(gateway.address, "/").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("x-variant").unwrap_or_default().trim(), variant, "{next}");
        // The failure is the canary's all the same, and the request is counted as its.
        let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
        let line =
            "gateway_variant_requests_total{route=\"chat\",variant=\"canary\",status=\"200\"} 1\n";
        assert!(page.text().contains(line), "{}", page.text());
    }
}
