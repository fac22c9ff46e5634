//! For how long a plugin that never ends holds its worker up.
//!
//! Measured in the worker's own time on a processor: what passes on the wall besides is for the
//! machine to answer for, and no test can promise it.

use std::time::Duration;

use gateway_tests::{Http1, client};

use crate::process::Process;
use crate::{alone, guest, median};

/// Of the clock of deadlines.
const TICK: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_plugin_that_never_ends_holds_its_worker_up_for_its_deadline_and_a_quarter() {
    let _alone = alone().await;
    // Under and over the time after which the clock of deadlines rests.
    for deadline in [Duration::from_millis(40), Duration::from_millis(400)] {
        let gateway = Process::start(&format!(
            r#"
            [plugins.loops]
            component = "{}"
            limits = {{ deadline = "{}ms" }}

            [[routes]]
            name = "all"
            paths = ["/{{*rest}}"]
            plugins = ["loops"]
            respond = {{ body = "fine" }}
            "#,
            guest("loops"),
            deadline.as_millis()
        ));
        let mut client = Http1::connect(gateway.address).await;
        let mut spent = async |field| {
            let mut times = Vec::new();
            for _ in 0..7 {
                let before = gateway.worker_time();
                client.send(client::request("GET", "/", &[(field, "1")], "")).await;
                times.push(gateway.worker_time() - before);
            }
            median(times)
        };
        // The instance that takes the place of the failed one is made in the request after it.
        let around = spent("x-fine").await;
        let held_up = spent("x-loop").await;
        println!("deadline {deadline:?}: held up for {held_up:?}, of which {around:?} around it");
        assert!(held_up >= deadline, "a plugin may compute for its whole deadline: {held_up:?}");
        let most = deadline + deadline / 4 + 2 * TICK;
        // Making an instance takes its time where nothing is optimised, and the thread of the
        // clock waits for a processor too.
        let margin = deadline / 10 + 10 * TICK;
        assert!(held_up - around < most + margin, "{held_up:?} of {most:?}");
    }
}
