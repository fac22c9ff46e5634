//! API keys that are managed while a gateway runs, in a file: from the command to the very next request.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway_tests::client::{request, to};
use gateway_tests::{Http1, binary};
use serde_json::{Value, json};
use tempfile::tempdir;

use super::gateways::Gateway;
use super::server::signal;

pub(crate) const FILE: &str = "[stores.kept]\nfile = \"state.db\"\n";

/// A set in a store, and two routes that it is for: any key, and one with a scope and a claim.
pub(crate) fn text(store: &str) -> String {
    format!(
        "[keys.partners]\nstore = \"{store}\"\nprefix = \"acme_live\"\n\
         [plugins.auth]\ncomponent = \"auth\"\nkeys = [\"partners\"]\nlimits = {{ deadline = \"1s\" }}\n\
         [plugins.auth.config.api_key]\nset = \"partners\"\nheader = \"x-api-key\"\n\
         [plugins.strict]\ncomponent = \"auth\"\nkeys = [\"partners\"]\nlimits = {{ deadline = \"1s\" }}\n\
         [plugins.strict.config]\nrequire = {{ scopes = [\"orders:read\"], claims = {{ tier = [\"gold\"] }} }}\n\
         [plugins.strict.config.api_key]\nset = \"partners\"\nheader = \"x-api-key\"\n\
         [[routes]]\nname = \"any\"\npaths = [\"/any\"]\nplugins = [\"auth\"]\nrespond = {{ body = \"fine\" }}\n\
         [[routes]]\nname = \"strict\"\npaths = [\"/strict\"]\nplugins = [\"strict\"]\n\
         respond = {{ body = \"fine\" }}\n"
    )
}

/// `gateway keys`, as a script calls it.
pub(crate) fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    let url = format!("http://{}", gateway.admin);
    let mut command = Command::new(binary());
    command.arg("keys").args(arguments).args(["--admin", &url]).stdin(Stdio::null());
    command.output().unwrap()
}

/// What it writes to its standard output, where it is done.
pub(crate) fn done(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = run(gateway, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A new key of `acme`, and its secret.
pub(crate) fn add(gateway: &Gateway, id: &str, more: &[&str]) -> String {
    let base = ["add", "partners", "--consumer", "acme", "--id", id];
    done(gateway, &[&base, more].concat()).trim_end().to_owned()
}

pub(crate) async fn admin(
    gateway: &Gateway,
    method: &str,
    target: &str,
    body: &str,
) -> (u16, Value) {
    let body = body.to_owned();
    let asked = request(method, target, &[("content-type", "application/json")], body);
    let mut client = Http1::connect(gateway.admin).await;
    let answer = client.send_within(to(gateway.admin, asked), Duration::from_secs(60)).await;
    (answer.status(), serde_json::from_slice(&answer.body).unwrap())
}

/// The statuses of requests over fresh connections, which the kernel spreads over both workers.
pub(crate) async fn statuses(gateway: &Gateway, path: &str, secret: &str) -> Vec<u16> {
    let mut all = Vec::new();
    for _ in 0..16 {
        all.push(gateway.ask(path, &[("x-api-key", secret)]).await.0);
    }
    all.dedup();
    all
}

pub(crate) async fn until(gateway: &Gateway, secret: &str, status: u16) {
    let began = Instant::now();
    while statuses(gateway, "/any", secret).await != [status] {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is answered once the keys were read, which a gateway that begins may not have done yet.
async fn read(gateway: &Gateway, target: &str) -> Value {
    let began = Instant::now();
    loop {
        let (status, answer) = admin(gateway, "GET", target, "").await;
        if status != 503 {
            assert_eq!(status, 200, "{answer}");
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_key_serves_at_once_and_is_refused_at_once_although_results_are_kept() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &(FILE.to_owned() + &text("kept")));
    assert_eq!(statuses(&gateway, "/any", "nobody's").await, [401]);
    let more =
        ["--scope", "orders:read", "--claim", "tier=gold", "--group", "gold", "--note", "a b"];
    let secret = add(&gateway, "one", &more);
    assert!(secret.starts_with("acme_live_") && secret.len() == 10 + 43 + 6, "{secret}");
    assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
    assert_eq!(statuses(&gateway, "/strict", &secret).await, [200]);
    let other = add(&gateway, "two", &[]);
    assert_ne!(secret, other);
    assert_eq!(statuses(&gateway, "/any", &other).await, [200]);
    assert_eq!(
        statuses(&gateway, "/strict", &other).await,
        [403],
        "it has neither scope nor claim"
    );
    assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);

    // Neither is the secret in the store, nor in the log, nor shown again.
    let reused = gateway.metric("gateway_plugin_changes_reused_total{plugin=\"auth\"}").await;
    assert!(reused > 0.0, "what follows from a key is made again without a call");
    let (status, key) = admin(&gateway, "GET", "/keys/partners/one", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&key["consumer"], &key["group"], &key["note"]),
        (&json!("acme"), &json!("gold"), &json!("a b"))
    );
    assert_eq!(
        (&key["scopes"], &key["claims"]),
        (&json!(["orders:read"]), &json!({ "tier": "gold" }))
    );
    let used = key["last_used"].as_u64().unwrap();
    assert!(now() - used < 120, "{used}");
    assert!(!key.to_string().contains(&secret));
    for file in ["state.db", "state.db-wal"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{file}");
    }

    assert_eq!(done(&gateway, &["revoke", "partners", "one"]), "one of acme is revoked\n");
    assert_eq!(statuses(&gateway, "/any", &secret).await, [401], "on both workers");
    assert_eq!(statuses(&gateway, "/any", &other).await, [200]);
    assert_eq!(admin(&gateway, "GET", "/keys/partners/one", "").await.0, 404);
    assert!(!run(&gateway, &["revoke", "partners", "one"]).status.success());
}

#[tokio::test]
async fn a_rotated_key_has_both_secrets_for_a_while() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &(FILE.to_owned() + &text("kept")));
    let first = add(&gateway, "one", &[]);
    let second = done(&gateway, &["rotate", "partners", "one", "--grace", "1h"]);
    let second = second.trim_end();
    for secret in [&first, second] {
        assert_eq!(statuses(&gateway, "/any", secret).await, [200]);
    }
    let (_, key) = admin(&gateway, "GET", "/keys/partners/one", "").await;
    let until_then = key["old_secret_until"].as_u64().unwrap();
    assert!((now() + 3000..=now() + 3600).contains(&until_then), "{until_then}");
    // Without a grace the one before ends at once, and the first with it.
    let third = done(&gateway, &["rotate", "partners", "one"]);
    for secret in [&first, second] {
        assert_eq!(statuses(&gateway, "/any", secret).await, [401]);
    }
    assert_eq!(statuses(&gateway, "/any", third.trim_end()).await, [200]);
    // One that is over is refused by itself, whatever is kept.
    let fourth = done(&gateway, &["rotate", "partners", "one", "--grace", "2s"]);
    until(&gateway, third.trim_end(), 401).await;
    assert_eq!(statuses(&gateway, "/any", fourth.trim_end()).await, [200]);
}

#[tokio::test]
async fn a_key_ends_when_it_expires_and_is_changed_without_another_secret() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &(FILE.to_owned() + &text("kept")));
    let secret = add(&gateway, "one", &["--expires", "1h", "--group", "gold"]);
    assert_eq!(statuses(&gateway, "/strict", &secret).await, [403]);
    done(
        &gateway,
        &["change", "partners", "one", "--scope", "orders:read", "--claim", "tier=gold"],
    );
    assert_eq!(statuses(&gateway, "/strict", &secret).await, [200]);
    let shown =
        done(&gateway, &["change", "partners", "one", "--clear", "scopes", "--clear", "group"]);
    assert!(!shown.contains("gold\ngroup") && shown.contains("expires"), "{shown}");
    assert_eq!(statuses(&gateway, "/strict", &secret).await, [403]);
    let soon = json!({ "expires": now() + 2 }).to_string();
    assert_eq!(admin(&gateway, "PATCH", "/keys/partners/one", &soon).await.0, 200);
    until(&gateway, &secret, 401).await;
    let listed = done(&gateway, &["list", "partners"]);
    assert!(listed.lines().nth(1).unwrap().contains("  expired  "), "{listed}");
    done(&gateway, &["change", "partners", "one", "--clear", "expires"]);
    assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
}

#[tokio::test]
async fn keys_and_their_last_use_survive_the_end_of_the_gateway() {
    let folder = tempdir().unwrap();
    let whole = FILE.to_owned() + &text("kept");
    let gateway = Gateway::run(folder.path(), &whole);
    let (kept, revoked) = (add(&gateway, "kept", &[]), add(&gateway, "revoked", &[]));
    assert_eq!(statuses(&gateway, "/any", &kept).await, [200]);
    let (_, key) = admin(&gateway, "GET", "/keys/partners/kept", "").await;
    done(&gateway, &["revoke", "partners", "revoked"]);
    gateway.stop();

    let gateway = Gateway::run(folder.path(), &whole);
    let again = read(&gateway, "/keys/partners/kept").await;
    assert!(again["last_used"].as_u64() >= key["last_used"].as_u64() && key["last_used"].is_u64());
    assert_eq!(statuses(&gateway, "/any", &revoked).await, [401]);
    let at_last = add(&gateway, "at-last", &[]);
    gateway.kill();

    let gateway = Gateway::run(folder.path(), &whole);
    for secret in [&kept, &at_last] {
        assert_eq!(
            statuses(&gateway, "/any", secret).await,
            [200],
            "what was answered is on the disk"
        );
    }
    assert_eq!(statuses(&gateway, "/any", &revoked).await, [401]);
}

/// The gateway takes a file that was written anew, and says so by its generation.
async fn reload(gateway: &Gateway, folder: &Path, text: &str) {
    let file = folder.join("gateway.toml");
    let whole = std::fs::read_to_string(&file).unwrap();
    let head = whole.split_inclusive("respond = { body = \"fine\" }\n").next().unwrap();
    let new = folder.join("new.toml");
    std::fs::write(&new, format!("{head}{text}")).unwrap();
    std::fs::rename(new, &file).unwrap();
    let began = Instant::now();
    loop {
        let (_, answer) = admin(gateway, "GET", "/config/diff", "").await;
        if answer["same_text"] == true {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{answer:#}");
        signal(gateway.process(), "-HUP");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_reload_keeps_a_set_and_another_name_is_another_set() {
    let folder = tempdir().unwrap();
    let whole = FILE.to_owned() + &text("kept");
    let gateway = Gateway::run(folder.path(), &whole);
    let secret = add(&gateway, "one", &[]);
    assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
    let (_, before) = admin(&gateway, "GET", "/keys", "").await;
    assert_eq!(before["sets"][0]["keys"], 1);

    // Another prefix, and other routes: the same keys.
    reload(&gateway, folder.path(), &whole.replace("acme_live", "other")).await;
    assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
    assert!(add(&gateway, "two", &[]).starts_with("other_"));

    // Another name has other keys: none. The former ones stay in the file.
    reload(&gateway, folder.path(), &whole.replace("partners", "friends")).await;
    assert_eq!(statuses(&gateway, "/any", &secret).await, [401]);
    assert_eq!(admin(&gateway, "GET", "/keys/partners", "").await.0, 404);
    assert_eq!(admin(&gateway, "GET", "/keys/friends", "").await.1["total"], 0);

    // No set at all.
    let none = "[[routes]]\nname = \"any\"\npaths = [\"/any\"]\nrespond = { body = \"open\" }\n";
    reload(&gateway, folder.path(), none).await;
    assert_eq!(admin(&gateway, "GET", "/keys", "").await.1, json!({ "sets": [] }));
    reload(&gateway, folder.path(), &whole).await;
    assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
    assert_eq!(admin(&gateway, "GET", "/keys/partners", "").await.1["total"], 2);
}

/// What comes of a secret that was not set.
const OF_NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn wrong_questions_are_answered_with_all_that_is_wrong() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &(FILE.to_owned() + &text("kept")));
    let digest = format!("sha256:{}", "0f".repeat(32));
    let taken = ["add", "partners", "--consumer", "acme", "--id", "taken", "--digest", &digest];
    assert_eq!(done(&gateway, &taken), "taken\n", "no secret is made");
    let body = json!({ "consumer": "", "scopes": ["a b"], "expires": 1, "ids": 1 }).to_string();
    let (status, problem) = admin(&gateway, "POST", "/keys/partners", &body).await;
    assert_eq!(status, 400);
    let errors = problem["errors"].as_array().unwrap();
    let at: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(at, ["/consumer", "/scopes/0", "/expires", "/ids"]);
    for (method, target, body, status) in [
        ("POST", "/keys/none", "{}", 404),
        ("POST", "/keys/partners", "[]", 400),
        ("POST", "/keys/partners", "{\"consumer\": \"a\", \"id\": \"taken\"}", 409),
        ("POST", "/keys/partners", &json!({ "consumer": "a", "digest": digest }).to_string(), 409),
        (
            "POST",
            "/keys/partners",
            &json!({ "consumer": "a", "digest": OF_NOTHING }).to_string(),
            400,
        ),
        ("POST", "/keys/partners/taken/rotate", &json!({ "digest": OF_NOTHING }).to_string(), 400),
        ("PATCH", "/keys/partners/none", "{}", 404),
        ("PATCH", "/keys/partners/taken", "{\"consumer\": null}", 400),
        ("POST", "/keys/partners/none/rotate", "", 404),
        ("POST", "/keys/partners/taken/rotate", "{\"grace\": -1}", 400),
        ("POST", "/keys/partners/taken/rotate", &json!({ "digest": digest }).to_string(), 409),
        ("DELETE", "/keys/partners/none", "", 404),
        ("GET", "/keys/partners?limit=0", "", 400),
        ("GET", "/keys/partners?offset=1", "", 400),
        ("PUT", "/keys/partners", "{}", 405),
    ] {
        let (found, answer) = admin(&gateway, method, target, body).await;
        assert_eq!(found, status, "{method} {target} {body}: {answer}");
    }

    // The command says as much, and exits with 1; what it cannot read, with 2.
    let wrong = ["add", "partners", "--consumer", "a", "--scope", "a b", "--scope", "c d"];
    let output = run(&gateway, &wrong);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(said.contains("/scopes/0") && said.contains("/scopes/1"), "{said}");
    let output = run(&gateway, &["add", "partners", "--consumer", "a", "--expires", "soon"]);
    assert_eq!(output.status.code(), Some(2));
    let output = Command::new(binary()).args(["keys", "list", "partners"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn keys_are_imported_by_their_digests_and_listed_by_page_and_consumer() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &(FILE.to_owned() + &text("kept")));
    let digest = |secret: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    };
    let lines = (0..25).map(|index| {
        let consumer = if index % 5 == 0 { "five" } else { "other" };
        let line = json!({ "id": format!("k{index:02}"), "consumer": consumer, "digest": digest(&format!("s{index}")) });
        format!("{line}\n")
    });
    let file = folder.path().join("keys.jsonl");
    std::fs::write(&file, lines.collect::<String>() + "{}\n\nnonsense\n").unwrap();
    let output = run(&gateway, &["import", "partners", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "25 added, 2 refused\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 26 was") && said.contains("line 28 was"), "{said}");
    assert_eq!(statuses(&gateway, "/any", "s7").await, [200]);

    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let target = format!("/keys/partners?limit=10{after}");
        let (_, page) = admin(&gateway, "GET", &target, "").await;
        assert_eq!(page["total"], 25);
        let ids = page["keys"].as_array().unwrap().iter().map(|key| key["id"].to_string());
        seen.extend(ids);
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted());
    let listed = done(&gateway, &["list", "partners", "--consumer", "five", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["total"], 5);

    // As a document of keys is judged.
    let dated = json!({ "id": "dated", "digest": digest("dated"), "expires": "2096-10-02" });
    let twice = dated.to_string().replace("{", "{\"id\": \"first\", ");
    let wrong = json!({ "id": "w", "digest": digest("w"), "expires": "soon", "note": ["a"] });
    std::fs::write(&file, format!("\u{feff}{dated}\n{twice}\n{wrong}\n{{\"id\"\n")).unwrap();
    let output = run(&gateway, &["import", "partners", file.to_str().unwrap()]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 added, 3 refused\n");
    let said = String::from_utf8(output.stderr).unwrap();
    for words in [
        "the member `id` is named twice",
        "`/expires` is neither a date",
        "column 5: it stops being JSON here",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let (_, key) = admin(&gateway, "GET", "/keys/partners/dated", "").await;
    assert_eq!((&key["consumer"], &key["expires"]), (&json!("dated"), &json!(3_999_974_400_u64)));
    let body = r#"{"consumer": "a", "consumer": "b"}"#;
    let (status, refused) = admin(&gateway, "POST", "/keys/partners", body).await;
    assert_eq!(status, 400);
    assert!(refused["detail"].as_str().unwrap().contains("`consumer` is named twice"), "{refused}");
}

#[test]
fn a_configuration_says_what_is_wrong_with_a_set() {
    let said = |text: &str| {
        let folder = tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let head = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n";
        std::fs::write(&file, format!("{head}{text}")).unwrap();
        let output = Command::new(binary()).arg("check").arg(&file).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let whole = FILE.to_owned() + &text("kept");
    assert!(!said(&whole).contains("error"), "{}", said(&whole));
    for (from, into, words) in [
        (
            "file = \"state.db\"",
            "",
            vec!["is in memory, where keys would be gone", "file = \"state.db\""],
        ),
        (
            "store = \"kept\"",
            "store = \"kep\"",
            vec!["there is no store `kep`", "did you mean `kept`"],
        ),
        ("store = \"kept\"\n", "", vec!["store", "is required"]),
        ("acme_live", "Acme", vec!["is no prefix of keys"]),
        ("[keys.partners]", "[keys.partner]", vec!["there is no set of keys `partners`"]),
        (
            "component = \"auth\"\nkeys = [\"partners\"]",
            "component = \"auth\"",
            vec!["needs `keys = [\"partners\"]` beside `component`"],
        ),
    ] {
        let said = said(&whole.replacen(from, into, 1));
        for words in words {
            assert!(said.contains(words), "{into}: {words}: {said}");
        }
    }
    // All at once.
    let both =
        whole.replacen("store = \"kept\"", "store = \"kep\"", 1).replacen("acme_live", "Acme", 1);
    let said = said(&both);
    assert!(said.contains("is no prefix") && said.contains("no store `kep`"), "{said}");
}

#[tokio::test]
async fn what_is_looked_for_and_changed_is_counted_shown_and_written_down_by_name() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &(FILE.to_owned() + &text("kept")));
    let began = Instant::now();
    while admin(&gateway, "GET", "/readyz", "").await.0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(60), "it has read its keys");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let secret = add(&gateway, "one", &["--scope", "a", "--claim", "tier=gold"]);
    assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
    assert_eq!(statuses(&gateway, "/any", "nobody's").await, [401]);
    let of = |result: &str| {
        format!("gateway_key_set_lookups_total{{keys=\"partners\",result=\"{result}\"}}")
    };
    for result in ["found", "unknown"] {
        gateway.until(&of(result), |count| count > 0.0).await;
    }
    gateway.until("gateway_key_set_keys{keys=\"partners\"}", |keys| keys == 1.0).await;
    gateway.until("gateway_key_set_up{keys=\"partners\"}", |up| up == 1.0).await;
    assert!(gateway.metric("gateway_key_set_age_seconds").await < 60.0);
    let (_, stores) = admin(&gateway, "GET", "/stores", "").await;
    assert_eq!(stores["stores"][0]["api_keys"], 1, "{stores}");

    done(&gateway, &["change", "partners", "one", "--claim", "tier=iron", "--clear", "scopes"]);
    done(&gateway, &["rotate", "partners", "one", "--grace", "1h"]);
    let shown = done(&gateway, &["show", "partners", "one"]);
    assert!(shown.contains("{\"tier\":\"iron\"}") && shown.contains("old secret until"), "{shown}");
    let listed = done(&gateway, &["list", "partners"]);
    assert!(listed.contains("{\"tier\":\"iron\"}") && listed.contains("until 20"), "{listed}");
    gateway_tests::until(|| !gateway.lines_with("action", "key-rotate").is_empty()).await;
    let changed = gateway.lines_with("action", "key-change");
    let what: Value = serde_json::from_str(changed[0]["what"].as_str().unwrap()).unwrap();
    assert_eq!(what["changed"], json!(["scopes", "claims"]));
    assert!(!changed[0].to_string().contains("iron"), "names alone");

    for wrong in [&["change", "partners", "one"][..], &["rotate", "partners"]] {
        assert_eq!(run(&gateway, wrong).status.code(), Some(2), "{wrong:?}");
    }
}
