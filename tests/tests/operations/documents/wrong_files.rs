//! Files of documents that plugins cannot read: `gateway check` tells all of it, with the lines.

use std::fmt::Write as _;
use std::process::Command;

use gateway_tests::binary;

const TEXT: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:0"

[upstreams.gpu]
targets = ["http://127.0.0.1:9"]

[documents.flags]
file = "flags.json"
[documents.prices]
file = "prices.json"
[documents.api]
file = "api.yaml"
[documents.partners]
file = "partners.jsonl"
[documents.drop]
file = "drop.txt"

[plugins.keys]
component = "auth"
documents = ["partners"]
config.api_key.document = "partners"

[plugins.drop]
component = "ip"
documents = ["drop"]
config.deny_documents = ["drop"]

[plugins.flags]
component = "flags"
documents = ["flags"]
config.set = [{ flag = "stage", header = "x-stage" }]

[plugins.ofrep]
component = "flags"
documents = ["flags"]
config.ofrep = true

[plugins.models]
component = "models"
documents = ["prices"]
forward_to = ["gpu"]
[plugins.models.config]
prices = "prices"
deployments.gpu = { upstream = "gpu", provider = "openai", model = "small", price_name = "small" }
models.chat = { deployments = [{ name = "gpu" }] }

[plugins.validate]
component = "validate"
documents = ["api"]
config.openapi.document = "api"

[[routes]]
name = "r"
paths = ["/{*rest}"]
plugins = ["flags", "ofrep", "validate", "models", "keys", "drop"]
respond = { body = "ok" }
"#;

const FLAGS: &str = r#"{
  "flags": {
    "stage": { "state": "ENABLED", "variants": { "one": 1 }, "defaultVariant": "onw" },
    "rest": { "state": "ENABLED", "variants": { "one": 1 }, "targeting": { "iff": [true, "one"] } }
  }
}"#;

/// What `gateway check` says, and how it ends.
fn check(folder: &std::path::Path, arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(binary());
    let output = command.args(arguments).arg("check").current_dir(folder).output().unwrap();
    let mut said = String::from_utf8(output.stderr).unwrap();
    said.push_str(std::str::from_utf8(&output.stdout).unwrap());
    (said, output.status.code())
}

#[test]
fn a_check_tells_all_that_is_wrong_in_files_of_documents_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("gateway.toml", TEXT);
    write("flags.json", FLAGS);
    write(
        "prices.json",
        "{ \"small\": { \"input\": \"0.1\", \"ouput\": \"0.2\" },\n  \"big\": { \"input\": \"much\" } }",
    );
    write("api.yaml", "openapi: 3.1.0\npaths:\n  /a: [1\n");
    write("partners.jsonl", "\n{ \"id\": \"one\", \"digets\": \"sha256:00\" }\n");
    write("drop.txt", "# all\n10.0.0.0/8\n10.0.0/8\n");
    let (said, code) = check(folder.path(), &[]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "error: plugins `flags`, `ofrep`: flags.stage.defaultVariant: there is no variant \"onw\"\n --> flags.json:3:80\n",
        "\"defaultVariant\": \"onw\" },\n  |                                                                                ^^^^^\n",
        "  = help: did you mean \"one\"?\n",
        "flags.rest.targeting: there is no operator \"iff\"\n --> flags.json:4:74\n",
        "  = help: did you mean \"if\"?\n",
        "flags.json: 2 errors\n",
        "plugin `models`: `ouput` of \"small\" is not a known price\n --> prices.json:1:39\n",
        "  = help: did you mean `output`?\n",
        "`input` of \"big\" is not a decimal number",
        "prices.json: 2 errors\n",
        "plugin `validate`: the YAML is wrong",
        " --> api.yaml:3:10\n",
        "plugin `keys`: line 2: unknown field `digets`, expected",
        "partners.jsonl: 1 error\n",
        "plugin `drop`: `10.0.0/8` is no address or network",
        " --> drop.txt:3:1\n",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    assert!(!said.contains("is fine"), "{said}");
    let (said, _) = check(folder.path(), &["--log-format", "json"]);
    let mut told = String::new();
    for line in said.lines() {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        writeln!(told, "{}:{}:{}", finding["file"], finding["line"], finding["column"]).unwrap();
    }
    assert!(
        told.contains("\"flags.json\":3:80\n") && told.contains("\"prices.json\":2:21\n"),
        "{told}"
    );
    // Those of a file that is refused are told too.
    write("gateway.toml", &TEXT.replace("targets", "target"));
    let (said, code) = check(folder.path(), &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("gateway.toml:7:") && said.contains("flags.json: 2 errors"), "{said}");
    write("gateway.toml", TEXT);
    write("flags.json", &FLAGS.replace("onw", "one").replace("iff", "if"));
    write("prices.json", "{ \"small\": { \"input\": \"0.1\" } }");
    write("api.yaml", "openapi: 3.1.0\npaths: {}\n");
    write("partners.jsonl", "");
    write("drop.txt", "10.0.0.0/8 # all\n");
    let (said, code) = check(folder.path(), &[]);
    assert!(code == Some(0) && said.contains("is fine"), "{said}");
    // What plugins take all the same is a warning.
    write("flags.json", &FLAGS.replace("onw", "one"));
    write(
        "gateway.toml",
        &TEXT
            .replace("config.ofrep", "config.strict = false\nconfig.ofrep")
            .replace("config.set", "config.strict = false\nconfig.set"),
    );
    let (said, code) = check(folder.path(), &[]);
    assert!(code == Some(0) && said.contains("warning: plugins `flags`, `ofrep`:"), "{said}");
    assert!(said.contains("6 plugins, 1 warning"), "{said}");
}
