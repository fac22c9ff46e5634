//! Plugins that were compiled when the gateway was packed: a start without any cache finds them.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gateway_tests::{Http1, PATIENCE, binary, client, within};
use tempfile::TempDir;

/// The plugin of the test: a small one.
const PLUGIN: &str = "ip";

/// A folder as a package has it: the program in `bin`, compiled plugins in `lib/gateway`.
struct Installed {
    folder: TempDir,
}

impl Installed {
    fn new() -> Self {
        // Where a link to the program can be.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let program = folder.path().join("bin/gateway");
        fs::hard_link(binary(), &program)
            .or_else(|_| fs::copy(binary(), &program).map(drop))
            .unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn gateway(&self) -> Command {
        Command::new(self.path("bin/gateway"))
    }

    fn precompile(&self, folder: &str) -> Vec<PathBuf> {
        let folder = self.path(folder);
        let mut command = self.gateway();
        let output = command.arg("precompile").arg(&folder).arg(PLUGIN).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.starts_with(b"1 plugin is compiled in "), "{output:?}");
        files(&folder)
    }

    /// Starts with a cache, asks once, and ends. Returns the log.
    async fn serve(&self, cache: &str) -> String {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cache = self.path(cache);
        let text = format!(
            "[gateway]\nworkers = 1\ncache_dir = {cache:?}\n[[listeners]]\nname = \"l\"\n\
             address = \"127.0.0.1:{port}\"\n[plugins.ip]\ncomponent = \"{PLUGIN}\"\n\
             config = {{ deny = [\"127.0.0.0/8\"] }}\n[[routes]]\nname = \"r\"\npaths = [\"/\"]\n\
             plugins = [\"ip\"]\nrespond = {{ status = 204 }}\n"
        );
        let file = self.path("gateway.toml");
        fs::write(&file, text).unwrap();
        let log = self.path("log");
        let mut command = self.gateway();
        command.arg("run").arg(&file).env("GATEWAY_LOG", "gateway=debug");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = Ends(command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap());
        let address = ([127, 0, 0, 1], port).into();
        tokio::time::timeout(3 * PATIENCE, async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                let log = fs::read_to_string(&log).unwrap();
                assert!(child.0.try_wait().unwrap().is_none(), "{log}");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("it starts");
        let mut client = within(Http1::connect(address)).await;
        let answer =
            within(client.send(client::to(address, client::request("GET", "/", &[], "")))).await;
        assert_eq!(answer.status(), 403, "the plugin refuses the address");
        drop(child);
        fs::read_to_string(&log).unwrap()
    }
}

/// Ends with this.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The files of a folder and below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let below = entries.flat_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path) } else { vec![path] }
    });
    below.collect()
}

/// What was compiled into a cache.
fn compiled(folder: &Path) -> usize {
    let is_code = |path: &&PathBuf| fs::metadata(path).is_ok_and(|it| it.len() > 10_000);
    files(folder).iter().filter(is_code).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_compiles_nothing_that_stands_beside_the_program() {
    let installed = Installed::new();
    let files = installed.precompile("lib/gateway");
    let [file] = files.as_slice() else { panic!("{files:?}") };
    installed.serve("first").await;
    assert_eq!(compiled(&installed.path("first")), 0, "it was compiled again");

    // The same bytes each time, for packages that can be made again.
    let again = installed.precompile("again");
    assert!(fs::read(file).unwrap() == fs::read(&again[0]).unwrap());
    assert_eq!(file.file_name(), again[0].file_name());

    // What others may have written is not executed.
    fs::set_permissions(file, Permissions::from_mode(0o666)).unwrap();
    let log = installed.serve("second").await;
    assert!(log.contains("is not used") && log.contains("chmod go-w"), "{log}");
    assert_eq!(compiled(&installed.path("second")), 1);
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();

    // Nor what stands in a folder that others may write to; that is said once.
    let folder = file.parent().unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    let log = installed.serve("third").await;
    assert_eq!(log.matches("are not used").count(), 1, "{log}");
    assert!(log.contains("lib/gateway") && log.contains("chmod go-w"), "{log}");
    assert_eq!(compiled(&installed.path("third")), 1);
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();

    // Nor is what this gateway cannot read.
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    fs::write(file, "of another version").unwrap();
    let log = installed.serve("second").await;
    assert!(log.contains("does not fit here"), "{log}");
}
