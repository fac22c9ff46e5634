//! A gateway that ends under load, with its limits in a file.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use gateway_tests::client::request;
use gateway_tests::{Http1, within};
use rusqlite::{Connection, OpenFlags};
use tempfile::tempdir;
use tokio::task::JoinSet;

use super::gateways::{Gateway, limit};
use super::server::signal;

/// Each client has its own.
const LIMIT: u64 = 20_000;
const CLIENTS: usize = 4;
/// What a crash loses at most, as documented.
const LOST: Duration = Duration::from_secs(1);

fn text() -> String {
    let policies = format!(
        "{{ name = \"bucket\", limit = {LIMIT}, window = \"366d\", key = [\"header:x-who\"] }}, \
         {{ name = \"fixed\", limit = {LIMIT}, window = \"366d\", algorithm = \"fixed\", key = [\"header:x-who\"] }}"
    );
    "[stores.kept]\nfile = \"state.db\"\n".to_owned() + &limit("day", "\"kept\"", &policies)
}

/// When the requests of a client were answered.
type Answered = Vec<Instant>;

/// Clients that ask one request after the other, until the gateway is gone.
fn load(gateway: &Gateway) -> JoinSet<(usize, Answered)> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = gateway.address;
        clients.spawn(async move {
            let mut answered = Vec::new();
            let mut connection = Http1::connect(address).await;
            let who = client.to_string();
            loop {
                let asked = request("GET", "/day", &[("x-who", &who)], "");
                if connection.0.ready().await.is_err() {
                    break;
                }
                match connection.0.send_request(asked).await {
                    Ok(response) if response.status() == 200 => answered.push(Instant::now()),
                    Ok(response) => panic!("{response:?}"),
                    Err(_) => break,
                }
            }
            (client, answered)
        });
    }
    clients
}

async fn ended(clients: JoinSet<(usize, Answered)>) -> HashMap<usize, Answered> {
    within(clients.join_all()).await.into_iter().collect()
}

/// What is counted of a client by each policy, by what is left after one more.
async fn counted(gateway: &Gateway, client: usize) -> [u64; 2] {
    let who = client.to_string();
    let asked = request("GET", "/day", &[("x-who", &who)], "");
    let answer = Http1::connect(gateway.address).await.send(asked).await;
    assert_eq!(answer.status(), 200);
    ["bucket", "fixed"].map(|policy| {
        let field = answer.header("ratelimit").unwrap();
        let (_, left) = field.split_once(&format!("\"{policy}\";r=")).unwrap();
        let left: u64 = left.split([';', ',']).next().unwrap().parse().unwrap();
        LIMIT - left - 1
    })
}

fn is_whole(folder: &Path) {
    // A copy: to look at the file itself would write its log into it.
    let copy = tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("state.db{suffix}");
        if folder.join(&name).exists() {
            std::fs::copy(folder.join(&name), copy.path().join(&name)).unwrap();
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = Connection::open_with_flags(copy.path().join("state.db"), flags).unwrap();
    let sql = "PRAGMA integrity_check";
    let found: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_under_load_loses_a_second_of_counts_at_most_and_damages_nothing() {
    let folder = tempdir().unwrap();
    let mut before: HashMap<usize, [u64; 2]> =
        (0..CLIENTS).map(|client| (client, [0, 0])).collect();
    // At different moments of what the file is written in.
    for time in [1_300, 1_450, 1_600, 1_750] {
        let gateway = Gateway::run(folder.path(), &text());
        let clients = load(&gateway);
        tokio::time::sleep(Duration::from_millis(time)).await;
        let killed = Instant::now();
        gateway.kill();
        let answers = ended(clients).await;
        is_whole(folder.path());
        let gateway = Gateway::run(folder.path(), &text());
        assert_eq!(gateway.said("cannot be"), 0);
        for (client, answers) in answers {
            let sure = answers.iter().filter(|at| **at + LOST <= killed).count() as u64;
            // One more may have been on its way.
            let most = answers.len() as u64 + 1;
            assert!(sure > 0, "there is load: {sure} of {most}");
            let now = counted(&gateway, client).await;
            for (now, before) in now.iter().zip(before[&client]) {
                let new = now - before;
                assert!((sure..=most).contains(&new), "{new} of {most}, {sure} for sure");
            }
            before.insert(client, now.map(|count| count + 1));
        }
        gateway.stop();
        is_whole(folder.path());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_nothing() {
    let folder = tempdir().unwrap();
    for turn in 0..2 {
        let gateway = Gateway::run(folder.path(), &text());
        let before = match turn {
            0 => HashMap::new(),
            _ => {
                let mut before = HashMap::new();
                for client in 0..CLIENTS {
                    before.insert(client, counted(&gateway, client).await.map(|it| it + 1));
                }
                before
            }
        };
        let clients = load(&gateway);
        tokio::time::sleep(Duration::from_millis(700)).await;
        signal(gateway.process(), "-TERM");
        let answers = ended(clients).await;
        gateway.stopped();
        is_whole(folder.path());
        let gateway = Gateway::run(folder.path(), &text());
        for (client, answers) in answers {
            let before = before.get(&client).copied().unwrap_or_default();
            assert!(answers.len() > 5, "there is load");
            let expected = before.map(|it| it + answers.len() as u64);
            assert_eq!(counted(&gateway, client).await, expected);
        }
        gateway.stop();
    }
}
