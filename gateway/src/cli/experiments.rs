//! `gateway experiments`: experiments and their variants, as they are configured or as they stand.
//!
//! Owns the question and the form of tables. What a plugin has is read by `gateway::experiments`, and what is measured by the
//! admin API.

use std::path::PathBuf;

use clap::Args;
use gateway::experiments;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::live::Remote;
use super::models::columns;
use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

#[derive(Debug, Args)]
pub(super) struct Question {
    /// Only the experiment of this name.
    name: Option<String>,
    /// The configuration. Not with `--admin`.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml", conflicts_with = "admin")]
    config: PathBuf,
    /// The plugin, where several have an experiment of this name.
    #[arg(long, value_name = "NAME", requires = "name")]
    plugin: Option<String>,
    /// Print JSON: with `--admin` that of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Shows what the file, or the gateway, has.
pub(super) fn experiments(question: &Question, format: LogFormat) -> Result<(), Refused> {
    let (answer, is_live) = match &question.remote.admin {
        Some(admin) => {
            let asked = question.remote.ask(admin, Method::GET, &target(question));
            let answer = asked.map_err(|(why, _)| {
                tracing::error!("{why}");
                Refused
            })?;
            (answer, true)
        }
        None => {
            let prepared = prepare(&question.config).map_err(|refusal| {
                report(&refusal.text(), format);
                Refused
            })?;
            (of_file(question, experiments::configured(&prepared.config))?, false)
        }
    };
    print(&match question.json {
        true => format!("{answer:#}\n"),
        false => shown(&answer, is_live),
    });
    Ok(())
}

fn target(question: &Question) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    match (&question.name, &question.plugin) {
        (None, _) => "/experiments".to_owned(),
        (Some(name), None) => format!("/experiments/{}", escaped(name)),
        (Some(name), Some(plugin)) => {
            format!("/experiments/{}?plugin={}", escaped(name), escaped(plugin))
        }
    }
}

fn of_file(question: &Question, mut plugins: Vec<Value>) -> Result<Value, Refused> {
    if let Some(name) = &question.name {
        if let Some(wanted) = &question.plugin {
            plugins.retain(|plugin| plugin["plugin"] == wanted.as_str());
        }
        for plugin in &mut plugins {
            if let Some(experiments) = plugin["experiments"].as_array_mut() {
                experiments.retain(|experiment| experiment["name"] == name.as_str());
            }
        }
        plugins.retain(|plugin| plugin["experiments"].as_array().is_some_and(|it| !it.is_empty()));
        if plugins.is_empty() {
            tracing::error!("`{}` has no experiment `{name}`", question.config.display());
            return Err(Refused);
        }
    }
    Ok(json!({ "plugins": plugins }))
}

fn shown(answer: &Value, is_live: bool) -> String {
    // One experiment is answered by itself.
    if answer["plugins"].is_null() {
        return experiment(answer, is_live);
    }
    let plugins = answer["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    if plugins.is_empty() {
        return "no plugin with `component = \"experiments\"` is configured\n".to_owned();
    }
    let mut parts = Vec::new();
    for plugin in plugins {
        if plugins.len() > 1 {
            parts.push(format!("plugin {}\n", text(&plugin["plugin"])));
        }
        let experiments = plugin["experiments"].as_array().into_iter().flatten();
        parts.extend(experiments.map(|it| experiment(it, is_live)));
        parts.extend(holdout(&plugin["holdout"], is_live));
    }
    parts.join("\n")
}

fn experiment(of: &Value, is_live: bool) -> String {
    let mut shown = format!("{}: {}\n", text(&of["name"]), state(of));
    for (key, what) in [("audience", "audience"), ("layer", "layer")] {
        if let Some(text) = of[key].as_str() {
            shown.push_str(&format!("  {what} {text}\n"));
        }
    }
    shown.push_str(&guardrail(of));
    if is_live {
        shown.push_str(&sample_ratio(&of["sample_ratio"]));
    }
    let control = of["control"].as_str().unwrap_or_default();
    let variants: Vec<&Value> = of["variants"].as_array().into_iter().flatten().collect();
    let mut rows = vec![head(is_live)];
    rows.extend(variants.iter().map(|variant| {
        let mut row = vec![
            format!("  {}", text(&variant["name"])),
            percent(variant["planned"].as_f64()),
            text(&variant["upstream"]),
        ];
        if is_live {
            row.push(units(variant));
            row.extend(results(variant));
            row.push(match (variant["is_out"] == true, variant["name"] == control) {
                (true, _) => "OUT".to_owned(),
                (false, true) => "control".to_owned(),
                (false, false) => String::new(),
            });
        }
        row
    }));
    shown.push_str(&columns(&rows, &[1]));
    if is_live {
        shown.push_str(&usage(&variants));
    }
    shown
}

fn head(is_live: bool) -> Vec<String> {
    let mut head = vec!["  variant", "planned", "upstream"];
    if is_live {
        head.extend([
            "units",
            "requests",
            "errors",
            "against control",
            "mean time",
            "against control",
            "p95",
            "",
        ]);
    }
    head.into_iter().map(str::to_owned).collect()
}

fn state(of: &Value) -> String {
    let share = percent(of["share_now"].as_f64().map(|share| share / 100.0));
    let all = percent(of["share"].as_f64().map(|share| share / 100.0));
    let from = || text(&of["from"]);
    let until = of["to"].as_str().map(|to| format!(", until {to}")).unwrap_or_default();
    match of["state"].as_str().unwrap_or_default() {
        "planned" => format!("planned, from {}{until}", from()),
        "ramping" => {
            format!("ramping, {share} of {all} of the audience, since {}{until}", from())
        }
        "running" => format!("running, {share} of the audience{until}"),
        "over" => format!("over since {}", text(&of["to"])),
        other => other.to_owned(),
    }
}

fn guardrail(of: &Value) -> String {
    let rail = &of["guardrail"];
    let bounds = [
        rail["errors"].as_f64().map(|bound| format!("{bound} % more errors")),
        rail["slow"]
            .as_f64()
            .map(|bound| format!("{bound} % more over {}", text(&rail["slower_than"]))),
    ];
    let bounds: Vec<_> = bounds.into_iter().flatten().collect();
    match bounds.is_empty() {
        true => String::new(),
        false => format!("  guard rail against {}: {}\n", text(&of["control"]), bounds.join(", ")),
    }
}

fn sample_ratio(ratio: &Value) -> String {
    let Some(units) = ratio["units"].as_u64() else {
        return "  units are not counted: `exposures` is not set\n".to_owned();
    };
    let probability = ratio["p_value"].as_f64();
    let told = match probability {
        None => "not enough to compare with the plan, or a variant is out".to_owned(),
        Some(it) if ratio["is_mismatch"] == true => {
            format!("SAMPLE RATIO MISMATCH, p = {it:.2e}: do not read the result")
        }
        Some(it) => format!("as planned, p = {it:.3}"),
    };
    format!("  {units} units: {told}\n")
}

fn holdout(of: &Value, is_live: bool) -> Option<String> {
    let share = of["share"].as_f64()?;
    let mut shown = format!("holdout: {} of all units\n", percent(Some(share / 100.0)));
    if is_live {
        let mut rows = vec![vec!["".to_owned(); 6]];
        let names =
            ["  ", "requests", "errors", "against others", "mean time", "against others", "p95"];
        rows[0] = names.into_iter().map(str::to_owned).collect();
        for (key, name) in [("others", "  others"), ("held_out", "  held out")] {
            let mut row = vec![name.to_owned()];
            row.extend(results(&of[key]));
            rows.push(row);
        }
        shown.push_str(&columns(&rows, &[]));
    }
    Some(shown)
}

fn units(variant: &Value) -> String {
    match variant["units"].as_u64() {
        None => String::new(),
        Some(units) => {
            format!("{units} ({})", percent(variant["units_share"]["value"].as_f64()))
        }
    }
}

/// Requests, errors, and times, and the last two against the control.
fn results(of: &Value) -> Vec<String> {
    let time = &of["duration_seconds"];
    vec![
        of["requests_total"].to_string(),
        interval(&of["error_rate"], |it| percent(Some(it))),
        difference(&of["error_rate_difference"], |it| format!("{:+.2}", it * 100.0), " points"),
        interval(&time["mean"], seconds),
        difference(&time["difference"], |it| format!("{:+.1}", it * 1000.0), " ms"),
        time["p95"].as_f64().map(seconds).unwrap_or_default(),
    ]
}

fn usage(variants: &[&Value]) -> String {
    let mut rows = Vec::new();
    for variant in variants {
        for (name, of) in variant["usage"].as_object().into_iter().flatten() {
            let number = |it: f64| format!("{it:.3}");
            rows.push(vec![
                format!("  {name}"),
                text(&variant["name"]),
                of["total"].as_f64().map(|it| format!("{it}")).unwrap_or_default(),
                interval(&of["mean"], number),
                difference(&of["difference"], |it| format!("{it:+.3}"), ""),
            ]);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    rows.sort();
    let head = ["  usage", "variant", "total", "of a request", "against control"];
    rows.insert(0, head.into_iter().map(str::to_owned).collect());
    columns(&rows, &[2])
}

fn interval(of: &Value, show: impl Fn(f64) -> String) -> String {
    let Some(value) = of["value"].as_f64() else { return String::new() };
    let bound = |key: &str| show(of[key].as_f64().unwrap_or(value));
    format!("{} ({} to {})", show(value), bound("low"), bound("high"))
}

/// With a mark where nothing is not within it.
fn difference(of: &Value, show: impl Fn(f64) -> String, unit: &str) -> String {
    let Some(value) = of["value"].as_f64() else { return String::new() };
    let bound = |key: &str| of[key].as_f64().unwrap_or(value);
    let is_sure = bound("low") > 0.0 || bound("high") < 0.0;
    let mark = if is_sure { " *" } else { "" };
    format!("{}{unit} ({} to {}){mark}", show(value), show(bound("low")), show(bound("high")))
}

fn percent(share: Option<f64>) -> String {
    let Some(share) = share.map(|share| share * 100.0) else { return String::new() };
    match share {
        share if share == share.round() => format!("{share:.0} %"),
        share => format!("{share:.2} %"),
    }
}

fn seconds(value: f64) -> String {
    match value {
        value if value < 1.0 => format!("{:.1} ms", value * 1000.0),
        value => format!("{value:.2} s"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_is_a_table_with_intervals() {
        let interval =
            |value: f64, low: f64, high: f64| json!({ "value": value, "low": low, "high": high });
        let results = |rate: f64, difference: Value| {
            json!({
                "requests_total": 1000, "errors_total": 10,
                "error_rate": interval(rate, rate - 0.005, rate + 0.008), "error_rate_difference": difference,
                "duration_seconds": { "mean": interval(0.012, 0.011, 0.013), "difference": null, "p50": 0.01, "p95": 0.05, "p99": 0.1 },
                "usage": { "tokens": { "total": 5000.0, "mean": interval(5.0, 4.0, 6.0), "difference": null } },
            })
        };
        let variant = |name: &str, mut of: Value, is_out: bool| {
            for (key, value) in [
                ("name", json!(name)),
                ("planned", json!(0.5)),
                ("is_out", json!(is_out)),
                ("units", json!(500)),
                ("units_share", interval(0.5, 0.47, 0.53)),
            ] {
                of[key] = value;
            }
            of
        };
        let shown = shown(
            &json!({ "plugins": [{ "plugin": "e", "holdout": { "share": 5 }, "experiments": [{
            "name": "version", "state": "ramping", "share": 50.0, "share_now": 12.5, "from": "2026-03-01T08:00:00Z",
            "control": "old", "guardrail": { "errors": 1.0 },
            "sample_ratio": { "units": 1000, "p_value": 0.00001, "is_mismatch": true },
            "variants": [
                variant("old", results(0.01, Value::Null), false),
                variant("new", results(0.05, interval(0.04, 0.02, 0.06)), true),
            ],
        }] }] }),
            true,
        );
        for wanted in [
            "version: ramping, 12.50 % of 50 % of the audience, since 2026-03-01T08:00:00Z\n",
            "  guard rail against old: 1 % more errors\n",
            "  1000 units: SAMPLE RATIO MISMATCH, p = 1.00e-5: do not read the result\n",
            "500 (50 %)  1000      5 % (4.50 % to 5.80 %)  +4.00 points (+2.00 to +6.00) *  12.0 ms (11.0 ms to 13.0 ms)",
            "50.0 ms  OUT\n",
            "50.0 ms  control\n",
            "  tokens  new       5000  5.000 (4.000 to 6.000)\n",
            "holdout: 5 % of all units\n",
        ] {
            assert!(shown.contains(wanted), "{wanted}\n{shown}");
        }
        let none = super::shown(&json!({ "plugins": [] }), true);
        assert!(none.contains("no plugin"), "{none}");
    }
}
