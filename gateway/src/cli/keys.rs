//! `gateway keys`: the API keys of a running gateway.
//!
//! Owns what the commands are, and that a secret goes alone to a standard output which is no terminal, so that
//! scripts can take it. Must not know what a key is: the admin API says what is wrong.

mod show;
mod when;

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::{Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::live::Remote;
use super::{Refused, print};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a key, and print its secret, once. A standard output that is no terminal gets the secret alone.
    Add(Box<Add>),
    /// List keys, without their secrets.
    List(List),
    /// Show all that is known of a key, without its secret.
    Show(Show),
    /// Change what is known of a key. Its secret stays. What is named is replaced as a whole: `--scope` and
    /// `--claim` name all that there are to be from then on.
    Change(Box<Change>),
    /// Give a key another secret, and print it, once.
    Rotate(Rotate),
    /// Revoke keys: the next request with one is refused.
    Revoke(Revoke),
    /// Add keys from a file: one JSON object a line, as the admin API takes it, with the `digest` of each secret.
    Import(Import),
}

/// Which set, of which gateway.
#[derive(Debug, Args)]
struct Place {
    /// The set: a `[keys.NAME]` table.
    set: String,
    /// Print the JSON of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What is known of a key.
#[derive(Debug, Args)]
struct Facts {
    /// The group of the consumer, such as a plan or a team.
    #[arg(long)]
    group: Option<String>,
    /// What the key allows; again for each scope.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A further fact, as a claim of a token would be: `NAME=VALUE`, where a value that is JSON is taken as JSON.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, Value)>,
    /// When it ends, in UTC: `2027-01-31`, `2027-01-31T12:00`, or after a time such as `90d`.
    #[arg(long, value_name = "WHEN", value_parser = when::moment)]
    expires: Option<u64>,
    /// A word for people.
    #[arg(long)]
    note: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    place: Place,
    /// Whose it is.
    #[arg(long)]
    consumer: String,
    /// Its name, which is no secret. Default: made up.
    #[arg(long)]
    id: Option<String>,
    #[command(flatten)]
    facts: Facts,
    /// The digest of a secret that exists already: `sha256:` and 64 hexadecimal digits. No other is made.
    #[arg(long)]
    digest: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// Those of this consumer alone.
    #[arg(long)]
    consumer: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    place: Place,
    /// The key.
    id: String,
}

#[derive(Debug, Args)]
pub(super) struct Change {
    #[command(flatten)]
    place: Place,
    /// The key.
    id: String,
    /// Whose it is.
    #[arg(long)]
    consumer: Option<String>,
    #[command(flatten)]
    facts: Facts,
    /// Take away what is known: `group`, `scopes`, `claims`, `expires` or `note`; again for each.
    #[arg(long, value_name = "WHAT", value_parser = ["group", "scopes", "claims", "expires", "note"])]
    clear: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    place: Place,
    /// The key.
    id: String,
    /// For how long the secret of before is accepted too, such as `24h`. Default: not at all.
    #[arg(long, value_name = "TIME", value_parser = when::duration)]
    grace: Option<u64>,
    /// The digest of a secret that exists already. No other is made.
    #[arg(long)]
    digest: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    place: Place,
    /// The keys.
    #[arg(required = true)]
    ids: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    place: Place,
    /// The file; `-` is the standard input.
    file: PathBuf,
}

/// Does what is asked.
pub(super) fn run(command: &Command) -> Result<(), Refused> {
    if command.place().remote.admin.is_none() {
        wrong_usage(NO_ADMIN);
    }
    match command {
        Command::Add(add) => self::add(add),
        Command::List(list) => self::list(list),
        Command::Show(show) => self::show(show),
        Command::Change(change) => self::change(change),
        Command::Rotate(rotate) => self::rotate(rotate),
        Command::Revoke(revoke) => self::revoke(revoke),
        Command::Import(import) => self::import(import),
    }
}

/// Ends as where the command line cannot be read.
fn wrong_usage(why: &str) -> ! {
    let kind = clap::error::ErrorKind::MissingRequiredArgument;
    let error: clap::Error = clap::Error::raw(kind, format!("{why}\n"));
    error.exit()
}

impl Command {
    fn place(&self) -> &Place {
        match self {
            Self::Add(it) => &it.place,
            Self::List(it) => &it.place,
            Self::Show(it) => &it.place,
            Self::Change(it) => &it.place,
            Self::Rotate(it) => &it.place,
            Self::Revoke(it) => &it.place,
            Self::Import(it) => &it.place,
        }
    }
}

fn add(add: &Add) -> Result<(), Refused> {
    let mut body = add.facts.body();
    body.insert("consumer".to_owned(), json!(add.consumer));
    put(&mut body, "id", add.id.as_deref());
    put(&mut body, "digest", add.digest.as_deref());
    let answer = add.place.tell(Method::POST, &[], Some(body))?;
    add.place.made(&answer, "was added");
    Ok(())
}

fn rotate(rotate: &Rotate) -> Result<(), Refused> {
    let mut body = Map::new();
    body.extend(rotate.grace.map(|grace| ("grace".to_owned(), json!(grace))));
    put(&mut body, "digest", rotate.digest.as_deref());
    let answer = rotate.place.tell(Method::POST, &[&rotate.id, "rotate"], Some(body))?;
    rotate.place.made(&answer, "has another secret");
    Ok(())
}

fn change(change: &Change) -> Result<(), Refused> {
    let mut body = change.facts.body();
    put(&mut body, "consumer", change.consumer.as_deref());
    body.extend(change.clear.iter().map(|what| (what.clone(), Value::Null)));
    if body.is_empty() {
        wrong_usage("there is nothing to change: name a fact, or one to `--clear`");
    }
    let key = change.place.tell(Method::PATCH, &[&change.id], Some(body))?;
    print(&match change.place.json {
        true => format!("{key:#}\n"),
        false => show::one(&key),
    });
    Ok(())
}

fn show(show: &Show) -> Result<(), Refused> {
    let key = show.place.tell(Method::GET, &[&show.id], None)?;
    print(&match show.place.json {
        true => format!("{key:#}\n"),
        false => show::one(&key),
    });
    Ok(())
}

fn revoke(revoke: &Revoke) -> Result<(), Refused> {
    let mut refused = Ok(());
    for id in &revoke.ids {
        match revoke.place.tell(Method::DELETE, &[id], None) {
            Ok(key) if revoke.place.json => print(&format!("{key}\n")),
            Ok(key) => print(&format!("{id} of {} is revoked\n", show::text(&key, "consumer"))),
            Err(Refused) => refused = Err(Refused),
        }
    }
    refused
}

fn list(list: &List) -> Result<(), Refused> {
    let (mut keys, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut query = "limit=1000".to_owned();
        for (name, value) in [("consumer", &list.consumer), ("after", &after)] {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        let mut page = list.place.ask(&query)?;
        if let Some(Value::Array(some)) = page.get_mut("keys").map(Value::take) {
            keys.extend(some);
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    print(&match list.place.json {
        true => format!("{:#}\n", json!({ "total": keys.len(), "keys": keys })),
        false => show::table(&keys),
    });
    Ok(())
}

/// Adds one key after the other; what is refused is said with its line, and does not hold up the others. Without
/// an answer, or where there is no such set, no other line would fare better.
fn import(import: &Import) -> Result<(), Refused> {
    let unread = |error: std::io::Error| {
        tracing::error!("`{}` cannot be read: {error}", import.file.display());
        Refused
    };
    let lines: Box<dyn std::io::BufRead> = match import.file.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(BufReader::new(std::fs::File::open(&import.file).map_err(unread)?)),
    };
    let (mut added, mut refused) = (0_usize, 0_usize);
    for (index, line) in lines.lines().enumerate() {
        let line = line.map_err(unread)?;
        if line.trim().is_empty() {
            continue;
        }
        let number = index + 1;
        let outcome = match key_of(&line, index == 0) {
            Ok(body) => match import.place.told(Method::POST, &[], Some(body)) {
                Ok(_) => Ok(()),
                Err(said) => {
                    let Refused = refused_with(&said);
                    let status = said.1.as_ref().map(|document| document["status"].as_u64());
                    if matches!(status, None | Some(Some(401 | 403 | 404))) {
                        let perhaps = match status {
                            None => ", whose key may have been added: look",
                            Some(_) => "",
                        };
                        tracing::error!("{added} added; the import ends at line {number}{perhaps}");
                        return Err(Refused);
                    }
                    Err(Refused)
                }
            },
            Err(wrong) => {
                wrong.iter().for_each(|wrong| tracing::error!("{wrong}"));
                Err(Refused)
            }
        };
        match outcome {
            Ok(()) => added += 1,
            Err(Refused) => {
                tracing::error!("line {number} was not imported");
                refused += 1;
            }
        }
    }
    print(&match import.place.json {
        true => format!("{}\n", json!({ "added": added, "refused": refused })),
        false => format!("{added} added, {refused} refused\n"),
    });
    if refused > 0 { Err(Refused) } else { Ok(()) }
}

/// What a line says, as the admin API takes it: with a consumer, and the end as a number. As a document of keys has it. Or all
/// that is wrong with it that the admin API would not be asked about.
fn key_of(line: &str, is_first: bool) -> Result<Map<String, Value>, Vec<String>> {
    let line = if is_first { line.trim_start_matches('\u{feff}') } else { line };
    let mut body = match gateway::json::read(line.as_bytes()) {
        Ok(Value::Object(body)) => body,
        Ok(_) => return Err(vec!["this is no JSON object".to_owned()]),
        // Of its line and column the former is always 1.
        Err(error) if error.is_data() => {
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            return Err(vec![format!("column {}: {said}", error.column())]);
        }
        Err(error) => {
            return Err(vec![format!("column {}: it stops being JSON here", error.column())]);
        }
    };
    let mut wrong = Vec::new();
    if !body.contains_key("digest") {
        wrong.push("there is no `digest`: an import makes no secrets".to_owned());
    }
    let id = body.get("id").cloned();
    if !body.contains_key("consumer")
        && let Some(id) = id
    {
        body.insert("consumer".to_owned(), id);
    }
    if let Some(Value::String(text)) = body.get("expires") {
        match when::date(text) {
            Some(at) => _ = body.insert("expires".to_owned(), json!(at)),
            None => wrong.push(
                "`/expires` is neither a date such as `2027-01-31`, nor a date-time such as `2027-01-31T12:00:00Z`, \
                 nor a number of seconds since 1970"
                    .to_owned(),
            ),
        }
    }
    if wrong.is_empty() { Ok(body) } else { Err(wrong) }
}

impl Facts {
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        put(&mut body, "group", self.group.as_deref());
        put(&mut body, "note", self.note.as_deref());
        if !self.scopes.is_empty() {
            body.insert("scopes".to_owned(), json!(self.scopes));
        }
        if !self.claims.is_empty() {
            let claims: Map<_, _> = self.claims.iter().cloned().collect();
            body.insert("claims".to_owned(), Value::Object(claims));
        }
        body.extend(self.expires.map(|at| ("expires".to_owned(), json!(at))));
        body
    }
}

impl Place {
    fn ask(&self, query: &str) -> Result<Value, Refused> {
        let target = format!("/keys/{}?{query}", encoded(&self.set));
        let asked = self.admin().and_then(|admin| self.remote.ask(admin, Method::GET, &target));
        asked.map_err(|said| refused_with(&said))
    }

    fn tell(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Map<String, Value>>,
    ) -> Result<Value, Refused> {
        self.told(method, path, body).map_err(|said| refused_with(&said))
    }

    /// As [`tell`](Self::tell), for who says by itself why there is no such answer.
    fn told(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Map<String, Value>>,
    ) -> Result<Value, Told> {
        let admin = self.admin()?;
        let parts = path.iter().map(|part| format!("/{}", encoded(part)));
        let target = format!("/keys/{}{}", encoded(&self.set), parts.collect::<String>());
        let body = body.map(Value::Object);
        self.remote.tell(admin, method, &target, body.as_ref())
    }

    fn admin(&self) -> Result<&Uri, Told> {
        self.remote.admin.as_ref().ok_or_else(|| (NO_ADMIN.to_owned(), None))
    }

    /// Shows a key with the secret that it has now.
    fn made(&self, answer: &Value, what: &str) {
        let (key, secret) = (&answer["key"], answer["secret"].as_str());
        let is_read = std::io::stdout().is_terminal();
        let id = show::text(key, "id");
        match (self.json, secret) {
            (true, _) => print(&format!("{answer:#}\n")),
            (false, Some(secret)) if is_read => print(&format!(
                "{}\nThe secret, which is shown once:\n\n    {secret}\n",
                show::one(key)
            )),
            (false, None) if is_read => print(&show::one(key)),
            (false, secret) => {
                tracing::info!("the key {id} of {} {what}", show::text(key, "consumer"));
                print(&format!("{}\n", secret.unwrap_or(&id)));
            }
        }
    }
}

/// Why there is no answer with 200, and the problem document, if there is one.
type Told = (String, Option<Value>);

const NO_ADMIN: &str = "`--admin URL` is required: the admin API of the gateway";

/// Says why, with all that is wrong in what was asked for.
fn refused_with((why, document): &Told) -> Refused {
    tracing::error!("{why}");
    let errors = document.as_ref().and_then(|document| document["errors"].as_array());
    for error in errors.into_iter().flatten().skip(1) {
        tracing::error!("`{}` {}", show::text(error, "pointer"), show::text(error, "detail"));
    }
    Refused
}

fn put(body: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    body.extend(value.map(|value| (name.to_owned(), json!(value))));
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// `NAME=VALUE`
fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as `NAME=VALUE`")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    Ok((name.to_owned(), value))
}
