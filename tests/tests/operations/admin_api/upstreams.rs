//! `gateway upstreams` for those who take a target out by hand.

use std::process::{Command, Output};

use gateway_tests::{Http1, Running, Setup, Upstream, binary};

const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.orders]
targets = ["http://ONE", "http://TWO"]

[[routes]]
name = "orders"
paths = ["/{*rest}"]
upstream = "orders"
"#;

/// What the command printed, its warnings and errors behind it, and whether it went well.
async fn upstreams(admin: Option<&str>, arguments: &[&str]) -> (String, bool) {
    let mut command = Command::new(binary());
    command.arg("upstreams").args(arguments);
    command.args(admin.map(|url| ["--admin", url]).into_iter().flatten());
    let run = move || command.output().unwrap();
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
    let [said, warned] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (said + &warned, status.success())
}

async fn six_requests(gateway: &Running) {
    for _ in 0..6 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
}

#[tokio::test]
async fn a_target_is_drained_and_enabled_by_a_command() {
    let (one, two) = (Upstream::echo().await, Upstream::echo().await);
    let [first, second] = [&one, &two].map(|it| it.address.to_string());
    // As they are: answers show values from variables by the names of those.
    let text = TEXT.replace("ONE", &first).replace("TWO", &second);
    let gateway = Setup::toml(&text, &[]).start();
    let url = format!("http://{}", gateway.admin.unwrap());
    let admin = Some(&*url);

    let (shown, went_well) = upstreams(admin, &["orders", "--drain", &first]).await;
    assert!(went_well, "{shown}");
    let lines: Vec<Vec<_>> = shown.lines().map(|it| it.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["upstream", "target", "weight", "state"]);
    assert_eq!(lines[1], ["orders", &*first, "1", "drained", "taken", "out", "by", "hand"]);
    assert_eq!(lines[2], ["orders", &*second, "1", "up"]);
    six_requests(&gateway).await;
    assert_eq!((one.requests().len(), two.requests().len()), (0, 6));
    assert_eq!(upstreams(admin, &[]).await, (shown.clone(), true));
    let (json, _) = upstreams(admin, &["orders", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["targets"][0]["health"]["state"], "drained");

    let (shown, went_well) = upstreams(admin, &["orders", "--enable", &first]).await;
    assert!(went_well && !shown.contains("drained"), "{shown}");
    six_requests(&gateway).await;
    assert!(!one.requests().is_empty());

    let mut others = [&*first, &second];
    others.sort_unstable();
    let others = format!("no such target; there are `{}`, `{}`", others[0], others[1]);
    for (arguments, said) in [
        (&["orders", "--drain", "127.0.0.1:1"][..], &*others),
        (&["nobody"], "there is no such upstream; there is `orders`"),
        (&["order"], "did you mean `orders`?"),
        (&["--drain", &first], "<NAME>"),
        (&["orders", "--drain", &first, "--enable", &first], "cannot be used with"),
    ] {
        let (shown, went_well) = upstreams(admin, arguments).await;
        assert!(!went_well && shown.contains(said), "{arguments:?}: {shown}");
    }
    let (shown, went_well) = upstreams(None, &[]).await;
    assert!(!went_well && shown.contains("`--admin URL` is required"), "{shown}");
    let (shown, went_well) = upstreams(Some("http://127.0.0.1:1"), &[]).await;
    assert!(!went_well && shown.contains("127.0.0.1:1"), "{shown}");
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
}
