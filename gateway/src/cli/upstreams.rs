//! `gateway upstreams`: which targets take requests, and taking one out by hand.

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::live::Remote;
use super::{Refused, print};

#[derive(Debug, Args)]
pub(super) struct Question {
    /// Only the upstream of this name.
    name: Option<String>,
    /// Send this target no more requests, until it is enabled or the gateway ends. Those that are there go on.
    #[arg(long, value_name = "HOST:PORT", requires = "name")]
    drain: Option<String>,
    /// Let this target have requests again, and forget what was held against it.
    #[arg(long, value_name = "HOST:PORT", requires = "name", conflicts_with = "drain")]
    enable: Option<String>,
    /// Print the JSON of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Asks, and shows the answer.
pub(super) fn upstreams(question: &Question) -> Result<(), Refused> {
    let Some(admin) = &question.remote.admin else {
        tracing::error!("`--admin URL` is required: the admin API of the gateway");
        return Err(Refused);
    };
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let one = question.name.as_deref().map(|name| format!("/upstreams/{}", encoded(name)));
    let by_hand = [("drain", &question.drain), ("enable", &question.enable)];
    let by_hand = by_hand.into_iter().find_map(|(verb, target)| Some((verb, target.as_ref()?)));
    let (method, path) = match (&one, by_hand) {
        (Some(one), Some((verb, target))) => {
            (Method::POST, format!("{one}/{verb}?target={}", encoded(target)))
        }
        (Some(one), None) => (Method::GET, one.clone()),
        (None, _) => (Method::GET, "/upstreams?limit=1000".to_owned()),
    };
    let asked = question.remote.ask(admin, method, &path);
    let answer = asked.map_err(|(why, _)| {
        tracing::error!("{why}");
        Refused
    })?;
    match (question.json, &one) {
        (true, _) => print(&format!("{answer:#}\n")),
        (false, Some(_)) => print(&table(std::slice::from_ref(&answer))),
        (false, None) => {
            print(&table(answer["upstreams"].as_array().map(Vec::as_slice).unwrap_or_default()));
        }
    }
    Ok(())
}

fn table(upstreams: &[Value]) -> String {
    let mut rows = vec![["upstream", "target", "weight", "state", ""].map(str::to_owned)];
    for upstream in upstreams {
        for target in upstream["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let health = &target["health"];
            rows.push([
                text(&upstream["name"]),
                text(&target["target"]),
                target["weight"].to_string(),
                health["state"].as_str().unwrap_or("up").to_owned(),
                why(health),
            ]);
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..4).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().enumerate().map(|(index, text)| match widths.get(index) {
            Some(width) if index == 2 => format!("{text:>width$}"),
            Some(width) => format!("{text:<width$}"),
            None => text.clone(),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Why it takes no requests.
fn why(health: &Value) -> String {
    match health["state"].as_str() {
        Some("ejected") => {
            let reason = match health["reason"].as_str() {
                Some("connect") => "it could not be connected to",
                Some("no_response") => "it did not respond",
                Some("status") => "its responses were failures",
                Some("success_rate") => "more requests failed than at the others",
                Some("latency") => "it was slower than the others",
                _ => "requests failed",
            };
            let left = health["seconds_left"].as_f64().unwrap_or_default();
            format!("{reason}; asked again in {:.0} s", left.ceil())
        }
        Some("down") => {
            format!("health checks fail: {}", health["check_error"].as_str().unwrap_or("unknown"))
        }
        Some("drained") => "taken out by hand".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shows_a_line_a_target_with_the_reason() {
        let target = |target: &str, health: Value| json!({ "target": target, "weight": 1, "health": health });
        let upstream = json!({ "name": "orders", "targets": [
            target("a:80", json!({ "state": "up" })),
            target("b:80", json!({ "state": "ejected", "reason": "connect", "seconds_left": 11.2 })),
            target("c:80", json!({ "state": "down", "check_error": "the status is 500" })),
        ] });
        let shown = "upstream  target  weight  state\n\
                     orders    a:80         1  up\n\
                     orders    b:80         1  ejected  it could not be connected to; asked again in 12 s\n\
                     orders    c:80         1  down     health checks fail: the status is 500\n";
        assert_eq!(table(&[upstream]), shown);
    }
}
