//! `gateway cache list` and `gateway cache purge`: what the caches of a running gateway hold, and what is removed.

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::live::Remote;
use super::{Refused, print};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the caches: how much they hold, and how requests were answered.
    List(List),
    /// Remove stored responses: of a key, of a tag, of a URL, of an owner, or all.
    Purge(Purge),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Print the JSON of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct Purge {
    /// The name of the cache.
    #[arg(default_value = "default")]
    cache: String,
    #[command(flatten)]
    scope: Scope,
    /// Print the JSON of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What is removed.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// What is stored under this key.
    #[arg(long)]
    key: Option<String>,
    /// What is stored with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// What is stored of this URL, where the plugin notes it.
    #[arg(long)]
    url: Option<String>,
    /// What is stored for this owner, such as a tenant.
    #[arg(long)]
    partition: Option<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(command: &Command) -> Result<(), Refused> {
    match command {
        Command::List(list) => {
            let answer = ask(&list.remote, Method::GET, "/caches")?;
            print(&if list.json { format!("{answer:#}\n") } else { table(&answer) });
            Ok(())
        }
        Command::Purge(purge) => {
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let Scope { key, tag, url, partition, all } = &purge.scope;
            let named = [("key", key), ("tag", tag), ("url", url), ("partition", partition)];
            let named = named.into_iter().find_map(|(name, value)| Some((name, value.as_ref()?)));
            let query = match named {
                Some((name, value)) => format!("{name}={}", encoded(value)),
                None => format!("all={all}"),
            };
            let path = format!("/caches/{}/purge?{query}", encoded(&purge.cache));
            let answer = ask(&purge.remote, Method::POST, &path)?;
            let purged = answer["purged"].as_u64().unwrap_or_default();
            let second = answer["second_level"].as_str();
            if purge.json {
                print(&format!("{answer:#}\n"));
            } else if purged > 0 || second.is_some() {
                let entries = if purged == 1 { "entry was" } else { "entries were" };
                let beyond =
                    if second.is_some() { ", and what other gateways have of it" } else { "" };
                print(&format!("{purged} {entries} removed{beyond}\n"));
            }
            if second == Some("later") {
                let why = "the store of the second level does not answer: other gateways hear of it when it does";
                tracing::error!("{why}");
                return Err(Refused);
            }
            if purged == 0 && second.is_none() {
                tracing::error!("nothing was removed: the cache holds nothing of that");
                return Err(Refused);
            }
            Ok(())
        }
    }
}

fn ask(remote: &Remote, method: Method, path: &str) -> Result<Value, Refused> {
    let Some(admin) = &remote.admin else {
        tracing::error!("`--admin URL` is required: the admin API of the gateway");
        return Err(Refused);
    };
    remote.ask(admin, method, path).map_err(|(why, _)| {
        tracing::error!("{why}");
        Refused
    })
}

fn table(answer: &Value) -> String {
    let caches = answer["caches"].as_array().map(Vec::as_slice).unwrap_or_default();
    if caches.is_empty() {
        return "there is no cache\n".to_owned();
    }
    let head = ["cache", "objects", "MiB", "of", "hits", "stale", "misses", "evicted"];
    let mut rows = vec![head.map(str::to_owned)];
    for cache in caches {
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let mebibytes = |name: &str| (number(&cache[name]) >> 20).to_string();
        let results = &cache["requests_total"];
        let hits = ["hit", "revalidated", "joined"].map(|name| number(&results[name]));
        rows.push([
            cache["name"].as_str().unwrap_or_default().to_owned(),
            number(&cache["objects"]).to_string(),
            mebibytes("bytes"),
            mebibytes("memory"),
            hits.iter().sum::<u64>().to_string(),
            number(&results["stale"]).to_string(),
            number(&results["miss"]).to_string(),
            number(&cache["evicted_total"]).to_string(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..8).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &[String; 8]| {
        let cell = |(index, text): (usize, &String)| match index {
            0 => format!("{text:<0$}", widths[0]),
            _ => format!("{text:>0$}", widths[index]),
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ") + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_line_a_cache() {
        let answer = serde_json::json!({ "caches": [{
            "name": "pages", "objects": 12, "bytes": 3 << 20, "memory": 256 << 20, "evicted_total": 4,
            "requests_total": { "hit": 90, "joined": 1, "revalidated": 2, "stale": 3, "miss": 7 },
        }] });
        let expected = "cache  objects  MiB   of  hits  stale  misses  evicted\n\
             pages       12    3  256    93      3       7        4\n";
        assert_eq!(table(&answer), expected);
    }
}
