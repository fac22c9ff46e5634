//! Changes heads as the request tells it to, for the tests of every change that a plugin can make.
//! On the way in: `x-set-method`, `x-set-path`, `x-set-query` (empty removes it), `x-set-header:
//! NAME=VALUE`, `x-add-header: NAME=VALUE`, `x-remove-header: NAME`. On the way out, told by the
//! same request: `x-set-status`, `x-set-response-header: NAME=VALUE`, `x-add-response-header:
//! NAME=VALUE`, `x-remove-response-header: NAME`, and `x-replace-response: BODY`, which answers 200
//! with BODY instead. `x-early-set`, `x-early-add: NAME=VALUE` and `x-early-remove: NAME` have the
//! response changed on the way in already. What it is told stays on the request.

use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Edits;

impl Plugin for Edits {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-set-path").and_on_response()
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let told = |request: &Request, name: &str| request.header(name).map(str::to_owned);
        if let Some(method) = told(request, "x-set-method") {
            request.set_method(method);
        }
        if let Some(path) = told(request, "x-set-path") {
            request.set_path(path);
        }
        if let Some(query) = told(request, "x-set-query") {
            request.set_query(query);
        }
        if let Some((name, value)) = told(request, "x-set-header").and_then(pair) {
            request.set_header(name, value);
        }
        if let Some((name, value)) = told(request, "x-add-header").and_then(pair) {
            request.add_header(name, value);
        }
        if let Some(name) = told(request, "x-remove-header") {
            request.remove_header(name);
        }
        if let Some((name, value)) = told(request, "x-early-set").and_then(pair) {
            request.set_response_header(name, value);
        }
        if let Some((name, value)) = told(request, "x-early-add").and_then(pair) {
            request.add_response_header(name, value);
        }
        if let Some(name) = told(request, "x-early-remove") {
            request.remove_response_header(name);
        }
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, (): &mut ()) -> Outcome {
        let told = |response: &ResponseHead, name: &str| response.request().header(name);
        if let Some(body) = told(response, "x-replace-response") {
            return Outcome::respond(Response::new(200).body(body));
        }
        if let Some(status) = told(response, "x-set-status").and_then(|text| text.parse().ok()) {
            response.set_status(status);
        }
        if let Some((name, value)) = told(response, "x-set-response-header").and_then(pair) {
            response.set_header(name, value);
        }
        if let Some((name, value)) = told(response, "x-add-response-header").and_then(pair) {
            response.add_header(name, value);
        }
        if let Some(name) = told(response, "x-remove-response-header") {
            response.remove_header(name);
        }
        Outcome::Next
    }
}

fn pair(text: String) -> Option<(String, String)> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

register_plugin!(Edits);
