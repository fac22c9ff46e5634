//! What is left behind by very many failures. Alone in its process, since it weighs it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gateway_tests::client::request;
use gateway_tests::{Http1, Setup, Upstream};

/// Resident memory of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn five_hundred_traps_leave_no_memory_behind() {
    let upstream = Upstream::echo().await;
    let text = r#"
[plugins.panics]
component = "./panics.wasm"
limits = { instances = 2 }
[plugins.allocates]
component = "./allocates.wasm"
limits = { instances = 2, deadline = "1s" }
[upstreams.orders]
targets = ["http://${env:ORDERS}"]
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["panics", "allocates"]
upstream = "orders"
"#;
    let gateway = Setup::toml(text, &[("ORDERS", &upstream.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    let mut trap = async |field, count| {
        for _ in 0..count {
            let answer = client.send(request("GET", "/", &[field], "")).await;
            assert_eq!(answer.status(), 500);
        }
    };
    trap(("x-panic", "1"), 50).await;
    trap(("x-allocate", "all"), 10).await;
    let before = resident();
    trap(("x-panic", "1"), 450).await;
    trap(("x-allocate", "all"), 50).await;
    let after = resident();
    // One instance of 16 MiB that stays behind at each of the last fifty would be 800 MiB, and a
    // trapped one of the others about 200 KiB.
    assert!(after < before + (48 << 20), "{before} bytes became {after}");
    let answer = client.send(request("GET", "/", &[], "")).await;
    assert_eq!((answer.status(), answer.header("x-panics")), (200, Some("survived")));
}
