//! gRPC-Web by the clients that browsers load, `grpc-web` and Connect, to a server of `@grpc/grpc-js`.
//!
//! It needs Node.js, and fetches the packages. So it is left out unless asked for:
//! `cargo test --test manual -- --ignored grpc_web`, as `.ci/run` does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use gateway_tests::Setup;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js"]
async fn clients_of_grpc_web_reach_a_server_of_grpc() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manual/grpc_web");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grpc-web");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "calls.js"] {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    let mut npm = Command::new("npm");
    let npm = npm.args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder);
    assert!(npm.status().expect("install Node.js 20 or newer, and npm").success());
    let mut node = Command::new("node");
    let node = node.arg("calls.js").current_dir(&folder);
    let mut node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(node.stdout.take().unwrap()).lines();
    let port = said.next().unwrap().unwrap();
    let text = format!(
        "[upstreams.echo]\ntargets = [\"http://127.0.0.1:{port}\"]\nprotocol = \"http2\"\ngrpc_web = \"translate\"\n\
         [[routes]]\nname = \"echo\"\npaths = [\"/{{*rest}}\"]\nupstream = \"echo\"\n"
    );
    let gateway = Setup::toml(&text, &[]).start();
    writeln!(node.stdin.take().unwrap(), "{}", gateway.address).unwrap();
    assert_eq!(said.next().transpose().unwrap().as_deref(), Some("all calls are answered"));
    assert!(node.wait().unwrap().success());
}
