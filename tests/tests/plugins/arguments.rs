//! Arguments of hooks: the same whether they are laid down in the plugin's own block or in memory that it makes for them.

use gateway_tests::client::{self, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Setup, Upstream};
use http::Response;

const COPIES: &str = r#"
[plugins.copies]
component = "transform"
[plugins.copies.config.request.headers.set]
x-seen = "${request.method} ${request.path} ${request.query} ${request.header.x-in|none} ${request.header.x-absent|none} ${attribute.client.address}"
[plugins.copies.config.response.headers.set]
x-seen-too = "${response.header.x-out|none} ${response.header.x-absent|none} ${request.query}"

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "copied"
paths = ["/{*rest}"]
plugins = ["copies"]
upstream = "orders"
"#;

/// The block of the SDK has 4,096 bytes: values from empty to beyond it, and each length about its end.
#[tokio::test]
async fn plugins_see_the_same_of_heads_that_fit_their_block_and_of_others() {
    let upstream = Upstream::http1(|request| async move {
        let value = request.headers().get("x-in").cloned();
        let answer =
            Response::builder().header("x-out", value.unwrap_or_else(|| "none".parse().unwrap()));
        answer.body(full("")).unwrap()
    })
    .await;
    let gateway = Setup::toml(COPIES, &[("ORDERS", &upstream.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    let lengths = [0, 1, 7, 8, 9, 500].into_iter().chain(3_960..4_110).chain([8_000]);
    for length in lengths {
        let (value, query) = ("v".repeat(length), format!("n={length}"));
        let head = [("x-in", value.as_str())];
        let answer: client::Answer =
            client.send(request("PUT", &format!("/a%20b/{length}?{query}"), &head, "")).await;
        assert_eq!(answer.status(), 200, "{length}");
        let seen = upstream.requests().pop().expect("it came").headers;
        let expected = format!("PUT /a%20b/{length} {query} {value} none 127.0.0.1");
        assert_eq!(seen.get("x-seen").unwrap(), expected.as_str(), "{length}");
        let expected = format!("{value} none {query}");
        assert_eq!(answer.header("x-seen-too"), Some(expected.trim_start()), "{length}");
    }
}
