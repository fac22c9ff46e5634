//! Changes: reload and the filter of the log, who made them, and the commands that ask for them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use gateway_tests::setup::written;
use gateway_tests::{Answer, binary, within};
use serde_json::{Value, json};

use super::program::{Program, TOKEN};

fn text(body: &str) -> String {
    written(&format!(
        "[admin]\naddress = \"127.0.0.1:0\"\naudit = \"audit.jsonl\"\n\
         [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond.body = \"{body}\"\n"
    ))
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// It sees changes of its file by itself too, within a second.
async fn start() -> Program {
    Program::start(&text("one"), |_, _| ()).await
}

/// Asks for a reload, again where the gateway has just seen by itself that the file changed.
async fn reload(program: &Program, target: &str) -> Answer {
    within(async {
        loop {
            let answer = program.send("POST", target, "").await;
            if answer.status() != 409 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_port_that_the_gateway_has_itself_is_said_so() {
    let program = start().await;
    let more = format!("[[listeners]]\nname = \"second\"\naddress = \"{}\"\n", program.admin);
    program.write(&(text("two") + &more));
    let refused = reload(&program, "/reload?dry_run=true").await;
    assert_eq!(refused.status(), 422);
    let told = refused.text().to_owned();
    assert!(told.contains("this gateway has the port itself, for `[admin]`"), "{told}");
    assert!(!told.contains("another process"), "{told}");
}

#[tokio::test]
async fn a_reload_is_tried_made_and_refused() {
    let program = start().await;
    let first = json(&program.get("/config").await);
    assert_eq!(
        (&first["generation"], &first["configuration"]["routes"][0]["name"]),
        (&json!(1), &json!("r"))
    );
    let read = std::fs::read(program.file()).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &read);
    let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(first["sha256"], digits);
    assert_eq!(json(&program.get("/config/diff").await)["same_text"], true);

    program.write(
        &text("two").replace("paths = [\"/\"]", "paths = [\"/\"]\nlimits.body_size = \"x\""),
    );
    let refused = reload(&program, "/reload?dry_run=true").await;
    let problem = refused.problem();
    assert_eq!(
        (&problem["status"], &problem["findings"][0]["severity"]),
        (&json!(422), &json!("error"))
    );
    assert!(problem["findings"][0]["line"].is_u64());
    let refused = reload(&program, "/reload").await;
    assert_eq!(refused.problem()["status"], 422);
    let difference = json(&program.get("/config/diff").await);
    assert_eq!(difference["on_disk"]["valid"], false);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = taken.local_addr().unwrap();
    program.write(&format!(
        "{}\n[[listeners]]\nname = \"other\"\naddress = \"{other}\"\n",
        text("two")
    ));
    for target in ["/reload?dry_run=true", "/reload"] {
        let problem = reload(&program, target).await.problem();
        let message = problem["findings"][0]["message"].as_str().unwrap();
        assert!(message.contains("cannot listen on"), "{target}: {message}");
    }
    assert_eq!(json(&program.get("/config").await)["generation"], 1);

    program.write(&text("two"));
    let difference = json(&program.get("/config/diff").await);
    assert_eq!(
        difference["changes"],
        json!([{ "path": "/routes/r/respond/body", "kind": "changed", "in_force": "one", "on_disk": "two" }])
    );
    let tried = json(&reload(&program, "/reload?dry_run=true").await);
    assert_eq!((&tried["result"], &tried["dry_run"]), (&json!("valid"), &json!(true)));
    let made = reload(&program, "/reload").await;
    let taken = json(&made);
    assert_eq!(taken["result"], "in_force", "{taken:#}");
    // A change of the file may have been seen meanwhile too.
    assert!(taken["generation"].as_u64().unwrap() >= 2);
    assert_eq!(
        json(&program.get("/config").await)["configuration"]["routes"][0]["respond"]["body"],
        "two"
    );
    for wrong in ["/reload?dry_run=yes", "/reload?x=1"] {
        assert_eq!(program.send("POST", wrong, "").await.status(), 400);
    }

    let audit = program.folder.path().join("audit.jsonl");
    let kept = std::fs::read_to_string(&audit).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (begun, kept): (Vec<_>, Vec<_>) = kept.into_iter().partition(|it| it["result"] == "begun");
    assert_eq!(begun.len(), kept.len(), "each has a line before it is made, and one after");
    let results = kept.iter().map(|line| line["result"].as_str().unwrap());
    let results: Vec<_> = results.filter(|result| *result != "busy").collect();
    assert_eq!(results, ["refused", "refused", "in force"]);
    let last = kept.last().unwrap();
    assert_eq!((&last["who"], &last["action"]), (&json!("loopback"), &json!("reload")));
    assert_eq!(last["request_id"], made.id());
    assert!(last["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(std::fs::metadata(&audit).unwrap().permissions().mode() & 0o077, 0);
    // The log is read by another thread.
    gateway_tests::until(|| program.lines("audit").len() >= kept.len()).await;
    let logged = program.lines("audit");
    assert_eq!(logged.len(), kept.len(), "{logged:?}");
    assert_eq!(logged.last().unwrap()["request_id"], made.id());
}

#[tokio::test]
async fn the_filter_of_the_log_changes_and_the_audit_log_stays() {
    let program = start().await;
    assert_eq!(json(&program.get("/log-level").await), json!({ "filter": "info" }));
    assert!(!program.log().contains("\"level\":\"DEBUG\""));
    let put = |body: &'static str| program.send("PUT", "/log-level", body);
    assert_eq!(
        json(&put(r#"{"filter": "gateway=debug"}"#).await),
        json!({ "filter": "gateway=debug" })
    );
    assert_eq!(put(r#"{"filter": "gateway=[["}"#).await.problem()["status"], 422);
    assert_eq!(put("x").await.problem()["status"], 400);
    assert_eq!(json(&program.get("/log-level").await), json!({ "filter": "gateway=debug" }));
    // Something that is logged at `debug` alone.
    drop(tokio::net::TcpStream::connect(program.admin).await.unwrap());
    let mut raw = tokio::net::TcpStream::connect(program.admin).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut raw, b"no http\r\n\r\n").await.unwrap();
    within(async {
        while !program.log().contains("\"level\":\"DEBUG\"") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(put(r#"{"filter": "off"}"#).await.status(), 200);
    within(async {
        while program.lines("audit").len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let results: Vec<_> =
        program.lines("audit").iter().map(|line| line["result"].clone()).collect();
    assert_eq!(results, ["changed", "refused", "changed"]);
    assert!(program.lines("audit")[0]["what"].as_str().unwrap().contains("gateway=debug"));
}

fn command(arguments: &[&str], token: Option<&str>) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("GATEWAY_ADMIN_TOKEN");
    if let Some(token) = token {
        command.env("GATEWAY_ADMIN_TOKEN", token);
    }
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn commands_ask_a_gateway_that_runs() {
    let digest = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8";
    let folder = tempfile::tempdir().unwrap();
    let (pem, key) = super::who::rcgen_files(folder.path());
    let tls = format!(
        "token = \"{digest}\"\ntls = {{ certificate = \"{pem}\", key = \"{key}\" }}\naudit"
    );
    let plugins = "[plugins.shape]\ncomponent = \"transform\"\nconfig.response.headers.set.a = \"b\"\n[[routes]]";
    let text = text("one")
        .replace("audit", &tls)
        .replacen("[[routes]]", plugins, 1)
        .replace("paths = [\"/\"]", "paths = [\"/\"]\nplugins = [\"shape\"]");
    let text = text.replace(&format!("{tls}.jsonl"), "audit.jsonl");
    let program = Program::start(&text, |_, _| ()).await;
    let admin = format!("https://localhost:{}", program.admin.port());
    let file = program.file().display().to_string();

    let live = |more: &[&str], token: Option<&str>| {
        let mut arguments =
            vec!["explain", "--url", "http://a.example/x", "--admin", &admin, "--ca", &pem];
        arguments.extend(more);
        command(&arguments, token)
    };
    // What a gateway says of itself is what its file says.
    for more in [&[][..], &["--json"], &["--format", "json", "-X", "POST"]] {
        let mut offline = vec!["explain", &file, "--url", "http://a.example/x"];
        offline.extend(more);
        let (live, offline) = (live(more, Some(TOKEN)), command(&offline, None));
        assert!(live.status.success(), "{live:?}");
        assert_eq!(stdout(&live), stdout(&offline));
    }
    let winner = command(&["explain", "--url", "/", "--admin", &admin, "--ca", &pem], Some(TOKEN));
    let line = text.lines().position(|it| it.starts_with("plugins = [")).unwrap() + 1;
    assert!(
        stdout(&winner)
            .contains(&format!("  shape  transform, put there in {file}:{line}, defined in line ")),
        "{winner:?}"
    );
    for (token, why) in [(None, "answers 401"), (Some("other"), "answers 401")] {
        let refused = live(&[], token);
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{refused:?}");
    }
    let stored = folder.path().join("token");
    std::fs::write(&stored, format!("{TOKEN}\n")).unwrap();
    assert!(live(&["--token-file", stored.to_str().unwrap()], None).status.success());
    let untrusted = command(&["explain", "--url", "/", "--admin", &admin], Some(TOKEN));
    assert!(!untrusted.status.success(), "{untrusted:?}");
    let clear = command(&["explain", "--url", "/", "--admin", "http://192.0.2.1:1"], Some(TOKEN));
    assert!(String::from_utf8_lossy(&clear.stderr).contains("in clear"), "{clear:?}");

    let reload = |more: &[&str]| {
        let mut arguments = vec!["reload", "--admin", &admin, "--ca", &pem];
        arguments.extend(more);
        command(&arguments, Some(TOKEN))
    };
    let tried = reload(&["--dry-run"]);
    assert_eq!(
        (tried.status.success(), &*stdout(&tried)),
        (true, "it could be put in force\n"),
        "{tried:?}"
    );
    program.write(&text.replace("respond.body", "respond.bdy"));
    let refused = reload(&["--dry-run"]);
    assert!(!refused.status.success());
    assert!(stdout(&refused).contains("error: unknown key `bdy`"), "{refused:?}");
}

#[test]
fn a_token_is_made_with_its_digest() {
    let made = stdout(&command(&["admin", "token"], None));
    let lines: Vec<&str> = made.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, lines[1].as_bytes());
    let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(lines[1].len(), 64);
    assert_eq!(*lines.last().unwrap(), format!("token = \"sha256:{digits}\""));
    assert_ne!(stdout(&command(&["admin", "token"], None)), made);
}
