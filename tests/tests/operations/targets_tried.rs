//! `gateway check --connect`: targets that are not there, and checks that fail, with their place in the file. And weights
//! that leave nobody.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use gateway_tests::{Upstream, binary, upstream::full};
use http::Response;

const SERVED: &str = "[[listeners]]\nname = \"http\"\naddress = \"127.0.0.1:0\"\n\
                      [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = { status = 200 }\n";

async fn check(folder: &Path, text: &str, arguments: &'static [&str]) -> (Output, String) {
    let file = folder.join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let check = move || Command::new(binary()).arg("check").args(arguments).arg(&file).output();
    let output = tokio::task::spawn_blocking(check).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// Where nobody listens.
fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What is said about the line of the file that has this, with what is marked in it.
fn finding(said: &str, text: &str, marked: &str) -> String {
    let line = text[..text.find(marked).unwrap()].matches('\n').count() + 1;
    let place = format!("gateway.toml:{line}:");
    let all: Vec<_> = said.split("\n\n").filter(|it| it.contains(&place)).collect();
    let [one] = all[..] else { panic!("{marked}: {said}") };
    let carets = format!("{} ", "^".repeat(marked.len()));
    assert!(format!("{one} ").replace('\n', " ").contains(&carets), "{marked}: {one}");
    one.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_are_not_there_are_told_where_the_file_has_them() {
    let well = Upstream::http1(|request| async move {
        let status = if request.uri().path() == "/healthz" { 200 } else { 404 };
        Response::builder().status(status).body(full("")).unwrap()
    })
    .await;
    let silent = Upstream::script(|stream| async move {
        let _stays_open = stream;
        std::future::pending().await
    })
    .await;
    let (well, silent, closed, checked, dns) =
        (well.address, silent.address, nowhere(), nowhere(), nowhere());
    let text = format!(
        "{SERVED}
[upstreams.well]
targets = [\"http://{well}\"]
health = {{ path = \"/healthz\" }}
[upstreams.some]
targets = [
  \"http://{well}\",
  {{ url = \"http://{closed}\", weight = 2 }},
]
[upstreams.checked]
targets = [\"http://{checked}\"]
health = {{ kind = \"tcp\" }}
[upstreams.elsewhere]
targets = [\"http://{well}\"]
health = {{ path = \"/health\" }}
[upstreams.silent]
targets = [\"http://{silent}\"]
health = {{ path = \"/\", timeout = \"200ms\" }}
[upstreams.unnamed]
targets = [\"http://nowhere.example\"]
dns = {{ resolver = \"dns\", servers = [\"{dns}\"] }}
[upstreams.services]
targets = [{{ srv = \"http://_http._tcp.nowhere.example\" }}]
dns = {{ servers = [\"{dns}\"] }}
"
    );
    let all = ["well", "some", "checked", "elsewhere", "silent", "unnamed", "services"];
    let routes = all.map(|name| {
        format!("[[routes]]\nname = \"{name}\"\npaths = [\"/{name}\"]\nupstream = \"{name}\"\n")
    });
    let text = text + &routes.concat();
    let folder = tempfile::tempdir().unwrap();
    let (output, said) = check(folder.path(), &text, &[]).await;
    assert!(output.status.success() && said.is_empty(), "nobody is asked: {said}");
    let begin = Instant::now();
    let (output, said) = check(folder.path(), &text, &["--connect"]).await;
    assert!(output.status.success(), "a warning keeps nothing from being served: {said}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    for (marked, upstream, why) in [
        (format!("\"http://{closed}\""), "some", "cannot connect: "),
        (format!("\"http://{checked}\""), "checked", "the health check fails: cannot connect: "),
        (format!("\"http://{silent}\""), "silent", "no answer within 200ms"),
        (
            "\"http://nowhere.example\"".to_owned(),
            "unnamed",
            "`nowhere.example` cannot be looked up: ",
        ),
        (
            "\"http://_http._tcp.nowhere.example\"".to_owned(),
            "services",
            "`_http._tcp.nowhere.example` cannot be looked up: ",
        ),
    ] {
        let finding = finding(&said, &text, &marked);
        assert!(finding.contains(&format!("upstream `{upstream}`: ")), "{finding}");
        assert!(finding.contains(why), "{why}: {finding}");
    }
    assert!(
        said.contains(&format!(
            "upstream `elsewhere`: target {well}: the health check (`http`) fails: the status is 404"
        )),
        "{said}"
    );
    assert_eq!(said.matches("warning: ").count(), 6, "{said}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("6 warnings"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_leave_nobody_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let none = "[{ url = \"http://127.0.0.1:9\", weight = 0 }, { url = \"http://127.0.0.2:9\", weight = 0 }]";
    let text = format!("{SERVED}[upstreams.u]\ntargets = {none}\n");
    let (output, said) = check(folder.path(), &text, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{said}");
    let of_targets = finding(&said, &text, none);
    assert!(of_targets.contains("no target gets a request: each has the weight 0"), "{said}");
    let none = "[{ name = \"a\", upstream = \"u\", weight = 0 }, { name = \"b\", upstream = \"u\", weight = 0 }]";
    let text = format!(
        "{SERVED}[[routes]]\nname = \"split\"\npaths = [\"/split\"]\nsplit = {{ variants = {none} }}\n\
         [upstreams.u]\ntargets = [\"http://127.0.0.1:9\"]\n"
    );
    let (output, said) = check(folder.path(), &text, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{said}");
    let of_variants = finding(&said, &text, none);
    assert!(of_variants.contains("no variant gets a request: each has the weight 0"), "{said}");
}
