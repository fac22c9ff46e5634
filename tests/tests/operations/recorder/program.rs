//! `gateway requests`, beside a gateway that runs.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use gateway_tests::client::request;
use gateway_tests::{Http1, Running, Setup, binary};

use super::support::{KEY, record, recording, service};

fn asked(gateway: &Running, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    let admin = format!("http://{}", gateway.admin.unwrap());
    command.args(["requests", "--admin", &admin]).args(arguments);
    command
}

async fn answer(gateway: &Running, arguments: &[&str]) -> (Output, String) {
    let mut command = asked(gateway, arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lists_and_explains() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    let slow = client.send(request("GET", "/keyed/slow", &[KEY], "")).await.id().to_owned();
    let refused = client.send(request("GET", "/keyed/x", &[], "")).await.id().to_owned();
    record(&gateway, &refused).await;

    let (_, list) = answer(&gateway, &[]).await;
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(lines[0].starts_with("time          status      took  kept      request"), "{list}");
    assert!(lines[1].contains(&slow) && lines[2].contains(&refused), "the newest is last: {list}");
    assert!(lines[2].contains("refused by the plugin `keys` in on-request with 401"), "{list}");
    let (_, list) = answer(&gateway, &["--status", "4xx", "--json"]).await;
    let line: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(line["id"], refused.as_str());
    let (_, none) = answer(&gateway, &["--consumer", "nobody"]).await;
    assert_eq!(none, "no such request is kept\n");

    let (_, shown) = answer(&gateway, &[&slow]).await;
    for part in [
        "GET /keyed/slow HTTP/1.1\n",
        "waiting for the head of the upstream `service`\n",
        "consumer  acme\n",
        "route     keyed, by /keyed/{*rest} (",
        "before everything, which is less specific\n",
        "keys on-request: next, changed attributes",
        "upstream service: to the head of its response\n",
        &format!("{}: new connection in ", service.address),
    ] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    assert!(shown.contains('█'), "{shown}");

    let (output, _) = answer(&gateway, &["--slower", "soon"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("`slower=soon` is not a duration"), "{said}");
    let (output, _) = answer(&gateway, &["nobody"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("with the id `nobody`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_follows() {
    let service = service().await;
    let gateway = recording(&service);
    let mut command = asked(&gateway, &["--follow", "--json", "--status", "503"]);
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let sent = Http1::get(gateway.address, "/api/503").await.id().to_owned();
        let (line, rest) =
            tokio::task::spawn_blocking(move || (lines.next(), lines)).await.unwrap();
        lines = rest;
        let line: serde_json::Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
        assert_eq!(line["id"], sent.as_str());
        ids.push(sent);
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_has_the_token_from_its_environment() {
    let token = "a token of the admin API";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\ntoken = \"sha256:{digest}\"\n\
         [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond.body = \"hi\"\n"
    );
    let gateway = Setup::toml(&text, &[]).start();
    let (output, _) = answer(&gateway, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("answers 401"), "{output:?}");
    let mut command = asked(&gateway, &[]);
    command.env("GATEWAY_ADMIN_TOKEN", token);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "no such request is kept\n", "{output:?}");
}
