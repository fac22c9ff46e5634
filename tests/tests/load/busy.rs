//! A machine that is too busy: everything takes longer, and nothing breaks.

use std::process::{Child, Command};

use gateway_tests::upstream::full;
use gateway_tests::{Http1, Upstream, client};
use http::Response;

use crate::process::Process;

/// Processes that compute for nothing on one processor, until they are dropped.
struct Burners(Vec<Child>);

impl Burners {
    fn start(count: usize, processor: &str) -> Self {
        let start = |_| {
            let mut burner = Command::new("taskset");
            burner.args(["-c", processor, "sh", "-c", "while :; do :; done"]);
            burner.spawn().expect("taskset and sh are installed")
        };
        Self((0..count).map(start).collect())
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for burner in &mut self.0 {
            let _may_have_ended = burner.kill();
            let _status = burner.wait();
        }
    }
}

/// The first processor that this test may use.
fn processor() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    allowed.trim().split(['-', ',']).next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_waits_for_a_processor_is_not_past_its_deadline() {
    let text = "A needle in a haystack. ".repeat(8 << 10);
    let expected = text.replace("needle", "pin");
    let upstream = Upstream::http1(move |_| {
        let text = text.clone();
        async move {
            let response = Response::builder().header("content-type", "text/plain");
            response.body(full(text)).unwrap()
        }
    })
    .await;
    let gateway = Process::start(&format!(
        r#"
        [upstreams.service]
        targets = ["http://{}"]

        [plugins.shape]
        component = "transform"
        limits = {{ deadline = "10ms" }}
        [plugins.shape.config]
        response.text = [{{ find = "needle", replace = "pin" }}]

        [[routes]]
        name = "all"
        paths = ["/{{*rest}}"]
        plugins = ["shape"]
        upstream = "service"
        "#,
        upstream.address
    ));
    let processor = processor();
    gateway.pin(&processor);
    let _burners = Burners::start(8, &processor);
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..40 {
        let answer = client.send(client::get("/")).await;
        assert!(answer.text() == expected, "{} bytes of {}", answer.body.len(), expected.len());
    }
}
