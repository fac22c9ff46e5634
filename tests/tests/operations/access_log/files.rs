//! Logs in files: other files are begun, files are moved away, disks are full.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gateway_tests::{Http1, until};
use tempfile::tempdir;

use super::support::{ask, config, lines, setup, setup_of, until_lines};

/// The files of a log, oldest first; the one that is written is the last.
fn files(log: &Path) -> Vec<PathBuf> {
    let name = log.file_name().unwrap().to_str().unwrap().to_owned();
    let entries = fs::read_dir(log.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let is_before = |path: &PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}."))
    };
    let mut files: Vec<_> = entries.filter(is_before).collect();
    files.sort();
    files.push(log.to_owned());
    files
}

/// Waits until a line says so, in whichever file: on a busy machine it comes after its answer.
async fn until_said(log: &Path, wanted: impl Fn(&str) -> bool) {
    until(|| {
        let texts = files(log).into_iter().map(|file| fs::read_to_string(file).unwrap_or_default());
        texts.into_iter().any(|text| text.lines().any(&wanted))
    })
    .await;
}

async fn metric(gateway: &gateway_tests::Running, log: &str, name: &str) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let line = page
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}{{log=\"{log}\"}} ")));
    line.unwrap_or_else(|| panic!("no {name} in {}", page.text())).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_lost_or_torn_when_another_file_is_begun_under_load() {
    const CLIENTS: usize = 4;
    const EACH: usize = 500;
    let folder = tempdir().unwrap();
    let log = folder.path().join("log");
    let table = "file = { path = \"FOLDER/log\", max_size = \"8KiB\", keep = 1000 }\nformat = \"{path} {request_id} end\"";
    let gateway = setup(table, folder.path()).workers(2).start();
    let clients = (0..CLIENTS).map(|client| ask(&gateway, client * EACH, EACH));
    futures_util::future::join_all(clients).await;
    for client in 1..=CLIENTS {
        until_said(&log, |line| line.starts_with(&format!("/{} ", client * EACH - 1))).await;
    }
    drop(gateway);
    let files = files(&log);
    assert!(files.len() > 10, "{files:?}");
    let mut seen = BTreeSet::new();
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 8 << 10, "{file:?}");
        for line in lines(file) {
            let parts: Vec<_> = line.split(' ').collect();
            assert!(parts.len() == 3 && parts[1].len() == 32 && parts[2] == "end", "{line}");
            assert!(seen.insert(parts[0][1..].parse::<usize>().unwrap()), "{line} is there twice");
        }
    }
    assert_eq!(seen, (0..CLIENTS * EACH).collect());
}

#[tokio::test]
async fn only_so_many_files_are_kept_and_no_others_are_touched() {
    let folder = tempdir().unwrap();
    let log = folder.path().join("log");
    let others = ["log.1", "log.gz", "log.20260101T000000.000Zx", "log2.20260101T000000.000Z"];
    others.iter().for_each(|name| fs::write(folder.path().join(name), "other\n").unwrap());
    fs::write(folder.path().join("log.20200101T000000.000Z"), "of before\n").unwrap();
    let table = "file = { path = \"FOLDER/log\", max_size = \"4KiB\", keep = 3 }\nformat = \"{path} {request_id}\"";
    let gateway = setup(table, folder.path()).start();
    ask(&gateway, 0, 1_000).await;
    until_said(&log, |line| line.starts_with("/999 ")).await;
    drop(gateway);
    let all = files(&log).len();
    assert_eq!(all, 3 + 1 + 3, "the three that are kept, the one that is written, the others");
    assert!(others.iter().all(|name| folder.path().join(name).exists()));
    assert!(!folder.path().join("log.20200101T000000.000Z").exists());
}

#[tokio::test]
async fn a_file_of_yesterday_is_moved_before_the_first_line_of_today() {
    let folder = tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, "of yesterday").unwrap();
    let yesterday = std::time::SystemTime::now() - Duration::from_secs(86_400);
    fs::File::options().append(true).open(&log).unwrap().set_modified(yesterday).unwrap();
    let table = "file = { path = \"FOLDER/log\", rotate = \"daily\" }\nformat = \"{path}\"";
    let gateway = setup(table, folder.path()).start();
    ask(&gateway, 0, 2).await;
    until_said(&log, |line| line == "/1").await;
    drop(gateway);
    let files = files(&log);
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "of yesterday");
    assert_eq!(lines(&log), ["/0", "/1"]);
    // And one of today continues, behind a line that a crash left without an end.
    fs::write(&log, "torn").unwrap();
    let gateway = setup(table, folder.path()).start();
    ask(&gateway, 2, 1).await;
    until_lines(&log, 2).await;
    drop(gateway);
    assert_eq!(lines(&log), ["torn", "/2"]);
}

#[tokio::test]
async fn a_file_that_was_moved_is_opened_anew_with_a_reload_and_nothing_is_lost() {
    let folder = tempdir().unwrap();
    let (log, moved) = (folder.path().join("log"), folder.path().join("moved"));
    let table = "file = \"FOLDER/log\"\nformat = \"{path}\"";
    let gateway = setup(table, folder.path()).start();
    ask(&gateway, 0, 3).await;
    until_lines(&log, 3).await;
    fs::rename(&log, &moved).unwrap();
    ask(&gateway, 3, 2).await;
    assert_eq!(until_lines(&moved, 5).await.len(), 5, "until then it goes on into the same file");
    reload(&gateway, config(table, folder.path())).await;
    ask(&gateway, 5, 2).await;
    assert_eq!(until_lines(&log, 2).await, ["/5", "/6"]);
    fs::rename(&log, &moved).unwrap();
    gateway.handle.reopen_logs();
    ask(&gateway, 7, 1).await;
    assert_eq!(until_lines(&log, 1).await, ["/7"]);
    // Another place and another format: what was handed over before goes to the former.
    let table = "file = \"FOLDER/other\"\nformat = \"{status}\"";
    ask(&gateway, 8, 5).await;
    reload(&gateway, config(table, folder.path())).await;
    ask(&gateway, 0, 1).await;
    assert_eq!(until_lines(&folder.path().join("other"), 1).await, ["200"]);
    assert_eq!(until_lines(&log, 6).await.len(), 6);
    // A place that cannot be had leaves all as it is.
    let mut wrong = config(table, folder.path());
    let destination = &mut wrong.access_logs[0].destination;
    let gateway::config::LogDestination::File(file) = destination else { panic!("a file") };
    file.path = folder.path().join("none/log");
    let handle = gateway.handle.clone();
    let refused = tokio::task::spawn_blocking(move || handle.reload(wrong)).await.unwrap();
    let refused = refused.unwrap_err();
    assert!(format!("{refused:?}").contains("AccessLog"), "{refused:?}");
    ask(&gateway, 0, 1).await;
    until_lines(&folder.path().join("other"), 2).await;
}

async fn reload(gateway: &gateway_tests::Running, config: gateway::config::Config) {
    let handle = gateway.handle.clone();
    tokio::task::spawn_blocking(move || handle.reload(config)).await.unwrap().unwrap();
}

/// A small file system in memory, until it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// `None` where nobody may mount one.
    fn mount() -> Option<Self> {
        let folder = tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _only_litter_stays = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_costs_lines_and_nothing_else_and_is_used_again_when_there_is_room() {
    let Some(small) = Small::mount() else {
        eprintln!("nobody may mount a file system here: a full disk is not tried");
        return;
    };
    let folder = small.0.path();
    let (log, filler) = (folder.join("log"), folder.join("filler"));
    // Of the 16 pages one is left, of which a part of a line is the end.
    fs::write(&filler, vec![0; 15 * 4096]).unwrap();
    let table = "file = \"FOLDER/log\"\nformat = \"{path} {request_id} end\"\n[admin]\naddress = \"127.0.0.1:0\"";
    let gateway = setup_of("full", table, folder).start();
    ask(&gateway, 0, 300).await;
    let mut dropped = 0;
    gateway_tests::within(async {
        while dropped == 0
            || dropped + metric(&gateway, "full", "gateway_access_log_lines_total").await < 300
        {
            dropped = metric(&gateway, "full", "gateway_access_log_dropped_total").await;
        }
    })
    .await;
    let before = lines(&log).len();
    assert_eq!(before as u64 + dropped, 300);
    assert!(before > 50, "{before}");
    let warned = |words: &str| {
        gateway_tests::log::lines(|line| {
            line.field("log") == "full" && line.message.contains(words)
        })
        .len()
    };
    assert_eq!(warned("its lines are dropped"), 1);
    fs::remove_file(&filler).unwrap();
    ask(&gateway, 1_000, 10).await;
    let all = until_lines(&log, before + 10).await;
    assert_eq!(all.len(), before + 10);
    for line in all {
        assert!(line.starts_with('/') && line.ends_with(" end"), "{line}");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    ask(&gateway, 2_000, 1).await;
    until(|| warned("is written again") == 1).await;
    assert_eq!(warned("its lines are dropped"), 1);
}

#[tokio::test]
async fn a_device_that_takes_nothing_costs_lines_alone() {
    let folder = tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("log")).unwrap();
    let table =
        "file = { path = \"FOLDER/log\", max_size = \"4KiB\" }\n[admin]\naddress = \"127.0.0.1:0\"";
    let gateway = setup(table, folder.path()).start();
    ask(&gateway, 0, 100).await;
    gateway_tests::within(async {
        while metric(&gateway, "x", "gateway_access_log_dropped_total").await < 100 {}
    })
    .await;
    assert_eq!(metric(&gateway, "x", "gateway_access_log_lines_total").await, 0);
}
