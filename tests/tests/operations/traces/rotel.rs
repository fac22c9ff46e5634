//! A real collector: rotel, from PyPI.

use std::fmt::Display;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gateway_tests::client::get;
use gateway_tests::{Http1, Setup, Upstream, until};

/// One that writes down what it takes, until it is dropped.
struct Rotel {
    process: Child,
    grpc: u16,
    http: u16,
    folder: tempfile::TempDir,
}

impl Rotel {
    fn start(program: &Path) -> Self {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (grpc, http) = (port(), port());
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program)
            .arg("start")
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .args(["--exporter", "blackhole"])
            .args(["--pid-file", folder.path().join("pid").to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap();
        Self { process, grpc, http, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// `ROTEL` is its program.
#[tokio::test]
#[ignore = "needs the collector rotel: `.ci/run` installs it"]
async fn takes_spans_over_grpc_and_over_http() {
    let program = std::env::var_os("ROTEL").expect("ROTEL, the path of rotel-agent");
    let rotel = Rotel::start(Path::new(&program));
    for port in [rotel.grpc, rotel.http] {
        until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    }
    let upstream = Upstream::echo().await;
    for (protocol, port, service) in
        [("grpc", rotel.grpc, "by-grpc"), ("http", rotel.http, "by-http")]
    {
        let text = format!(
            "[traces]\nendpoint = \"http://127.0.0.1:${{env:C}}\"\nprotocol = \"{protocol}\"\n\
             service_name = \"{service}\"\n[upstreams.a]\ntargets = [\"http://${{env:A}}\"]\n\
             [[routes]]\nname = \"all\"\npaths = [\"/{{*rest}}\"]\nupstream = \"a\"\n"
        );
        let values: [(&str, &dyn Display); 2] = [("A", &upstream.address), ("C", &port)];
        let gateway = Setup::toml(&text, &values).start();
        let mut client = Http1::connect(gateway.address).await;
        assert_eq!(client.send(get(&format!("/{service}/1"))).await.status(), 200);
        until(|| rotel.log().contains(&format!("/{service}/1"))).await;
        let log = rotel.log();
        assert!(log.contains(service), "{log}");
    }
}
