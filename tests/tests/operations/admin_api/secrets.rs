//! What was filled in, and what else is secret, is in no answer.

use std::time::Duration;

use gateway_tests::setup::written;
use gateway_tests::within;

use super::program::Program;

const ENV: &str = "hunter2-of-the-environment";
const FILE: &str = "correct-horse-of-the-file";
const LITERAL: &str = "tr0ub4dor-in-the-text";

#[tokio::test]
async fn no_endpoint_shows_a_secret() {
    let text = format!(
        r#"
[admin]
address = "127.0.0.1:0"
token = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8"

[secrets]
one = "${{env:SECRET}}"
two = "x-${{file:secret}}"

[plugins.shape]
component = "transform"
secrets = []
[plugins.shape.config.response.headers.set]
x-literal = "{LITERAL}"
x-env = "${{env:SECRET}}"
x-file = "${{file:secret}}"

[[routes]]
name = "with-${{env:SECRET}}"
paths = ["/a"]
headers = {{ authorization = "{LITERAL}", x-plain = "${{file:secret}}" }}
plugins = ["shape"]
respond = {{ body = "b", headers = {{ set-cookie = "{LITERAL}" }} }}

[[routes]]
name = "b"
paths = ["/b"]
query = {{ token = "{LITERAL}" }}
plugins = [{{ component = "transform", config = {{ response = {{ headers = {{ set = {{ x-a = "{LITERAL}" }} }} }} }} }}]
respond.body = "b" # {LITERAL}
"#
    );
    let program = Program::start(&written(&text), |folder, command| {
        std::fs::write(folder.join("secret"), FILE).unwrap();
        command.env("SECRET", ENV).env("GATEWAY_LOG", "debug");
    })
    .await;
    let mut seen = 0;
    let mut look = |what: &str, body: &str| {
        seen += 1;
        for secret in [ENV, FILE, LITERAL] {
            for part in [secret, &secret[..18], &secret[secret.len() - 17..]] {
                assert!(!body.contains(part), "{what} shows `{part}`: {body}");
            }
        }
    };
    // The admin API answers before all workers do.
    within(async {
        while program.get("/readyz").await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let targets = [
        "/livez",
        "/readyz",
        "/healthz",
        "/version",
        "/config",
        "/config/diff",
        "/routes",
        "/listeners",
        "/upstreams",
        "/plugins",
        "/plugins/shape",
        "/certificates",
        "/log-level",
        "/openapi.json",
        "/routes/b",
        "/routes/none",
        "/routes/b/chain",
        "/traffic",
        "/explain?url=/a",
        "/explain?url=/b",
        "/explain?url=/b?token=x",
        "/explain?url=/a&header=authorization:x&header=x-plain:1",
        "/nothing",
        "/usage",
    ];
    for target in targets {
        let answer = program.get(target).await;
        look(target, answer.text());
        assert!(answer.status() < 500, "{target}");
    }
    // Other secrets on disk, and a file that is wrong there.
    let other = written(&text).replace(LITERAL, "another-one").replace("\"b\"", "\"c\"");
    program.write(&other);
    let difference = program.get("/config/diff").await;
    look("/config/diff", difference.text());
    assert!(!difference.text().contains("another-one"), "{}", difference.text());
    assert!(difference.text().contains("/plugins/shape/config/response/headers/set/x-literal"));
    program
        .write(&written(&text).replace("respond.body = \"b\"", "respond.bdy = \"${env:SECRET}\""));
    look("/config/diff", program.get("/config/diff").await.text());
    look("/reload", program.send("POST", "/reload?dry_run=true", "").await.text());
    look("the log", &program.log());
    assert!(seen > 25);
}
