//! Targets that are tried once, for an operator who asks whether they are there.
//!
//! Owns what is tried: the look-up of a name, and the health check of the upstream, or a connection where it has none.
//! All at the same time, so that it takes no longer than the slowest. Must not serve, log, or change anything.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::ask;
use crate::config::{CheckKind, Config, HealthCheck, Span, Upstream};
use crate::names::Names;
use crate::tcp::run_flusher;
use crate::timer::Timers;

/// How long a target without a health check may take, unless its time for a connection is shorter.
const LONGEST: Duration = Duration::from_secs(5);
/// How many are tried at a time.
const AT_A_TIME: usize = 64;

/// What is wrong with a target.
#[derive(Debug)]
pub struct Unreached {
    /// Where the file has the target.
    pub place: Span,
    /// Its upstream, it, and why it cannot be reached.
    pub message: String,
}

/// Tries each target of a configuration, and waits for all of them. Not on a thread of a runtime.
#[must_use]
pub fn try_targets(config: &Config) -> Vec<Unreached> {
    let names = Arc::new(Names::quiet());
    let expanded = names.expanded(config);
    let upstreams = &expanded.as_ref().unwrap_or(config).upstreams;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let message = format!("targets cannot be tried: {error}");
            return vec![Unreached { place: 0..0, message }];
        }
    };
    let found = LocalSet::new().block_on(&runtime, async {
        tokio::task::spawn_local(run_flusher());
        let (timers, turns) = (Timers::new(), Rc::new(Semaphore::new(AT_A_TIME)));
        let each = upstreams.iter().flat_map(|upstream| {
            upstream.targets.iter().map(|target| {
                let (targets, written) = (vec![target.clone()], Vec::new());
                Upstream { targets, written, ..upstream.clone() }
            })
        });
        let tried = each.map(|one| {
            let (names, timers, turns) = (Arc::clone(&names), timers.clone(), Rc::clone(&turns));
            tokio::task::spawn_local(async move {
                let _turn = turns.acquire().await;
                let result = reach(&one, &names, &timers).await;
                result
                    .err()
                    .map(|message| Unreached { place: one.targets[0].place.0.clone(), message })
            })
        });
        let mut found = Vec::new();
        for tried in tried.collect::<Vec<_>>() {
            found.extend(tried.await.ok().flatten());
        }
        found
    });
    // A look-up by the system may go on for long, on a thread of its own.
    runtime.shutdown_background();
    found
}

async fn reach(one: &Upstream, names: &Names, timers: &Timers) -> Result<(), String> {
    let (upstream, target) = (&one.name, &one.targets[0]);
    let (check, time) = match &one.health {
        Some(check) => (check.clone(), check.timeout),
        None => (connection(), one.timeouts.connect.min(LONGEST)),
    };
    let asked = async {
        if let Some(name) = names.of(one, target) {
            name.addresses().await.map_err(|why| {
                let host = &target.host;
                format!("upstream `{upstream}`: the name `{host}` cannot be looked up: {why}")
            })?;
        }
        let what = match (&one.health, &check.kind) {
            (None, _) => "",
            (_, CheckKind::Tcp) => "the health check fails: ",
            (_, CheckKind::Http { .. }) => "the health check (`http`) fails: ",
            (_, CheckKind::Grpc { .. }) => "the health check (`grpc`) fails: ",
        };
        let told = |why: String| {
            format!("upstream `{upstream}`: target {}: {what}{why}", target.authority)
        };
        let asker = ask::Target::new(one, &check, names, timers);
        let asker = asker.map_err(|error| told(error.to_string()))?;
        asker.ask().await.map_err(told)
    };
    tokio::time::timeout(time, asked).await.unwrap_or_else(|_| {
        let target = &target.authority;
        Err(format!("upstream `{upstream}`: target {target}: no answer within {time:?}"))
    })
}

/// What is tried where there is no health check.
fn connection() -> HealthCheck {
    let (interval, timeout) = (LONGEST, LONGEST);
    HealthCheck { kind: CheckKind::Tcp, interval, timeout, unhealthy: 1, healthy: 1 }
}
