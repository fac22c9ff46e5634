//! Clocks that differ, that are set, and that pass the border of a month: servers and gateways as processes, each with a
//! clock of its own (`clock.c`).

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::{TempDir, tempdir};

use super::gateways::{Gateway, flood, limit};
use super::server::{KINDS, Server};
use super::shared::store;

const CLOSED: &str = "{ store = \"shared\", on_store_error = \"closed\" }";
/// The end of January 2027, in UTC.
const BORDER: i64 = 1_801_440_000;

/// The clock of a process, which goes on from where it is set.
struct Clock {
    folder: TempDir,
    library: PathBuf,
}

impl Clock {
    /// Set to so many minutes after the border.
    fn new(minutes: i64) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operations/stores/clock.c");
        let folder = tempdir().unwrap();
        let library = folder.path().join("clock.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).args([&library, &source]);
        assert!(compiler.status().unwrap().success());
        std::fs::write(folder.path().join("ahead"), [0; 8]).unwrap();
        let clock = Self { folder, library };
        clock.set(minutes);
        clock
    }

    fn set(&self, minutes: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let ahead = BORDER + 60 * minutes - i64::try_from(now).unwrap();
        // Processes have it mapped: it must not become shorter.
        let file = std::fs::OpenOptions::new().write(true).open(self.folder.path().join("ahead"));
        file.unwrap().write_all_at(&ahead.to_ne_bytes(), 0).unwrap();
    }

    fn environment(&self) -> [(&str, String); 2] {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("CLOCK_AHEAD", text(&self.folder.path().join("ahead"))),
        ]
    }
}

fn gateway(clock: &Clock, folder: &Path, text: &str) -> Gateway {
    let environment = clock.environment();
    Gateway::run_with(folder, text, &environment.each_ref().map(|(name, value)| (*name, &**value)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_whose_clocks_differ_agree_about_the_border_of_a_month() {
    for kind in KINDS {
        let clock = Clock::new(-10);
        let environment = clock.environment();
        let environment = environment.each_ref().map(|(name, value)| (*name, &**value));
        let Some(server) = Server::start_in(kind, &environment).await else { continue };
        assert!(server.ask("TIME").starts_with("*2\r\n$10\r\n1801439"), "{}", server.ask("TIME"));
        let policies = "{ name = \"month\", limit = 100, window = \"month\", key = [] }";
        let text = store(&server, "") + &limit("month", CLOSED, policies);
        let folder = tempdir().unwrap();
        // One is behind, and one has passed the border.
        let clocks = [-15, -10, 5].map(Clock::new);
        let mut gateways = Vec::new();
        for clock in &clocks {
            gateways.push(gateway(clock, folder.path(), &text));
        }
        for gateway in &gateways {
            gateway.until("gateway_store_up", |up| up == 1.0).await;
        }
        let all: Vec<_> = gateways.iter().collect();
        let exactly = |admitted: usize| match admitted {
            0 => BTreeMap::from([(429, 150)]),
            _ => BTreeMap::from([(200, admitted), (429, 150 - admitted)]),
        };
        assert_eq!(flood(&all, "/month", 15, 10).await, exactly(100), "{kind:?}: in January");
        clock.set(10);
        assert_eq!(flood(&all, "/month", 15, 10).await, exactly(100), "{kind:?}: in February");
        // As after a failover to a server whose clock is behind.
        clock.set(-5);
        assert_eq!(flood(&all, "/month", 15, 10).await, exactly(0), "{kind:?}: nothing twice");
        clock.set(20);
        assert_eq!(flood(&all, "/month", 15, 10).await, exactly(0), "{kind:?}: still in February");
    }
}

#[tokio::test]
async fn a_month_that_is_used_up_ends_while_the_gateway_is_away() {
    let clock = Clock::new(-10);
    let folder = tempdir().unwrap();
    let policy = "{ name = \"month\", limit = 5, window = \"month\", key = [] }";
    let text =
        format!("[stores.kept]\nfile = \"state.db\"\n{}", limit("month", "\"kept\"", policy));
    let january = gateway(&clock, folder.path(), &text);
    assert_eq!(january.statuses("/month", 6).await, [200, 200, 200, 200, 200, 429]);
    january.stop();
    clock.set(-1);
    let january = gateway(&clock, folder.path(), &text);
    assert_eq!(january.statuses("/month", 1).await, [429], "the month goes on");
    january.stop();
    clock.set(1);
    let february = gateway(&clock, folder.path(), &text);
    assert_eq!(february.statuses("/month", 6).await, [200, 200, 200, 200, 200, 429]);
    // Set back over the border, it admits nothing twice, over a restart either.
    clock.set(-3);
    assert_eq!(february.statuses("/month", 1).await, [429]);
    february.stop();
    let back = gateway(&clock, folder.path(), &text);
    assert_eq!(back.statuses("/month", 1).await, [429]);
    clock.set(60 * 24 * 28 + 1);
    assert_eq!(back.statuses("/month", 6).await, [200, 200, 200, 200, 200, 429], "in March");
}
