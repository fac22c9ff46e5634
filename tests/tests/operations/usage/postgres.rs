//! Usage in PostgreSQL: a real server, if the machine has one. Without it these tests say so and pass.

mod sums;

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gateway_tests::optional::missing;
use gateway_tests::{Setup, until};
use tempfile::TempDir;

use super::support::{ask_often, metric, report, row, setup, sum, until_true};

/// Who runs the server where the tests are run by root, whom PostgreSQL refuses.
const NOBODY: u32 = 65_534;

/// A server with one database, until it is dropped.
struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// Settings of the server, besides those of all tests.
    settings: Vec<String>,
    child: Child,
}

/// The folder of PostgreSQL's programs.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    debian.chain(std::env::split_paths(&path)).find(|folder| folder.join("initdb").exists())
}

fn as_somebody(program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

impl Server {
    /// `None` where there is no PostgreSQL.
    async fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new()).await
    }

    /// The same with settings, which may need files in its folder.
    async fn start_with(settings: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let Some(programs) = programs() else {
            missing("PostgreSQL");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::fs::write(folder.path().join("password"), "secret\n").unwrap();
        let made = as_somebody(&programs.join("initdb"))
            .current_dir(folder.path())
            .args(["--username=gateway", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"])
            .arg("--pwfile=password")
            .arg("data")
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = settings(folder.path());
        let child = Self::spawn(&programs, folder.path(), port, &settings);
        let server = Self { programs, folder, port, settings, child };
        server.ready().await;
        Some(server)
    }

    fn spawn(programs: &Path, folder: &Path, port: u16, settings: &[String]) -> Child {
        as_somebody(&programs.join("postgres"))
            .current_dir(folder)
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .args(["-D", "data", "-h", "127.0.0.1", "-k", "", "-F", "-p", &port.to_string()])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn ready(&self) {
        until(|| std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()).await;
        // It listens a little before it serves.
        until_true(|| async { self.count("SELECT 1").await.is_some() }).await;
    }

    /// A fast end, as by an operator.
    fn stop(&mut self) {
        signal(&self.child, "-INT");
        self.child.wait().unwrap();
    }

    async fn start_again(&mut self) {
        self.child = Self::spawn(&self.programs, self.folder.path(), self.port, &self.settings);
        self.ready().await;
    }

    fn url(&self) -> String {
        format!("postgres://gateway@127.0.0.1:{}/postgres", self.port)
    }

    fn setup(&self) -> Setup {
        setup(&self.url(), "password = \"${env:PASSWORD}\"")
    }

    /// The number that a statement gives, or `None` if the server does not answer.
    async fn count(&self, sql: &str) -> Option<i64> {
        let (url, sql) = (self.url(), format!("SELECT ({sql})::int8"));
        let asked = move || {
            let mut config: postgres::Config = url.parse().unwrap();
            let mut client = config.password("secret").connect(postgres::NoTls).ok()?;
            client.query_one(&sql, &[]).ok().map(|row| row.get(0))
        };
        tokio::task::spawn_blocking(asked).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once: nothing of it is kept.
        signal(&self.child, "-QUIT");
        let _reaped = self.child.wait();
    }
}

/// Sends a signal to a process that was started here.
fn signal(child: &Child, name: &str) {
    let _gone = Command::new("kill").args([name, &child.id().to_string()]).status();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_on_one_database_add_up_exactly() {
    let Some(server) = Server::start().await else { return };
    {
        // Both make the tables.
        let (one, two) = (server.setup().workers(2).start(), server.setup().start());
        tokio::join!(ask_often(one.address, 300, 7), ask_often(two.address, 200, 7));
        // And both again, when both have rows of these keys.
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::join!(ask_often(one.address, 100, 7), ask_often(two.address, 100, 7));
    }
    let rows = report(&server.setup().config, "consumer");
    assert_eq!((rows.as_array().unwrap().len(), sum(&rows, "requests")), (7, 700), "{rows:#}");
    assert_eq!((sum(&rows, "tokens"), sum(&rows, "ended")), (10_500, 700));
    let by_hour = report(&server.setup().config, "hour,route,status");
    assert_eq!((sum(&by_hour, "requests"), sum(&by_hour, "tokens")), (700, 10_500));
    // The tables are a documented interface.
    let sql = "SELECT sum(requests) FROM usage_days WHERE consumer = 'c0' AND day = \
               (now() AT TIME ZONE 'UTC')::date";
    assert_eq!(server.count(sql).await.unwrap(), row(&rows, "consumer", "c0")["requests"]);
    let sql = "SELECT sum(amount) FROM usage_minute_counters WHERE counter = 'tokens'";
    assert_eq!(server.count(sql).await, Some(10_500));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_and_comes_back_loses_nothing() {
    let Some(mut server) = Server::start().await else { return };
    let gateway = server.setup().start();
    ask_often(gateway.address, 40, 2).await;
    until_true(|| async { metric(&gateway, "gateway_usage_store_up").await == 1 }).await;
    server.stop();
    for _ in 0..3 {
        ask_often(gateway.address, 20, 2).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(metric(&gateway, "gateway_usage_store_up").await, 0);
    assert!(metric(&gateway, "gateway_usage_rows_waiting").await > 0);
    server.start_again().await;
    until_true(|| async { metric(&gateway, "gateway_usage_rows_waiting").await == 0 }).await;
    // Connections are cut off in the middle of what they do, again and again.
    for _ in 0..5 {
        ask_often(gateway.address, 20, 2).await;
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE application_name = 'gateway'";
        server.count(cut).await.unwrap();
    }
    drop(gateway);
    let rows = report(&server.setup().config, "consumer");
    assert_eq!((sum(&rows, "requests"), sum(&rows, "tokens")), (200, 3_000), "{rows:#}");
    // A wrong password is said, and shown nowhere.
    let usage = server.setup().config;
    let wrong = Setup::toml(
        &format!(
            "[usage]\nstore = {:?}\npassword = \"${{env:WRONG}}\"\n[[routes]]\nname = \"a\"\n\
                  paths = [\"/\"]\nrespond = {{}}\n",
            server.url()
        ),
        &[("WRONG", &"hunter2")],
    );
    let said = report(&wrong.config, "route");
    let said = said.as_str().unwrap();
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(
        !said.contains("hunter2") && !format!("{:?}{:?}", usage, wrong.config).contains("hunter2")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_without_its_database_and_writes_when_it_is_there() {
    let Some(mut server) = Server::start().await else { return };
    server.stop();
    let gateway = server.setup().start();
    ask_often(gateway.address, 30, 3).await;
    until_true(|| async { metric(&gateway, "gateway_usage_rows_waiting").await > 0 }).await;
    server.start_again().await;
    until_true(|| async {
        server.count("SELECT coalesce(sum(requests), 0) FROM usage_days").await == Some(30)
    })
    .await;
}

/// A certificate and its key in the server's folder, which it takes from there.
fn secured(folder: &Path, names: &[&str]) -> Vec<String> {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let (certificate, key) = gateway_tests::tls::pem(names);
    let place = |name: &str| folder.join(name);
    std::fs::write(place("server.crt"), certificate).unwrap();
    std::fs::write(place("server.key"), key).unwrap();
    std::fs::set_permissions(place("server.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        chown(place("server.key"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let file = |setting: &str, name: &str| format!("{setting}={}", place(name).display());
    vec!["ssl=on".into(), file("ssl_cert_file", "server.crt"), file("ssl_key_file", "server.key")]
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_rows_go_to_a_server_that_is_trusted_and_to_no_other() {
    let names = ["localhost", "127.0.0.1"];
    let Some(server) = Server::start_with(|folder| secured(folder, &names)).await else { return };
    let trusted = server.folder.path().join("server.crt");
    let of = |host: &str, ca: Option<&Path>| {
        let url = format!("postgres://gateway@{host}:{}/postgres?sslmode=require", server.port);
        let ca = ca.map(|ca| format!("ca = {ca:?}\n")).unwrap_or_default();
        setup(&url, &format!("password = \"${{env:PASSWORD}}\"\n{ca}"))
    };
    for host in ["127.0.0.1", "localhost"] {
        let gateway = of(host, Some(&trusted)).start();
        ask_often(gateway.address, 30, 3).await;
        until_true(|| async { metric(&gateway, "gateway_usage_store_up").await == 1 }).await;
        let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                         WHERE application_name = 'gateway' AND ssl";
        assert_eq!(server.count(encrypted).await, Some(1), "{host}");
    }
    let rows = report(&of("localhost", Some(&trusted)).config, "consumer");
    assert_eq!(sum(&rows, "requests"), 60, "{rows:#}");

    // One that nobody trusts, and one whose certificate is for another name.
    let (other, _) = gateway_tests::tls::pem(&names);
    let untrusted = server.folder.path().join("other.crt");
    std::fs::write(&untrusted, other).unwrap();
    for ca in [None, Some(&*untrusted)] {
        let setup = of("localhost", ca);
        let said = report(&setup.config, "consumer");
        let said = said.as_str().unwrap_or_else(|| panic!("rows from an untrusted server: {said}"));
        let clear = "nobody who is trusted issued the server's certificate; `ca` names";
        assert!(said.contains(clear), "{said}");
        let gateway = setup.start();
        ask_often(gateway.address, 10, 1).await;
        until_true(|| async { metric(&gateway, "gateway_usage_rows_waiting").await > 0 }).await;
        assert_eq!(metric(&gateway, "gateway_usage_store_up").await, 0);
    }
    let rows = server.count("SELECT sum(requests) FROM usage_days").await;
    assert_eq!(rows, Some(60), "nothing went to who is not trusted");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_certificate_must_be_for_the_host() {
    let secured = |folder: &Path| secured(folder, &["db.example"]);
    let Some(server) = Server::start_with(secured).await else { return };
    let ca = server.folder.path().join("server.crt");
    let url = format!("postgres://gateway@localhost:{}/postgres?sslmode=require", server.port);
    let setup = setup(&url, &format!("password = \"${{env:PASSWORD}}\"\nca = {ca:?}\n"));
    let said = report(&setup.config, "consumer");
    let said = said.as_str().unwrap_or_else(|| panic!("rows by another name: {said}"));
    let clear = "certificate is for another host than that of the URL";
    assert!(said.contains(clear) && said.contains("db.example"), "{said}");
}
