//! `gateway limits CONSUMER`: what is left of a consumer's limits, and a new start for it.

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::live::Remote;
use super::{Refused, print};

#[derive(Debug, Args)]
pub(super) struct Question {
    /// Whose limits: the attribute `consumer.id`, which authentication sets.
    consumer: String,
    /// Only those of the plugin that is configured under this name.
    #[arg(long)]
    plugin: Option<String>,
    /// Make them whole again: the consumer begins as if it had used nothing.
    #[arg(long)]
    reset: bool,
    /// Print the JSON of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Asks, and shows the answer.
pub(super) fn limits(question: &Question) -> Result<(), Refused> {
    let Some(admin) = &question.remote.admin else {
        tracing::error!("`--admin URL` is required: the admin API of the gateway");
        return Err(Refused);
    };
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut query = format!("consumer={}", encoded(&question.consumer));
    if let Some(plugin) = &question.plugin {
        query.push_str(&format!("&plugin={}", encoded(plugin)));
    }
    let (method, path) = match question.reset {
        true => (Method::POST, "/limits/reset"),
        false => (Method::GET, "/limits"),
    };
    let asked = question.remote.ask(admin, method, &format!("{path}?{query}"));
    let answer = asked.map_err(|(why, _)| {
        tracing::error!("{why}");
        Refused
    })?;
    let mut is_whole = true;
    for plugin in answer["unavailable"].as_array().into_iter().flatten() {
        tracing::error!("the store of the plugin {plugin} does not answer");
        is_whole = false;
    }
    match (question.json, question.reset) {
        (true, _) => print(&format!("{answer:#}\n")),
        (false, true) => match answer["reset"].as_u64().unwrap_or_default() {
            0 => {
                tracing::error!("this gateway knows no limit of this consumer that is in use");
                return Err(Refused);
            }
            1 => print("1 limit is whole again\n"),
            count => print(&format!("{count} limits are whole again\n")),
        },
        // Where a store does not answer, nobody knows that there is none.
        (false, false)
            if is_whole || answer["limits"].as_array().is_some_and(|it| !it.is_empty()) =>
        {
            print(&table(&answer));
        }
        (false, false) => {}
    }
    if is_whole { Ok(()) } else { Err(Refused) }
}

fn table(answer: &Value) -> String {
    let limits = answer["limits"].as_array().map(Vec::as_slice).unwrap_or_default();
    if limits.is_empty() {
        return "this gateway knows no limit of this consumer\n".to_owned();
    }
    let mut rows = vec![["plugin", "left", "of", "full in", "rate", "key"].map(str::to_owned)];
    for limit in limits {
        let text = |name: &str| limit[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| limit[name].to_string();
        let seconds = |name: &str| limit[name].as_f64().unwrap_or_default();
        rows.push([
            text("plugin"),
            number("remaining"),
            number("burst"),
            format!("{:.0} s", seconds("full_in_seconds").ceil()),
            match (limit["window"].as_str(), limit["time_zone"].as_str()) {
                (Some("hour"), Some(zone)) => format!("{} an hour, {zone}", number("limit")),
                (Some(unit), Some(zone)) => format!("{} a {unit}, {zone}", number("limit")),
                (Some("sliding"), _) => {
                    format!("{} in any {} s", number("limit"), seconds("period_seconds"))
                }
                (Some("fixed"), _) => {
                    format!("{} each {} s", number("limit"), seconds("period_seconds"))
                }
                _ => format!("{} in {} s", number("limit"), seconds("period_seconds")),
            },
            text("key") + if limit["is_own"] == false { " (others too)" } else { "" },
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..5).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &[String; 6]| {
        let cell = |(index, text): (usize, &String)| match index {
            0 => format!("{text:<0$}", widths[0]),
            5 => text.clone(),
            _ => format!("{text:>0$}", widths[index]),
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(|row| line(row) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_line_a_limit() {
        let limit = serde_json::json!({
            "plugin": "limit", "key": "5:burst4:acme", "limit": 10, "period_seconds": 60.0, "burst": 20,
            "remaining": 3, "full_in_seconds": 101.5, "is_shared": false,
        });
        let month = serde_json::json!({
            "plugin": "limit", "key": "5:month4:acme", "limit": 500, "period_seconds": 2678400.0, "burst": 500,
            "remaining": 7, "full_in_seconds": 60.0, "is_shared": false,
            "window": "month", "time_zone": "Asia/Tokyo",
        });
        let shown = table(&serde_json::json!({ "consumer": "acme", "limits": [limit, month] }));
        let expected = "plugin  left   of  full in                     rate  key\n\
             limit      3   20    102 s               10 in 60 s  5:burst4:acme\n\
             limit      7  500     60 s  500 a month, Asia/Tokyo  5:month4:acme\n";
        assert_eq!(shown, expected);
        let none = table(&serde_json::json!({ "consumer": "acme", "limits": [] }));
        assert!(none.contains("no limit"), "{none}");
    }
}
