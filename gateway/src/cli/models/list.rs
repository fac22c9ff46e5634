//! `gateway models list`: models and deployments, as they are configured or as they stand.

use gateway::models;
use http::Method;
use serde_json::{Value, json};

use super::super::prepare::prepare;
use super::super::{LogFormat, Refused, print, report};
use super::{List, columns};

/// Shows what the file, or the gateway, offers.
pub(super) fn list(question: &List, format: LogFormat) -> Result<(), Refused> {
    let (answer, is_live) = match &question.remote.admin {
        Some(admin) => {
            let asked = question.remote.ask(admin, Method::GET, "/models");
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
            (json!({ "plugins": models::offered(&prepared.config) }), false)
        }
    };
    print(&match question.json {
        true => format!("{answer:#}\n"),
        false => table(&answer, is_live),
    });
    Ok(())
}

fn table(answer: &Value, is_live: bool) -> String {
    let plugins = answer["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    if plugins.is_empty() {
        return "no plugin with `component = \"models\"` is configured\n".to_owned();
    }
    let mut shown = String::new();
    for plugin in plugins {
        if plugins.len() > 1 {
            shown.push_str(&format!("plugin {}\n\n", text(&plugin["plugin"])));
        }
        shown.push_str(&columns(&models_of(plugin, is_live), &[4, 5]));
        shown.push('\n');
        let numbers: &[usize] = if is_live { &[7, 8, 9, 10] } else { &[] };
        shown.push_str(&columns(&deployments(plugin, is_live), numbers));
    }
    shown
}

fn models_of(plugin: &Value, is_live: bool) -> Vec<Vec<String>> {
    let models = plugin["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has_groups = models.iter().any(|model| !names(&model["groups"]).is_empty());
    let mut head = vec!["model", "aliases", "for", "deployment", "weight", "priority"];
    if has_groups {
        head.push("groups");
    }
    if is_live {
        head.push("requests");
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for model in models {
        let shares = model["deployments"].as_array().into_iter().flatten();
        for (index, share) in shares.enumerate() {
            let first = |text: String| if index == 0 { text } else { String::new() };
            let of_model = &model["consumers"];
            let allowed = match (of_model.is_null(), names(&model["groups"]).is_empty()) {
                (false, _) => names(of_model),
                (true, true) => "all".to_owned(),
                (true, false) => "of groups".to_owned(),
            };
            let mut row = vec![
                first(text(&model["name"])),
                first(names(&model["aliases"])),
                first(allowed),
                text(&share["name"]),
                share["weight"].to_string(),
                share["priority"].to_string(),
            ];
            if has_groups {
                row.push(first(names(&model["groups"])));
            }
            if is_live {
                row.push(first(requests(model)));
            }
            rows.push(row);
        }
    }
    rows
}

fn deployments(plugin: &Value, is_live: bool) -> Vec<Vec<String>> {
    let mut head =
        vec!["deployment", "provider", "upstream", "its model", "price", "places", "limits"];
    if is_live {
        head.extend(["requests", "failed", "tokens", "first token", "state"]);
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for one in plugin["deployments"].as_array().into_iter().flatten() {
        let mut row = vec![
            text(&one["name"]),
            text(&one["provider"]),
            text(&one["upstream"]),
            text(&one["model"]),
            price(one),
            places(one, is_live),
            limits(&one["limits"]),
        ];
        if is_live {
            let tokens = ["input", "output"].map(|it| one["tokens_total"][it].as_u64());
            row.extend([
                requests(one),
                sum(&one["failed_attempts_total"]).to_string(),
                tokens.into_iter().flatten().sum::<u64>().to_string(),
                seconds(&one["mean_seconds"]["first_token"]),
                state(one),
            ]);
        }
        rows.push(row);
    }
    rows
}

/// Dollars for a million tokens in and out.
fn price(deployment: &Value) -> String {
    let price = &deployment["price"];
    match (price["input"].as_str(), price["output"].as_str()) {
        (None, None) => match deployment["price_name"].as_str() {
            Some(name) => format!("of {name}"),
            None => String::new(),
        },
        (input, output) => {
            format!("${}/${}", input.unwrap_or("0"), output.unwrap_or("0"))
        }
    }
}

fn places(deployment: &Value, is_live: bool) -> String {
    let of = &deployment["concurrency"];
    if of.is_null() {
        return String::new();
    }
    let now = &deployment["slots"];
    let held = if is_live { format!("{} of ", now["held"]) } else { String::new() };
    match of["queue"].as_u64() {
        None | Some(0) => format!("{held}{}", of["limit"]),
        Some(queue) => {
            let waiting = if is_live { format!("{} of ", now["waiting"]) } else { String::new() };
            format!("{held}{}, queue {waiting}{queue}", of["limit"])
        }
    }
}

fn limits(limits: &Value) -> String {
    let of = |key: &str, unit: &str| Some(format!("{} {unit}", limits[key].as_u64()?));
    let requests = of("requests_per_minute", "requests/min");
    let tokens = of("tokens_per_minute", "tokens/min");
    requests.into_iter().chain(tokens).collect::<Vec<_>>().join(", ")
}

fn state(deployment: &Value) -> String {
    match deployment["cool_down_seconds_left"].as_f64() {
        Some(left) if left > 0.0 => format!("cools down, {:.0} s left", left.ceil()),
        _ => "up".to_owned(),
    }
}

fn requests(one: &Value) -> String {
    sum(&one["requests_total"]).to_string()
}

fn sum(counts: &Value) -> u64 {
    let counts = counts.as_object().into_iter().flatten();
    counts.filter_map(|(_, count)| count.as_u64()).sum()
}

fn seconds(value: &Value) -> String {
    value.as_f64().map(super::test::time).unwrap_or_default()
}

fn names(list: &Value) -> String {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        json!({ "plugins": [{
            "plugin": "models",
            "models": [{
                "name": "chat", "aliases": ["gpt"], "consumers": null,
                "requests_total": { "ok": 4 },
                "deployments": [
                    { "name": "gpu", "weight": 1, "priority": 0 },
                    { "name": "gpt", "weight": 1, "priority": 1 },
                ],
            }],
            "deployments": [
                {
                    "name": "gpt", "provider": "openai", "upstream": "openai", "model": "gpt-4.1",
                    "price": { "input": "0.40", "output": "1.60" }, "concurrency": null,
                    "limits": { "tokens_per_minute": 9000 },
                    "requests_total": { "ok": 3 }, "failed_attempts_total": {},
                    "tokens_total": { "input": 10, "output": 5 },
                    "mean_seconds": { "first_token": 0.25 }, "cool_down_seconds_left": 0.0,
                },
                {
                    "name": "gpu", "provider": "openai", "upstream": "gpu", "model": "llama",
                    "price": null, "concurrency": { "limit": 8, "queue": 2 }, "limits": null,
                    "slots": { "held": 7, "waiting": 1 },
                    "requests_total": { "ok": 1 }, "failed_attempts_total": { "server": 2 },
                    "tokens_total": { "input": 1, "output": 1 },
                    "mean_seconds": { "first_token": null }, "cool_down_seconds_left": 4.2,
                },
            ],
        }] })
    }

    #[test]
    fn what_is_configured_is_a_table() {
        let expected = "\
model  aliases  for  deployment  weight  priority
chat   gpt      all  gpu              1         0
                     gpt              1         1

deployment  provider  upstream  its model  price        places      limits
gpt         openai    openai    gpt-4.1    $0.40/$1.60              9000 tokens/min
gpu         openai    gpu       llama                   8, queue 2
";
        assert_eq!(table(&answer(), false), expected);
    }

    #[test]
    fn groups_are_shown_where_there_are_some() {
        let mut answer = answer();
        answer["plugins"][0]["models"][0]["groups"] = json!(["small", "all"]);
        let shown = table(&answer, false);
        let first = "chat   gpt      of groups  gpu              1         0  small, all\n";
        assert!(shown.contains(first), "{shown}");
    }

    #[test]
    fn what_runs_is_shown_with_how_it_stands() {
        let shown = table(&answer(), true);
        assert!(shown.contains("7 of 8, queue 1 of 2"), "{shown}");
        assert!(shown.contains("cools down, 5 s left"), "{shown}");
        assert!(shown.contains("250 ms"), "{shown}");
        let none = table(&json!({ "plugins": [] }), true);
        assert!(none.contains("no plugin"), "{none}");
    }
}
