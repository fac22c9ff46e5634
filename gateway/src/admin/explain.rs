//! `GET /explain`: which route of the configuration in force takes a request, and why.
//!
//! Owns how the request comes in a query. What is said is that of `gateway explain`.

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use super::page::{MOST, number};
use crate::config::names_secret;
use crate::explain::{Account, Considered, Question, explain as account, url};

/// Routes that are named where nothing is asked.
const USUAL: usize = 100;

pub(super) fn explain(admin: &Admin, call: &Call) -> Answer {
    let question = question(call)?;
    let in_force = admin.in_force();
    let mut account = account(&in_force.config, &question).map_err(Refusal::not_found)?;
    hide(&mut account);
    let shown = serde_json::to_value(account);
    Ok(Reply::json(shown.unwrap_or(Value::Null)))
}

/// Reads `url`, `method`, `listener`, `routes`, and any number of `header`.
fn question(call: &Call) -> Result<Question, Refusal> {
    let mut headers = HeaderMap::new();
    let [mut target, mut method, mut listener, mut routes] = [const { None }; 4];
    for (name, value) in call.parameters() {
        let slot = match name.as_str() {
            "header" => {
                let (name, value) = field(&value)?;
                headers.append(name, value);
                continue;
            }
            "url" => &mut target,
            "method" => &mut method,
            "listener" => &mut listener,
            "routes" => &mut routes,
            _ => {
                let known = "`url`, `method`, `header`, `listener` and `routes`";
                return Err(Refusal::bad(format!("there is no parameter `{name}`, but {known}")));
            }
        };
        if slot.replace(value).is_some() {
            return Err(Refusal::bad(format!("the parameter `{name}` is there twice")));
        }
    }
    let target = target.ok_or_else(|| Refusal::bad("`url` is required"))?;
    let wrong = |why: String| Refusal::bad(format!("`url` cannot be read: {why}"));
    let url = url(&target).map_err(wrong)?;
    if !url.path().starts_with('/') {
        return Err(wrong("it is neither a URL with a scheme nor a path".to_owned()));
    }
    let method = method.as_deref().unwrap_or("GET").as_bytes();
    let no_method = |_| Refusal::bad("`method` is not the name of a method");
    Ok(Question {
        method: Method::from_bytes(method).map_err(no_method)?,
        url,
        headers,
        listener,
        routes: number("routes", routes.as_deref(), 1, MOST)?.unwrap_or(USUAL),
    })
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), Refusal> {
    let wrong = || Refusal::bad("a `header` is written `name: value`");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    Ok((name, value))
}

/// A value that a route asks for may be a key.
fn hide(account: &mut Account) {
    let considered = account.listeners.iter_mut().flat_map(|it| it.routes.iter_mut());
    for Considered { predicate, want, got, .. } in considered {
        let name = predicate.as_deref().and_then(|it| it.split_once(' ')).map(|(_, name)| name);
        if name.is_some_and(names_secret) {
            let values = [want, got].into_iter().flatten();
            values.for_each(|value| "[masked]".clone_into(value));
        }
    }
}
