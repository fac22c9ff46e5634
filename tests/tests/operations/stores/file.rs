//! A store in a file.

use std::path::Path;
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

fn remove(folder: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        let _none = std::fs::remove_file(folder.join(format!("state.db{suffix}")));
    }
}

#[tokio::test]
async fn a_file_that_is_deleted_is_made_anew_with_all_that_it_had() {
    for suffixes in [&[""][..], &["", "-wal", "-shm"]] {
        let folder = tempdir().unwrap();
        let gateway = Gateway::run(folder.path(), &text());
        assert_eq!(admitted(&gateway, "a", 7).await, 7);
        tokio::time::sleep(Duration::from_secs(1)).await;
        remove(folder.path(), suffixes);
        let errors = "gateway_store_calls_total{store=\"kept\",result=\"error\"}";
        gateway.until(errors, |count| count == 1.0).await;
        assert_eq!(gateway.metric("gateway_store_up").await, 1.0);
        gateway.says("was deleted or moved away: all that it has is in a new file", 1).await;
        assert_eq!(admitted(&gateway, "b", 10).await, 10);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(gateway.said("was deleted or moved away"), 1, "it is told once");
        // Nothing of the old file gets into the new one, nor takes anything of it away.
        gateway.kill();
        let gateway = Gateway::run(folder.path(), &text());
        assert_eq!(admitted(&gateway, "a", 7).await, 3, "{suffixes:?}");
        assert_eq!(admitted(&gateway, "b", 7).await, 0, "{suffixes:?}");
        gateway.stop();
    }
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_whole_and_so_is_the_new_one() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &text());
    assert_eq!(admitted(&gateway, "a", 7).await, 7);
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::rename(folder.path().join("state.db"), folder.path().join("old.db")).unwrap();
    let errors = "gateway_store_calls_total{store=\"kept\",result=\"error\"}";
    gateway.until(errors, |count| count == 1.0).await;
    assert_eq!(admitted(&gateway, "a", 1).await, 1);
    gateway.stop();
    for (file, left) in [("old.db", 3), ("state.db", 2)] {
        let gateway = Gateway::run(folder.path(), &text().replace("state.db", file));
        assert_eq!(admitted(&gateway, "a", 7).await, left, "{file}");
    }
}

#[tokio::test]
async fn a_file_in_the_place_of_another_is_told_and_never_written_over() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &text());
    assert_eq!(admitted(&gateway, "a", 7).await, 7);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (ours, other) = (folder.path().join("state.db"), folder.path().join("other"));
    std::fs::write(&other, "of some use to somebody").unwrap();
    std::fs::rename(&other, &ours).unwrap();
    gateway.until("gateway_store_up", |up| up == 0.0).await;
    assert_eq!(admitted(&gateway, "b", 10).await, 10, "limits go on");
    tokio::time::sleep(Duration::from_secs(1)).await;
    gateway.says("another file has taken its place", 1).await;
    assert_eq!(std::fs::read_to_string(&ours).unwrap(), "of some use to somebody");
    std::fs::rename(&ours, &other).unwrap();
    gateway.until("gateway_store_up", |up| up == 1.0).await;
    gateway.stop();
    let gateway = Gateway::run(folder.path(), &text());
    assert_eq!(admitted(&gateway, "a", 7).await, 3);
    assert_eq!(admitted(&gateway, "b", 7).await, 0);
}

/// As one that is restored from a copy, into the file that is there or in its place.
#[tokio::test]
async fn a_file_that_somebody_writes_over_is_told_and_left_to_them() {
    for (is_in_place, words) in [
        (true, "somebody else has written to the file"),
        (false, "another file has taken its place"),
    ] {
        let folder = tempdir().unwrap();
        let (ours, saved) = (folder.path().join("state.db"), folder.path().join("saved.db"));
        let gateway = Gateway::run(folder.path(), &text());
        assert_eq!(admitted(&gateway, "a", 7).await, 7);
        gateway.stop();
        std::fs::copy(&ours, &saved).unwrap();
        let gateway = Gateway::run(folder.path(), &text());
        assert_eq!(admitted(&gateway, "a", 7).await, 3);
        tokio::time::sleep(Duration::from_secs(1)).await;
        if is_in_place {
            std::fs::write(&ours, "").unwrap();
        } else {
            std::fs::rename(&saved, &ours).unwrap();
        }
        gateway.until("gateway_store_up", |up| up == 0.0).await;
        gateway.says(words, 1).await;
        if is_in_place {
            std::fs::copy(&saved, &ours).unwrap();
        }
        gateway.stop();
        let gateway = Gateway::run(folder.path(), &text());
        assert_eq!(
            admitted(&gateway, "a", 7).await,
            3,
            "what was restored, and nothing else: {words}"
        );
    }
}

/// A glance at the file would give up the lock.
#[tokio::test]
async fn a_reload_leaves_the_file_to_this_gateway_alone() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &text());
    let file = folder.path().join("gateway.toml");
    let respelled = std::fs::read_to_string(&file).unwrap().replace("state.db", "./state.db");
    std::fs::write(&file, respelled).unwrap();
    gateway.until("gateway_config_reloads_total{result=\"in_force\"}", |count| count > 0.5).await;
    assert_eq!(admitted(&gateway, "a", 7).await, 7);
    let mut command = std::process::Command::new(gateway_tests::binary());
    let output = command.current_dir(folder.path()).arg("run").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another process has it open"), "{said}");
}
