//! The benchmarks' chain as proxy-wasm filters for Envoy. The plugin configuration is the list of
//! what a filter does: `keys` (refuses requests without a known `x-api-key`), `limit` (counts
//! requests of a second in shared data, as filters do that more than one worker runs) and `shape`
//! (sets a request field and a response field).

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, Status};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::UNIX_EPOCH;

const LIMIT: u64 = 100_000_000;

#[allow(unsafe_code, unreachable_pub, missing_docs, reason = "what the host calls by its name")]
mod entry {
    proxy_wasm::main! {{ super::register(); }}
}

fn register() {
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}

#[derive(Default)]
struct Root(Rc<Work>);

/// What a filter does.
#[derive(Default)]
struct Work {
    keys: Option<HashMap<String, String>>,
    limit: bool,
    shape: bool,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let configuration = String::from_utf8_lossy(&configuration).into_owned();
        let has = |word: &str| configuration.split_whitespace().any(|each| each == word);
        let keys = HashMap::from([("quickstart-key".to_owned(), "bench".to_owned())]);
        self.0 = Rc::new(Work {
            keys: has("keys").then_some(keys),
            limit: has("limit"),
            shape: has("shape"),
        });
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange(Rc::clone(&self.0))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Exchange(Rc<Work>);

impl Context for Exchange {}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(keys) = &self.0.keys {
            let key = self.get_http_request_header("x-api-key").unwrap_or_default();
            if !keys.contains_key(&key) {
                self.send_http_response(401, vec![], None);
                return Action::Pause;
            }
        }
        if self.0.limit && !self.has_room() {
            self.send_http_response(429, vec![], None);
            return Action::Pause;
        }
        if self.0.shape {
            self.set_http_request_header("x-from", Some("gateway"));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.0.shape {
            self.set_http_response_header("x-by", Some("gateway"));
        }
        Action::Continue
    }
}

impl Exchange {
    /// Counts this request in the second in which it came.
    fn has_room(&self) -> bool {
        let now = self.get_current_time().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        loop {
            let (stored, version) = self.get_shared_data("limit:bench");
            let (second, count) = stored.and_then(|it| unpack(&it)).unwrap_or((now, 0));
            let count = if second == now { count + 1 } else { 1 };
            let packed = [now.to_le_bytes(), count.to_le_bytes()].concat();
            match self.set_shared_data("limit:bench", Some(&packed), version) {
                Err(Status::CasMismatch) => {}
                _ => return count <= LIMIT,
            }
        }
    }
}

fn unpack(stored: &[u8]) -> Option<(u64, u64)> {
    let (second, count) = stored.split_at_checked(8)?;
    Some((u64::from_le_bytes(second.try_into().ok()?), u64::from_le_bytes(count.try_into().ok()?)))
}
