//! Caches with a folder: what is in it is served again after an end of any kind, and never damaged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Upstream, binary};
use http::Response;
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stores::gateways::Gateway;

const PATHS: usize = 40;

/// Each path has a body of its own, larger than a piece on disk.
fn body(path: &str) -> Vec<u8> {
    let number: usize = path.rsplit('/').next().and_then(|it| it.parse().ok()).unwrap_or(0);
    path.bytes().cycle().take((66 << 10) + number * 4321).collect()
}

async fn origin() -> (Upstream, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let upstream = Upstream::http1(move |request| {
        count.fetch_add(1, Relaxed);
        let response = Response::builder().header("cache-control", "max-age=3600");
        let response = response.header("surrogate-key", "pages");
        async move { response.body(full(body(request.uri().path()))).unwrap() }
    })
    .await;
    (upstream, asked)
}

fn text(upstream: &Upstream, cache: &str) -> String {
    format!(
        "[upstreams.origin]\ntargets = [\"http://{}\"]\n[caches.pages]\n{cache}\n\
         [plugins.cache]\ncomponent = \"cache\"\ncache = \"pages\"\nlimits = {{ deadline = \"5s\" }}\n\
         [[routes]]\nname = \"all\"\npaths = [\"/o/{{*rest}}\"]\nplugins = [\"cache\"]\nupstream = \"origin\"\n",
        upstream.address
    )
}

fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    std::fs::create_dir(folder.path().join("pages")).unwrap();
    folder
}

/// Sizes of all files of bodies, by name.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let shelves = std::fs::read_dir(folder.join("pages/bodies")).unwrap();
    let files = shelves.flat_map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap());
    let named = files.map(|file| {
        let file = file.unwrap();
        (file.file_name().to_string_lossy().into_owned(), file.metadata().unwrap().len())
    });
    named.collect()
}

async fn shown(gateway: &Gateway) -> Value {
    let answer = Http1::admin(gateway.admin, "/caches").await;
    let page: Value = serde_json::from_slice(&answer.body).unwrap();
    page["caches"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_under_load_damages_nothing() {
    let (upstream, asked) = origin().await;
    let folder = folder();
    let text = text(
        &upstream,
        "folder = \"pages\"\ndisk_size = \"16MiB\"\ndisk_from = \"1KiB\"\nmax_object = \"1MiB\"",
    );
    let mut from_disk: usize = 0;
    for round in 0..6 {
        let gateway = Gateway::run(folder.path(), &text);
        let at_start = files(folder.path());
        assert!(at_start.values().sum::<u64>() <= 16 << 20, "{at_start:?}");
        let objects = shown(&gateway).await["disk_objects"].as_u64().unwrap();
        assert_eq!(objects, at_start.len() as u64, "no file is left over: {at_start:?}");
        let (address, before) = (gateway.address, asked.load(Relaxed));
        let clients: Vec<_> = (0..4_usize)
            .map(|client| {
                tokio::spawn(async move {
                    let mut served = 0;
                    for turn in 0..1_000 {
                        let path = format!("/o/{}", (turn * 7 + client * 13) % PATHS);
                        // Until the gateway is killed.
                        let Some(answer) = whole(address, &path).await else { return served };
                        assert!(answer == body(&path), "{path}: {} bytes", answer.len());
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        // Each time at another moment.
        tokio::time::sleep(Duration::from_millis(150 + 70 * round)).await;
        gateway.kill();
        for client in clients {
            from_disk += client.await.unwrap();
        }
        // Some were asked for when it was killed.
        from_disk = from_disk.saturating_sub(asked.load(Relaxed) - before);
    }
    assert!(from_disk > 0, "some were hits");
    let gateway = Gateway::run(folder.path(), &text);
    let kept = shown(&gateway).await["disk_objects"].as_u64().unwrap();
    let before = asked.load(Relaxed);
    for number in 0..PATHS {
        let path = format!("/o/{number}");
        let answer = whole(gateway.address, &path).await.unwrap();
        assert!(answer == body(&path), "{path}");
    }
    let asked_again = (asked.load(Relaxed) - before) as u64;
    assert!(kept > 0, "nothing was written");
    assert_eq!(asked_again, PATHS as u64 - kept, "what is there is served");
    assert_eq!(shown(&gateway).await["disk_damaged_total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_served_after_a_restart_until_it_is_purged() {
    let (upstream, asked) = origin().await;
    let folder = folder();
    let text = text(&upstream, "folder = \"pages\"");
    let gateway = Gateway::run(folder.path(), &text);
    for path in ["/o/1", "/o/2"] {
        assert_eq!(Http1::get(gateway.address, path).await.body, body(path));
    }
    gateway.until("gateway_cache_disk_stored_total", |count| count == 2.0).await;
    gateway.stop();
    let gateway = Gateway::run(folder.path(), &text);
    let answer = Http1::get(gateway.address, "/o/1").await;
    assert_eq!(answer.body, body("/o/1"));
    assert!(answer.header("cache-status").is_some_and(|it| it.contains("; hit")), "{answer:?}");
    let fields = [("range", "bytes=65530-65540")];
    let mut client = Http1::connect(gateway.address).await;
    let part = client.send(request("GET", "/o/1", &fields, "")).await;
    assert_eq!((part.status(), &part.body[..]), (206, &body("/o/1")[65530..=65540]));
    let head = client.send(request("HEAD", "/o/1", &[], "")).await;
    assert_eq!(head.header("content-length").unwrap(), body("/o/1").len().to_string());
    assert_eq!(asked.load(Relaxed), 2);
    // By the command, which says where there was nothing.
    let (code, said) = purge_command(&gateway, ["pages", "--tag", "nothing"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing was removed: the cache holds nothing of that"), "{said}");
    let (code, said) = purge_command(&gateway, ["nothing", "--tag", "pages"]);
    assert!(code == Some(1) && said.contains("no such cache; there is `pages`"), "{said}");
    let (code, said) = purge_command(&gateway, ["pages", "--tag", "pages"]);
    assert_eq!((code, &*said), (Some(0), "2 entries were removed\n"));
    assert_eq!(files(folder.path()).len(), 0, "the answer says that they are gone");
    gateway.kill();
    let gateway = Gateway::run(folder.path(), &text);
    assert_eq!(Http1::get(gateway.address, "/o/1").await.body, body("/o/1"));
    assert_eq!(asked.load(Relaxed), 3);
}

/// What `gateway cache purge` ends with, and says.
fn purge_command(gateway: &Gateway, what: [&str; 3]) -> (Option<i32>, String) {
    let admin = format!("http://{}", gateway.admin);
    let mut command = Command::new(binary());
    let command = command.args(["cache", "purge"]).args(what).args(["--admin", &admin]);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// The body of an answer that came whole, as its own head says.
async fn whole(address: SocketAddr, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let asked = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.ok()?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.ok()?;
    let end = all.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap_or_else(|| panic!("{head}")).parse().unwrap();
    (all.len() - end == length).then(|| all.split_off(end))
}

/// What `run`, `check` or `check --bind` says, which ends at once.
fn refused(verb: &str, folder: &Path, text: &str) -> String {
    let head = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n";
    std::fs::write(folder.join("other.toml"), format!("{head}{text}")).unwrap();
    let mut command = Command::new(binary());
    let words = verb.split(' ').chain(["other.toml"]);
    let output = command.current_dir(folder).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_of_one_gateway_that_can_write_it() {
    let (upstream, _) = origin().await;
    let folder = folder();
    let in_use = text(&upstream, "folder = \"pages\"");
    let gateway = Gateway::run(folder.path(), &in_use);
    let said = refused("run", folder.path(), &in_use);
    let expected = "the folder of the cache `pages` cannot be used: another process uses it";
    assert!(said.contains(expected) && said.contains("[caches.pages]"), "{said}");
    // To look at it takes nothing from who has it.
    for _ in 0..2 {
        let said = refused("check --bind", folder.path(), &in_use);
        let number = gateway.process();
        let expected = format!("cannot be used: another process ({number}) uses it");
        assert!(said.contains(&expected) && said.contains("[caches.pages]"), "{said}");
    }
    let fine =
        Command::new(binary()).current_dir(folder.path()).args(["check", "other.toml"]).status();
    assert!(fine.unwrap().success(), "the gateway that has it is to take the file");
    // Nobody can make files there, root neither.
    for verb in ["run", "check"] {
        let said = refused(verb, folder.path(), &text(&upstream, "folder = \"/proc\""));
        let expected = "the folder of the cache `pages` cannot be used: /proc";
        assert!(said.contains(expected) && said.contains("name a folder that"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_asked_for_again() {
    let (upstream, asked) = origin().await;
    let folder = folder();
    let text = text(&upstream, "folder = \"pages\"\ndisk_from = 1");
    let gateway = Gateway::run(folder.path(), &text);
    let get = async |path: &str| Http1::get(gateway.address, path).await;
    let paths = ["/o/1", "/o/2", "/o/3"];
    for path in paths {
        get(path).await;
    }
    gateway.until("gateway_cache_disk_stored_total", |count| count == 3.0).await;
    let shelves = std::fs::read_dir(folder.path().join("pages/bodies")).unwrap();
    let files = shelves.flat_map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap());
    for (index, file) in files.enumerate() {
        let path = file.unwrap().path();
        match index {
            0 => std::fs::remove_file(path).unwrap(),
            1 => std::fs::write(path, "short").unwrap(),
            _ => {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[7] ^= 1;
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
    for path in paths {
        let answer = get(path).await;
        assert_eq!((answer.status(), answer.body == body(path)), (200, true), "{path}");
        let said = answer.header("cache-status").unwrap();
        assert!(said.contains("fwd=uri-miss"), "{said}");
    }
    assert_eq!(asked.load(Relaxed), 6);
    assert_eq!(shown(&gateway).await["disk_damaged_total"], 3);
}
