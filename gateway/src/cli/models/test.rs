//! `gateway models test`: a small request to each deployment, through a gateway of its own.
//!
//! Owns the configuration of that gateway: the plugin, its secrets, documents and upstreams as the file has them, and one
//! model for each deployment, so that a request goes there and nowhere else. Must not know what is asked: `ask` does.

use std::path::Path;
use std::time::Duration;

use gateway::config::{self, Config, Known, Source};
use gateway::{Gateway, first_party, models};
use serde_json::{Value, json};
use tokio::task::LocalSet;
use toml::{Table, Value as Toml};

use super::super::prepare::prepare;
use super::super::{LogFormat, Refused, print, report};
use super::ask::{Answered, ask, warm_up};
use super::{Test, columns};

/// The name of the one listener and of the one route.
const TEST: &str = "models-test";

/// A deployment that is asked.
struct Deployment {
    plugin: String,
    name: String,
    provider: String,
    upstream: String,
    /// What the provider calls the model.
    model: String,
    /// It makes embeddings, by its name.
    embeds: bool,
}

/// Asks each deployment, and shows what came of it.
pub(super) fn test(question: &Test, format: LogFormat) -> Result<(), Refused> {
    let prepared = prepare(&question.config).map_err(|refusal| {
        report(&refusal.text(), format);
        Refused
    })?;
    let deployments = asked(&prepared.config, question.name.as_deref())?;
    let patience = Duration::from_secs(question.timeout.into());
    let mut results = Vec::new();
    let mut plugins: Vec<_> = deployments.iter().map(|it| it.plugin.clone()).collect();
    plugins.dedup();
    for plugin in plugins {
        let of_plugin: Vec<_> = deployments.iter().filter(|it| it.plugin == plugin).collect();
        let config = reduced(&question.config, &plugin, &of_plugin).map_err(|why| said(&why))?;
        let gateway = Gateway::bind(config).map_err(|errors| {
            // As `check` would say it, with the place in the file.
            for error in &errors.errors {
                tracing::error!("{error}");
            }
            Refused
        })?;
        let answered = serve(gateway, &of_plugin, patience).map_err(|why| said(&why))?;
        results.extend(of_plugin.into_iter().zip(answered));
    }
    let is_well = results.iter().all(|(_, answered)| answered.is_ok());
    print(&match question.json {
        true => format!(
            "{:#}\n",
            json!({ "deployments": results.iter().map(show).collect::<Vec<_>>() })
        ),
        false => table(&results),
    });
    if is_well { Ok(()) } else { Err(Refused) }
}

fn said(why: &dyn std::fmt::Display) -> Refused {
    tracing::error!("{why}");
    Refused
}

/// The deployments that are meant: all, one, or those of a model.
fn asked(config: &Config, name: Option<&str>) -> Result<Vec<Deployment>, Refused> {
    let offered = models::offered(config);
    let mut found = Vec::new();
    for plugin in &offered {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let is_of_model = |deployment: &Value| {
            let models = plugin["models"].as_array().into_iter().flatten();
            let has_name = |model: &&Value| {
                let aliases = model["aliases"].as_array().into_iter().flatten();
                aliases.chain([&model["name"]]).any(|it| it.as_str() == name)
            };
            let shares =
                models.filter(has_name).filter_map(|model| model["deployments"].as_array());
            shares.flatten().any(|share| share["name"] == *deployment)
        };
        for one in plugin["deployments"].as_array().into_iter().flatten() {
            if name.is_some_and(|name| one["name"] != name) && !is_of_model(&one["name"]) {
                continue;
            }
            let model = text(&one["model"]);
            found.push(Deployment {
                plugin: text(&plugin["plugin"]),
                name: text(&one["name"]),
                provider: text(&one["provider"]),
                upstream: text(&one["upstream"]),
                embeds: model.contains("embed"),
                model,
            });
        }
    }
    match (found.is_empty(), name) {
        (false, _) => Ok(found),
        (true, Some(name)) => {
            let names = offered.iter().flat_map(|plugin| {
                let lists = ["deployments", "models"].map(|list| plugin[list].as_array());
                lists.into_iter().flatten().flatten().filter_map(|it| it["name"].as_str())
            });
            let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Err(said(&format!("there is no deployment or model `{name}`; there are {names}")))
        }
        (true, None) => Err(said(&"no plugin with `component = \"models\"` is configured")),
    }
}

/// The file with one listener on a free port of loopback and one route, to the plugin alone.
fn reduced(file: &Path, plugin: &str, deployments: &[&Deployment]) -> Result<Config, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let mut whole: Table = text.parse().map_err(|error| format!("{error}"))?;
    let own = whole.get("plugins").and_then(|plugins| plugins.get(plugin)).cloned();
    let Some(Toml::Table(mut own)) = own else {
        return Err(format!("`{plugin}` is written in a route: give it a table `[plugins.NAME]`"));
    };
    // What other requests have taken is theirs, and stores may be open in the gateway that runs.
    for key in ["limiter", "key_value"] {
        own.remove(key);
    }
    let Some(Toml::Table(config)) = own.get_mut("config") else {
        return Err(format!("the plugin `{plugin}` has no `config`"));
    };
    // Who may use what is not asked here.
    for key in ["groups", "consumer_attributes", "model_attribute"] {
        config.remove(key);
    }
    let defaults = config.entry("defaults").or_insert_with(|| Toml::Table(Table::new()));
    if let Toml::Table(defaults) = defaults {
        for key in ["limits", "concurrency"] {
            defaults.remove(key);
        }
        defaults.insert("attempts".to_owned(), Toml::Integer(1));
    }
    let table = |entries: Vec<(&str, Toml)>| {
        Toml::Table(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let one = |deployment: &&Deployment| {
        let share = table(vec![("name", Toml::String(deployment.name.clone()))]);
        (deployment.name.clone(), table(vec![("deployments", Toml::Array(vec![share]))]))
    };
    config.insert("models".to_owned(), Toml::Table(deployments.iter().map(one).collect()));
    for (_, deployment) in
        config.get_mut("deployments").and_then(Toml::as_table_mut).into_iter().flatten()
    {
        if let Toml::Table(deployment) = deployment {
            deployment.remove("limits");
            deployment.remove("concurrency");
        }
    }
    let text = |text: &str| Toml::String(text.to_owned());
    let listener = table(vec![("name", text(TEST)), ("address", text("127.0.0.1:0"))]);
    let route = table(vec![
        ("name", text(TEST)),
        ("paths", Toml::Array(vec![text("/{*rest}")])),
        ("plugins", Toml::Array(vec![text(plugin)])),
        ("upstream", text(&deployments[0].upstream)),
    ]);
    let mut kept = Table::new();
    for key in ["secrets", "documents", "upstreams", "certificates"] {
        if let Some(value) = whole.remove(key) {
            kept.insert(key.to_owned(), value);
        }
    }
    kept.insert("listeners".to_owned(), Toml::Array(vec![listener]));
    kept.insert("routes".to_owned(), Toml::Array(vec![route]));
    kept.insert("plugins".to_owned(), table(vec![(plugin, Toml::Table(own))]));
    let mut process = vec![("workers", Toml::Integer(1)), ("shutdown_grace", text("1s"))];
    // Compiled components are found where the gateway that runs has them.
    for key in ["cache_dir", "compile_memory", "compile_time"] {
        if let Some(value) = whole.get("gateway").and_then(|own| own.get(key)) {
            process.push((key, value.clone()));
        }
    }
    kept.insert("gateway".to_owned(), table(process));
    let names = first_party::names();
    let environment = |name: &str| std::env::var_os(name);
    let source = Source::new(file, &kept.to_string());
    let loaded = config::read(source, &environment, &Known { built_in: &names });
    Ok(loaded.map_err(|findings| findings.render(false))?.config)
}

/// Runs the gateway while all deployments are asked at once.
fn serve(
    gateway: Gateway,
    deployments: &[&Deployment],
    patience: Duration,
) -> Result<Vec<Result<Answered, String>>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let address = gateway.local_addresses().get(TEST).copied();
    let address = address.ok_or("the gateway has no address")?;
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let local = LocalSet::new();
    let names: Vec<_> = deployments.iter().map(|it| (it.name.clone(), it.embeds)).collect();
    let answers = async move {
        warm_up(address).await;
        let asked = names.into_iter().map(|(name, embeds)| {
            tokio::task::spawn_local(async move {
                let asked = tokio::time::timeout(patience, ask(address, &name, embeds)).await;
                asked.unwrap_or_else(|_| {
                    Err(format!("no whole answer within {} s", patience.as_secs()))
                })
            })
        });
        let asked: Vec<_> = asked.collect();
        let mut answers = Vec::new();
        for one in asked {
            answers.push(one.await.unwrap_or_else(|error| Err(error.to_string())));
        }
        drop(end);
        answers
    };
    let served = gateway.run(async {
        let _ended = ended.await;
    });
    let (served, answers) = local.block_on(&runtime, async { tokio::join!(served, answers) });
    served.map_err(|error| error.to_string())?;
    Ok(answers)
}

fn show((deployment, answered): &(&Deployment, Result<Answered, String>)) -> Value {
    let mut shown = json!({
        "plugin": deployment.plugin,
        "deployment": deployment.name,
        "provider": deployment.provider,
        "upstream": deployment.upstream,
        "model": deployment.model,
        "ok": answered.is_ok(),
    });
    match answered {
        Ok(answered) => {
            shown["seconds"] = json!(answered.seconds);
            shown["first_token_seconds"] = json!(answered.first_token);
            shown["input_tokens"] = json!(answered.input_tokens);
            shown["output_tokens"] = json!(answered.output_tokens);
        }
        Err(why) => shown["error"] = json!(why),
    }
    shown
}

fn table(results: &[(&Deployment, Result<Answered, String>)]) -> String {
    let head =
        ["deployment", "provider", "upstream", "its model", "time", "first token", "tokens", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (deployment, answered) in results {
        let (seconds, first, tokens, state) = match answered {
            Ok(it) => {
                let tokens = match (it.input_tokens, it.output_tokens) {
                    (None, None) => "none said".to_owned(),
                    (input, output) => {
                        format!("{} in, {} out", input.unwrap_or(0), output.unwrap_or(0))
                    }
                };
                (
                    time(it.seconds),
                    it.first_token.map(time).unwrap_or_default(),
                    tokens,
                    "ok".to_owned(),
                )
            }
            Err(why) => (String::new(), String::new(), String::new(), format!("failed: {why}")),
        };
        rows.push(vec![
            deployment.name.clone(),
            deployment.provider.clone(),
            deployment.upstream.clone(),
            deployment.model.clone(),
            seconds,
            first,
            tokens,
            state,
        ]);
    }
    columns(&rows, &[4, 5])
}

/// A time for people.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}
