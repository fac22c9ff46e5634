//! Settings of `models` that are wrong: each is refused with its key, a caret at its line, and what to write.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use gateway_tests::binary;

/// A configuration with which nothing is wrong. Each case writes other lines in place of one of it.
const RIGHT: &str = r#"
[[listeners]]
name = "l"
address = "127.0.0.1:0"

[usage]
store = "usage.db"

[upstreams.up]
targets = ["http://127.0.0.1:1"]

[secrets]
key = "${env:KEY}"
aws-id = "${env:AWS_ID}"
aws-key = "${env:AWS_KEY}"
temporary = "${env:TEMPORARY}"

[plugins.ai]
component = "models"
grants = ["attempts", "key-value", "limiter", "metrics", "slots", "usage"]
forward_to = ["up"]
upstreams = ["up"]
secrets = ["key", "aws-id", "aws-key", "temporary"]

[plugins.ai.config]
response_headers = true

[plugins.ai.config.defaults]
attempts = 2

[plugins.ai.config.deployments.own]
upstream = "up"
provider = "openai"
model = "llama"

[plugins.ai.config.deployments.claude]
upstream = "up"
provider = "bedrock"
model = "claude"
region = "eu-central-1"
aws = { access_key_id = "aws-id", secret_access_key = "aws-key" }

[plugins.ai.config.deployments.gemini]
upstream = "up"
provider = "vertex"
project = "p"
region = "europe-west4"
secret = "key"

[plugins.ai.config.models.chat]
deployments = [{ name = "own" }, { name = "claude", priority = 1 }]
aliases = ["gpt"]

[plugins.ai.config.models.smart]
deployments = [{ name = "gemini" }]

[plugins.ai.config.groups.team]
models = ["smart"]
consumers = ["team-a"]

[[routes]]
name = "r"
paths = ["/v1/{*rest}"]
plugins = ["ai"]
upstream = "up"
"#;

/// Lines in place of one, where the caret stands in them, and what is said.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const PLUGIN: &str = "response_headers = true";
const DEFAULTS: &str = "attempts = 2";
const OWN: &str = "model = \"llama\"";
const OWN_PROVIDER: &str = "provider = \"openai\"";
const AWS: &str = "aws = { access_key_id = \"aws-id\", secret_access_key = \"aws-key\" }";
const VERTEX: &str = "project = \"p\"";
const SHARES: &str = "deployments = [{ name = \"own\" }, { name = \"claude\", priority = 1 }]";
const ALIASES: &str = "aliases = [\"gpt\"]";
const MEMBERS: &str = "models = [\"smart\"]";
const ALLOWED: &str = "consumers = [\"team-a\"]";

#[rustfmt::skip]
const CASES: &[Case] = &[
    // The plugin.
    (PLUGIN, "respons_headers = true", "respons_headers", &["unknown key `respons_headers`", "did you mean `response_headers`?"]),
    (PLUGIN, "response_headers = \"yes\"", "\"yes\"", &["`response_headers` must be a boolean", "write `true` or `false`"]),
    (PLUGIN, "max_body = 10", "10", &["max_body", "1024"]),
    (PLUGIN, "max_body = \"32MiB\"", "\"32MiB\"", &["`max_body` must be an integer", "write `33554432`"]),
    (PLUGIN, "max_answer = 999999999999", "999999999999", &["max_answer", "268435456"]),
    (PLUGIN, "metric_names = \"newer\"", "\"newer\"", &["metric_names", "its values are `new`, `old`, `both`"]),
    (PLUGIN, "metric_consumers = 2000", "2000", &["metric_consumers", "1000"]),
    (PLUGIN, "metric_consumers = -1", "-1", &["metric_consumers", "0"]),
    (PLUGIN, "region_attribute = \"\"", "\"\"", &["`region_attribute` is empty", "consumer.claim.regions"]),
    (PLUGIN, "model_attribute = \"\"", "\"\"", &["`model_attribute` is empty", "experiment.model"]),
    (PLUGIN, "model_attribute = 3", "3", &["`model_attribute` must be a string", "write `\"3\"`"]),
    (PLUGIN, "consumer_attributes = []", "[]", &["consumer_attributes", "at least 1"]),
    (PLUGIN, "consumer_attributes = [\"a\", \"a\"]", "\"a\"]", &["`consumer_attributes[1]` is `a`, which is in the list already", "take one of the two out"]),
    (PLUGIN, "consumer_attributes = \"consumer.id\"", "\"consumer.id\"", &["`consumer_attributes` must be an array", "put it into `[` and `]`"]),
    (PLUGIN, "prices = \"table\"", "\"table\"", &["prices", "documents = [\"table\"]"]),
    // What stands in `defaults` now.
    (PLUGIN, "attempts = 3", "3", &["`attempts` stands in `defaults` now", "write `defaults.attempts` in its place"]),
    (PLUGIN, "cool_down = \"5s\"", "\"5s\"", &["`cool_down` stands in `defaults`", "defaults.cool_down = \"5s\""]),
    (PLUGIN, "drain = { time = \"5s\" }", "{ time", &["`drain` stands in `defaults`", "defaults.drain = { time"]),
    (PLUGIN, "fail_over = [\"server\"]", "[\"server\"]", &["`fail_over` stands in `defaults`", "defaults.fail_over"]),
    (PLUGIN, "keep_alive = \"15s\"", "\"15s\"", &["`keep_alive` stands in `defaults`", "defaults.keep_alive"]),
    // Defaults.
    (DEFAULTS, "attemps = 2", "attemps", &["unknown key `attemps`", "did you mean `attempts`?"]),
    (DEFAULTS, "attempts = 9", "9", &["defaults.attempts", "8"]),
    (DEFAULTS, "attempts = 0", "0", &["defaults.attempts", "1"]),
    (DEFAULTS, "attempts = \"3\"", "\"3\"", &["`defaults.attempts` must be an integer", "write `3` without quotes"]),
    (DEFAULTS, "fail_over = [\"rate_limited\"]", "\"rate_limited\"", &["fail_over", "did you mean `rate-limited`?"]),
    (DEFAULTS, "cool_down = \"2h\"", "\"2h\"", &["`defaults.cool_down` must be at most `1h`"]),
    (DEFAULTS, "cool_down = 5", "5", &["`defaults.cool_down` must be a string", "write it with its unit, as in `\"5s\"`"]),
    (DEFAULTS, "cool_down = \"soon\"", "\"soon\"", &["`defaults.cool_down` is no duration", "such as `"]),
    (DEFAULTS, "keep_alive = \"100ms\"", "\"100ms\"", &["`defaults.keep_alive` must be `1s` to `1h`", "write `\"15s\"`"]),
    (DEFAULTS, "drain = { time = \"1h\" }", "\"1h\"", &["`defaults.drain.time` must be at most `10m`"]),
    (DEFAULTS, "drain = { byte = 1 }", "byte", &["unknown key `byte`", "did you mean `bytes`?"]),
    (DEFAULTS, "drain = \"30s\"", "\"30s\"", &["`defaults.drain` must be a table", "write a table, `{ ... }`, with `bytes` or `time`"]),
    (DEFAULTS, "limits = { requests_per_minute = -1 }", "-1", &["requests_per_minute", "0"]),
    (DEFAULTS, "limits = { requests_per_hour = 5 }", "requests_per_hour", &["unknown key", "requests_per_minute"]),
    (DEFAULTS, "concurrency = { limit = -1 }", "-1", &["concurrency.limit", "0"]),
    (DEFAULTS, "concurrency = { queue = 5 }", "{ queue", &["concurrency", "`limit` is required"]),
    (DEFAULTS, "concurrency = { limit = 1, wait = \"2h\" }", "\"2h\"", &["`defaults.concurrency.wait` must be more than nothing and at most `1h`"]),
    (DEFAULTS, "concurrency = { limit = 1, queue = 20000 }", "20000", &["concurrency.queue", "10000"]),
    (DEFAULTS, "price = { input = \"cheap\" }", "\"cheap\"", &["`input` is not a decimal number", "\"0.15\""]),
    (DEFAULTS, "price = { inptu = \"1\" }", "\"1\"", &["inptu", "did you mean `input`?"]),
    (DEFAULTS, "price = { input = true }", "true", &["`input` is not a decimal number", "\"0.15\""]),
    (DEFAULTS, "headers = { host = \"x\" }", "\"x\"", &["`defaults.headers.host` is no field", "take it out"]),
    (DEFAULTS, "headers = { \"a b\" = \"x\" }", "\"a b\"", &["headers", "a b"]),
    (DEFAULTS, "affinity = \"cookie\"", "\"cookie\"", &["`defaults.affinity` is `cookie`", "`header:NAME`"]),
    (DEFAULTS, "max_output_tokens = 0", "0", &["max_output_tokens", "1"]),
    (DEFAULTS, "upstream = \"up\"", "upstream", &["unknown key `upstream`", "its keys are"]),
    // Deployments.
    (OWN_PROVIDER, "provider = \"opnai\"", "\"opnai\"", &["provider", "did you mean `openai`?"]),
    (OWN_PROVIDER, "", "[plugins.ai.config.deployments.own]", &["has no `provider`", "`provider` is required"]),
    (OWN, "upstream = \"upp\"", "upstream", &["the key `upstream` is set twice"]),
    ("upstream = \"up\"\nprovider = \"openai\"", "upstream = \"upp\"\nprovider = \"openai\"", "\"upp\"", &["`deployments.own.upstream` names `upp`", "forward_to = [\"upp\"]"]),
    (OWN, "secret = \"kee\"", "\"kee\"", &["`deployments.own.secret` names the secret `kee`", "secrets = [\"kee\"]"]),
    (OWN, "path = \"v1\"", "\"v1\"", &["`deployments.own.path` must be empty, or such that it begins with `/`", "`/v1`"]),
    (OWN, "api_version = \"2024-10-21\"", "\"2024", &["`deployments.own.api_version` is for the provider `azure` alone", "take it out"]),
    (OWN, AWS, "{ access", &["`deployments.own.aws` is for the provider `bedrock` alone", "take it out"]),
    (OWN, "project = \"p2\"", "\"p2\"", &["`deployments.own.project` is for the providers `vertex`", "take it out"]),
    (OWN, "region = \"eu central\"", "\"eu central\"", &["`deployments.own.region` is `eu central`", "eu-central-1"]),
    (OWN, "price_name = \"x\"", "\"x\"", &["price_name", "`prices`", "write `prices ="]),
    (OWN, "model = 4", "4", &["`deployments.own.model` must be a string", "write `\"4\"`"]),
    (OWN, "cool_down = \"2h\"", "\"2h\"", &["`deployments.own.cool_down` must be at most `1h`", "write `\"1h\"`"]),
    (OWN, "headers = { x-a = 5 }", "5", &["`deployments.own.headers.x-a` must be a string", "write `\"5\"`"]),
    (AWS, "aws = { access_key_id = \"aws-id\" }", "{ access", &["aws", "`secret_access_key` is required"]),
    (AWS, "aws = { access_key_id = \"aws-idd\", secret_access_key = \"aws-key\" }", "\"aws-idd\"", &["`deployments.claude.aws.access_key_id` names the secret `aws-idd`", "did you mean \"aws-id\"?"]),
    (AWS, "aws = { access_key_id = \"aws-key\", secret_access_key = \"aws-id\" }", "\"aws-key\"", &["access_key_id", "are the two exchanged?"]),
    (AWS, "aws = { access_key_id = \"temporary\", secret_access_key = \"aws-key\" }", "\"temporary\"", &["access_key_id", "name `session_token` too"]),
    (AWS, "secret = \"key\"\naws = { access_key_id = \"aws-id\", secret_access_key = \"aws-key\" }", "{ access", &["`deployments.claude.aws` stands beside `secret`", "name one of them"]),
    (AWS, "host = \"a b\"", "\"a b\"", &["`deployments.claude.host` is `a b`", "write `host` or `host:port`"]),
    ("region = \"eu-central-1\"", "", "[plugins.ai.config.deployments.claude]", &["`deployments.claude.region` must be there", "`region = \"eu-central-1\"`"]),
    (VERTEX, "", "[plugins.ai.config.deployments.gemini]", &["`deployments.gemini.project` must be there", "`project = \"my-project\"`"]),
    (VERTEX, "project = \"p\"\nservice_account = { email = \"e\", key = \"key\", upstream = \"up\" }", "{ email", &["`deployments.gemini.service_account` stands beside `secret`", "name one of them"]),
    (VERTEX, "project = \"p\"\nservice_account = { email = \"e\", upstream = \"up\" }", "{ email", &["service_account", "`key` is required"]),
    // Models.
    (SHARES, "deployments = [{ name = \"owm\" }]", "\"owm\"", &["`models.chat.deployments[0].name` is `owm`, and there is no such deployment", "did you mean `own`?"]),
    (SHARES, "deployments = [{ name = \"own\" }, { name = \"own\" }]", "\"own\" }]", &["`models.chat.deployments[1].name` is `own`, which is in the list already", "take one of the two out"]),
    (SHARES, "deployments = [{ name = \"own\", weight = 0 }]", "[{", &["`models.chat.deployments` has no deployment with a weight above 0", "without `weight` it is 1"]),
    (SHARES, "deployments = []", "[]", &["deployments", "at least 1"]),
    (SHARES, "deployments = [\"own\"]", "\"own\"", &["`models.chat.deployments[0]` must be a table", "`name`"]),
    (SHARES, "deployments = [{ name = \"own\", weight = -1 }]", "-1", &["weight", "0"]),
    (SHARES, "deployments = [{ name = \"own\", weight = 2000000 }]", "2000000", &["weight", "1000000"]),
    (SHARES, "deployments = [{ name = \"own\", priority = 300 }]", "300", &["priority", "255"]),
    (SHARES, "deployments = [{ name = \"own\", wieght = 1 }]", "wieght", &["unknown key `wieght`", "did you mean `weight`?"]),
    (ALIASES, "aliases = [\"smart\"]", "\"smart\"", &["`models.chat.aliases[0]` is `smart`, which a model or an alias is called already", "take it out"]),
    (ALIASES, "aliases = [\"a\", \"a\"]", "\"a\"]", &["`models.chat.aliases[1]` is `a`, which a model or an alias is called already", "take it out"]),
    (ALIASES, "aliases = [\"\"]", "\"\"", &["`models.chat.aliases[0]` must have 1 to 256 bytes", "take it out"]),
    (ALIASES, "alias = [\"x\"]", "alias", &["unknown key `alias`", "did you mean `aliases`?"]),
    (ALIASES, "consumers = \"a\"", "\"a\"", &["`models.chat.consumers` must be an array", "put it into `[` and `]`"]),
    (ALIASES, "consumers = [\"a\", \"a\"]", "\"a\"]", &["`models.chat.consumers[1]` is `a`, which is in the list already", "take one of the two out"]),
    (ALIASES, "affinity = \"header:a b\"", "\"header", &["`models.chat.affinity` is `header:a b`", "write `prompt`"]),
    (ALIASES, "attempts = 20", "20", &["models.chat.attempts", "8"]),
    (ALIASES, "fail_over = \"server\"", "\"server\"", &["`models.chat.fail_over` must be an array", "put it into `[` and `]`"]),
    (ALIASES, "keep_alive = \"2h\"", "\"2h\"", &["`models.chat.keep_alive` must be `1s` to `1h`", "`\"0s\"` for never"]),
    (ALIASES, "max_input_tokens = 0", "0", &["max_input_tokens", "1"]),
    // Groups.
    (MEMBERS, "models = [\"smrt\"]", "\"smrt\"", &["`groups.team.models[0]` is `smrt`, and there is no such model", "did you mean `smart`?"]),
    (MEMBERS, "models = [\"gpt\"]", "\"gpt\"", &["`groups.team.models[0]` is `gpt`", "it is an alias: write `chat`"]),
    (MEMBERS, "models = [\"s*t\"]", "\"s*t\"", &["`groups.team.models[0]` has a `*` that is not at its end", "write `\"s*\"`"]),
    (MEMBERS, "models = [\"smort*\"]", "\"smort*\"", &["`groups.team.models[0]` is `smort*`, and no model's name begins so", "did you mean `smart`?"]),
    (MEMBERS, "models = []", "[]", &["models", "at least 1"]),
    (MEMBERS, "models = [\"smart\", \"smart\"]", "\"smart\"]", &["`groups.team.models[1]` is `smart`, which is in the list already", "take one of the two out"]),
    (MEMBERS, "models = \"smart\"", "\"smart\"", &["`groups.team.models` must be an array", "put it into `[` and `]`"]),
    (MEMBERS, "", "[plugins.ai.config.groups.team]", &["has no `models`", "`models` is required"]),
    (MEMBERS, "model = [\"smart\"]", "model", &["unknown key `model`", "did you mean `models`?"]),
    (ALLOWED, "consumers = [\"\"]", "\"\"", &["`groups.team.consumers[0]` is empty", "take it out"]),
    (ALLOWED, "attributes = { plan = [] }", "[]", &["`groups.team.attributes.plan` has no values", "list the values"]),
    (ALLOWED, "attributes = { plan = \"pro\" }", "\"pro\"", &["`groups.team.attributes.plan` must be an array", "put it into `[` and `]`"]),
    (ALLOWED, "attributes = { \"\" = [\"pro\"] }", "[\"pro\"]", &["has no name", "consumer.claim.plan"]),
];

/// The secrets: a key of AWS has characters that no id has, and ids of temporary credentials begin otherwise.
const SECRETS: [(&str, &str); 4] =
    [("KEY", "sk-1"), ("AWS_ID", "AKIDEXAMPLE"), ("AWS_KEY", "k/+"), ("TEMPORARY", "ASIAEXAMPLE")];

/// What `gateway check` says, and whether it accepts the file.
fn check(folder: &Path, name: &str, text: &str) -> (bool, String) {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    let output = Command::new(binary()).arg("check").arg(&file).envs(SECRETS).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// What is wrong with what is said of a case.
fn judge(folder: &Path, index: usize, case: &Case) -> Option<String> {
    let (line, written, at, words) = *case;
    assert_eq!(RIGHT.matches(&format!("\n{line}\n")).count(), 1, "{line}");
    let text = RIGHT.replace(&format!("\n{line}\n"), &format!("\n{written}\n"));
    let (is_accepted, told) = check(folder, &format!("{index}.toml"), &text);
    let wrong = |what: &str| Some(format!("{written:?}: {what}\n{told}"));
    if is_accepted {
        return wrong("it is accepted");
    }
    if let Some(word) = words.iter().find(|word| !told.contains(**word)) {
        return wrong(&format!("it does not say {word:?}"));
    }
    // The line and the column.
    let begin = text.find(&format!("\n{written}\n")).map_or(0, |at| at + 1);
    let place = match written.find(at) {
        Some(within) => begin + within,
        None => text.find(at).expect("a place in the file"),
    };
    let line_start = text[..place].rfind('\n').map_or(0, |at| at + 1);
    let (line, column) = (text[..place].matches('\n').count() + 1, place - line_start + 1);
    if !told.contains(&format!("{index}.toml:{line}:{column}\n")) {
        return wrong(&format!("the caret is not below {at:?}, at {line}:{column}"));
    }
    let faults = told.lines().filter(|line| line.starts_with("error")).count();
    if faults != 1 { wrong(&format!("{faults} errors for one fault")) } else { None }
}

#[test]
fn each_wrong_setting_names_its_key_and_line_and_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    // Compiled once, for all of them.
    let (is_accepted, told) = check(folder.path(), "right.toml", RIGHT);
    assert!(is_accepted, "{told}");
    let (next, found) = (Mutex::new(0..CASES.len()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(index) = { next.lock().unwrap().next() } {
                    found.lock().unwrap().extend(judge(folder.path(), index, &CASES[index]));
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{} of {}:\n\n{}", found.len(), CASES.len(), found.join("\n\n"));
}
