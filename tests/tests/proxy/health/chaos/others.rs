//! Programs: the gateway, and HAProxy and Envoy as near to its settings as theirs come.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::{ATTEMPT, CONNECT};

pub(super) struct Other {
    pub(super) address: SocketAddr,
    child: Child,
    folder: tempfile::TempDir,
}

impl Other {
    /// How the last attempts ended of `POST`s that failed, and how often, as a gateway's log has it.
    pub(super) fn ends_of_lost(&self) -> BTreeMap<String, usize> {
        let log = std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
        let mut ends = BTreeMap::new();
        let failed = log.lines().filter(|it| it.contains("exchange failed"));
        for line in failed.filter(|it| it.contains("method=\"POST\"")) {
            let attempts =
                line.split_once("attempts=\"").and_then(|(_, rest)| rest.split_once('"'));
            let last = attempts.and_then(|(attempts, _)| attempts.rsplit(", ").next());
            let end = last.and_then(|last| last.split(' ').nth(1)).unwrap_or("no attempt");
            *ends.entry(end.to_owned()).or_default() += 1;
        }
        ends
    }
}

/// What the program says.
const LOG: &str = "log";

impl Drop for Other {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

pub(super) async fn start(proxy: &str, program: Option<String>, targets: &[SocketAddr]) -> Other {
    let address = free();
    let (name, text) = match proxy {
        "envoy" => ("envoy.yaml", envoy(address, targets)),
        "haproxy" => ("haproxy.cfg", haproxy(address, targets)),
        _ => ("gateway.toml", gateway(address, targets)),
    };
    run(proxy, program, address, (name, text)).await
}

/// This program of a gateway, with what is configured for its address.
pub(super) async fn gateway_of(program: String, text: impl FnOnce(SocketAddr) -> String) -> Other {
    let address = free();
    run("gateway", Some(program), address, ("gateway.toml", text(address))).await
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn run(
    proxy: &str,
    program: Option<String>,
    address: SocketAddr,
    (name, text): (&str, String),
) -> Other {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(program.unwrap_or_else(|| proxy.to_owned()));
    match proxy {
        "envoy" => {
            command.arg("-c").arg(&file).args(["--concurrency", "2", "--log-level", "error"])
        }
        "haproxy" => command.arg("-f").arg(&file).arg("-db"),
        _ => command.arg("run").arg(&file),
    };
    let log = std::fs::File::create(folder.path().join(LOG)).unwrap();
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    gateway_tests::until(|| TcpStream::connect(address).is_ok()).await;
    // Until its first checks have passed.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    Other { address, child, folder }
}

fn gateway(address: SocketAddr, targets: &[SocketAddr]) -> String {
    let settings = super::settings(targets);
    format!(
        "[gateway]\nworkers = 2\n[[listeners]]\nname = \"http\"\naddress = \"{address}\"\n{settings}"
    )
}

fn haproxy(address: SocketAddr, targets: &[SocketAddr]) -> String {
    let (connect, attempt) = (CONNECT.as_millis(), ATTEMPT.as_millis());
    let balance = if super::by_load() { "leastconn" } else { "roundrobin" };
    let mut text = format!(
        "global\n  nbthread 2\ndefaults\n  mode http\n  timeout connect {connect}ms\n  timeout client 60s\n  \
         timeout server {attempt}ms\n  timeout check 500ms\n  retries 3\n  option redispatch 1\n  \
         retry-on all-retryable-errors\n  option httpchk GET /\n  default-server check inter 500ms \
         fall 2 rise 1 observe layer7 error-limit 2 on-error mark-down\nfrontend in\n  bind {address}\n  \
         http-request disable-l7-retry if METH_POST\n  default_backend targets\nbackend targets\n  \
         balance {balance}\n"
    );
    for (index, target) in targets.iter().enumerate() {
        let _infallible = writeln!(text, "  server t{index} {target}");
    }
    text
}

fn envoy(address: SocketAddr, targets: &[SocketAddr]) -> String {
    let socket = |address: SocketAddr| {
        format!(
            "{{ socket_address: {{ address: {}, port_value: {} }} }}",
            address.ip(),
            address.port()
        )
    };
    let endpoints: String = targets
        .iter()
        .map(|target| format!("        - endpoint: {{ address: {} }}\n", socket(*target)))
        .collect();
    let listener = socket(address);
    let balance = if super::by_load() { "LEAST_REQUEST" } else { "ROUND_ROBIN" };
    let (connect, attempt) = (CONNECT.as_secs_f64(), ATTEMPT.as_secs_f64());
    let policy = |on: &str| {
        format!(
            "{{ retry_on: \"{on}\", num_retries: 3, per_try_timeout: {attempt}s, \
             retry_host_predicate: [{{ name: envoy.retry_host_predicates.previous_hosts, typed_config: \
             {{ \"@type\": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate }} }}], \
             host_selection_retry_max_attempts: 10 }}"
        )
    };
    let (safe, post) = (
        policy("5xx,reset,connect-failure"),
        policy("connect-failure,refused-stream,reset-before-request"),
    );
    format!(
        "static_resources:
  listeners:
  - address: {listener}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:
              - match: {{ prefix: /, headers: [{{ name: \":method\", string_match: {{ exact: POST }} }}] }}
                route: {{ cluster: targets, timeout: 15s, retry_policy: {post} }}
              - match: {{ prefix: / }}
                route: {{ cluster: targets, timeout: 15s, retry_policy: {safe} }}
  clusters:
  - name: targets
    type: STATIC
    connect_timeout: {connect}s
    lb_policy: {balance}
    common_lb_config: {{ healthy_panic_threshold: {{ value: 0 }} }}
    circuit_breakers: {{ thresholds: [{{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000, max_retries: 100000 }}] }}
    outlier_detection: {{ consecutive_5xx: 2, consecutive_gateway_failure: 2, enforcing_consecutive_gateway_failure: 100, interval: 0.5s, base_ejection_time: 1s, max_ejection_time: 5s, max_ejection_percent: 100 }}
    health_checks:
    - {{ timeout: 0.5s, interval: 0.5s, no_traffic_interval: 0.5s, unhealthy_threshold: 2, healthy_threshold: 1, http_health_check: {{ path: / }} }}
    load_assignment:
      cluster_name: targets
      endpoints:
      - lb_endpoints:
{endpoints}"
    )
}
