//! A store in a file.

use std::time::Duration;

use gateway_tests::Http1;
use gateway_tests::client::request;
use tempfile::tempdir;

use super::gateways::{Gateway, limit};

fn text() -> String {
    let policy = "{ name = \"day\", limit = 10, window = \"1d\", key = [\"header:x-who\"] }";
    "[stores.kept]\nfile = \"state.db\"\n".to_owned() + &limit("day", "\"kept\"", policy)
}

async fn admitted(gateway: &Gateway, who: &str, count: usize) -> usize {
    let mut client = Http1::connect(gateway.address).await;
    let mut admitted = 0;
    for _ in 0..count {
        let answer = client.send(request("GET", "/day", &[("x-who", who)], "")).await;
        admitted += usize::from(answer.status() == 200);
    }
    admitted
}

#[tokio::test]
async fn a_spent_quota_stays_spent_over_a_clean_stop() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &text());
    assert_eq!(admitted(&gateway, "a", 7).await, 7);
    gateway.stop();
    let gateway = Gateway::run(folder.path(), &text());
    assert_eq!(admitted(&gateway, "a", 7).await, 3, "nothing is lost");
    assert_eq!(admitted(&gateway, "b", 7).await, 7);
}

#[tokio::test]
async fn a_kill_loses_no_more_than_a_second_of_counts() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &text());
    assert_eq!(admitted(&gateway, "a", 10).await, 10);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(admitted(&gateway, "late", 10).await, 10);
    gateway.kill();
    let gateway = Gateway::run(folder.path(), &text());
    assert_eq!(admitted(&gateway, "a", 10).await, 0, "a second had passed");
    gateway.kill();
}

/// What the first configuration had open is closed when it is left, like that of any other.
#[tokio::test]
async fn a_reload_away_from_a_file_and_back_finds_what_was_there() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &text());
    assert_eq!(admitted(&gateway, "a", 7).await, 7);
    let file = folder.path().join("gateway.toml");
    let first = std::fs::read_to_string(&file).unwrap();
    let elsewhere = first.replace("state.db", "other.db");
    let is_open = |name: &str| {
        let held = std::fs::read_dir(format!("/proc/{}/fd", gateway.process())).unwrap();
        let mut names = held.filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
        names.any(|it| it.ends_with(name))
    };
    assert!(is_open("state.db"));
    for (turn, (text, left)) in [(&elsewhere, 10), (&first, 3), (&elsewhere, 0)].iter().enumerate()
    {
        std::fs::write(&file, text).unwrap();
        let loaded = "gateway_config_reloads_total{result=\"in_force\"}";
        gateway.until(loaded, |count| count > turn as f64 + 0.5).await;
        assert_eq!(gateway.said("cannot be opened"), 0, "turn {turn}");
        assert_eq!(admitted(&gateway, "a", 20).await, *left, "turn {turn}");
        let left = if text.contains("other.db") { "state.db" } else { "other.db" };
        let began = std::time::Instant::now();
        while is_open(left) {
            assert!(began.elapsed() < Duration::from_secs(60), "{left} stays open: turn {turn}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_file_has_one_gateway_at_a_time() {
    let folder = tempdir().unwrap();
    let _gateway = Gateway::run(folder.path(), &text());
    let output = std::process::Command::new(gateway_tests::binary())
        .current_dir(folder.path())
        .arg("run")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the store `kept` cannot be opened: another process has it open"),
        "{said}"
    );
    assert!(said.contains("[stores.kept]"), "the line is shown: {said}");
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_left_as_it_is() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("state.db");
    std::fs::write(&file, "not a database, and of some use to somebody").unwrap();
    let path = folder.path().join("gateway.toml");
    let head = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n";
    std::fs::write(&path, format!("{head}{}", text())).unwrap();
    let mut command = std::process::Command::new(gateway_tests::binary());
    let output = command.current_dir(folder.path()).arg("run").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is not an SQLite file"), "{said}");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("not a database"));
}

#[tokio::test]
async fn keys_and_values_survive_a_stop_and_keep_their_time() {
    let folder = tempdir().unwrap();
    let guest = gateway_tests::guests::path("counter");
    let text = format!(
        "[stores.kept]\nfile = \"state.db\"\n[plugins.counts]\ncomponent = {guest:?}\n\
         grants = [\"key-value\"]\nkey_value = \"kept\"\n\
         [[routes]]\nname = \"counts\"\npaths = [\"/counts\"]\nplugins = [\"counts\"]\n\
         respond = {{ body = \"fine\" }}\n"
    );
    let count = async |gateway: &Gateway| {
        let answer = Http1::get(gateway.address, "/counts").await;
        answer.header("x-count").unwrap().parse::<u64>().unwrap()
    };
    let gateway = Gateway::run(folder.path(), &text);
    assert_eq!((count(&gateway).await, count(&gateway).await), (1, 2));
    gateway.stop();
    let gateway = Gateway::run(folder.path(), &text);
    assert_eq!(count(&gateway).await, 3);
}
