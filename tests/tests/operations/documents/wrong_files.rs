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
        "plugin `keys`: line 2: there is no member `digets`; did you mean `digest`?",
        "partners.jsonl: 1 error\n",
        "plugin `drop`: this is no address or network",
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

/// A plugin `p` with such a table and such settings.
fn plugin(documents: &str, table: &str, config: &str) -> String {
    format!(
        "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n{documents}\n[plugins.p]\n{table}\n\
         [plugins.p.config]\n{config}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/\"]\nplugins = [\"p\"]\nrespond = {{ body = \"ok\" }}\n"
    )
}

#[test]
fn what_is_wrong_with_a_document_is_told_in_its_place_with_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("drop.txt", "10.0.0.0/8\n");
    write("keys.jsonl", "");
    let drop = "[documents.drop]\nfile = \"drop.txt\"";
    let keys = "[documents.keys]\nfile = \"keys.jsonl\"";
    let ip = "component = \"ip\"\ndocuments = [\"drop\"]";
    let auth = "component = \"auth\"\ndocuments = [\"keys\"]";
    for (text, words, absent) in [
        (
            plugin("[documents.drop]\nfile = \"none.txt\"", ip, "deny_documents = [\"drop\"]"),
            vec!["the file `none.txt` does not exist", "gateway.toml:5:8", "relative to the conf"],
            "",
        ),
        (
            plugin("[documents.drop]\nfile = \".\"", ip, "deny_documents = [\"drop\"]"),
            vec!["`.` is not a file"],
            "",
        ),
        (
            plugin(&format!("{drop}\nsize = 4"), ip, "deny_documents = [\"drop\"]"),
            vec!["has 11 bytes, and the document may have", "write `size = 11` or more"],
            "",
        ),
        (
            plugin(drop, ip, "deny_documents = [\"dropp\"]"),
            vec!["did you mean \"drop\"? The plugin is granted that", "[\"dropp\"]"],
            "write `documents",
        ),
        (
            plugin(drop, "component = \"ip\"\ndocuments = [\"dropp\"]", "deny = [\"::1\"]"),
            vec!["there is no document `dropp`", "did you mean `drop`?"],
            "",
        ),
        (
            plugin(drop, ip, "deny = [\"::1\"]"),
            vec!["warning: plugin `p`: nothing in its `config` is about the document `drop`"],
            "error",
        ),
        (
            plugin("", "component = \"ip\"", "deny = [\"::1\"]\non_unavailable = \"open\""),
            vec!["says what becomes of requests without a document, and none is named"],
            "",
        ),
        (
            plugin(keys, auth, "api_key = { documnet = \"keys\" }"),
            vec!["unknown key `documnet` in `api_key`", "did you mean `document`?", "1 error\n"],
            "no key is named",
        ),
    ] {
        write("gateway.toml", &text);
        let (said, _) = check(folder.path(), &[]);
        for words in words {
            assert!(said.contains(words), "{text}\n{said}");
        }
        assert!(absent.is_empty() || !said.contains(absent), "{text}\n{said}");
    }
}

#[test]
fn no_secret_in_a_wrong_place_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("drop.txt", "password=hunter2\nhttps://ada:hunter2@example.com\n");
    write("keys.jsonl", "{\"id\": \"one\", \"digest\": \"hunter2\", \"secret\": \"hunter2\"}\n");
    let drop = "[documents.drop]\nfile = \"drop.txt\"\n[documents.keys]\nfile = \"keys.jsonl\"";
    let ip = "component = \"ip\"\ndocuments = [\"drop\"]";
    let auth =
        "component = \"auth\"\ndocuments = [\"keys\"]\ngrants = [\"signature\", \"password\"]";
    for (text, words) in [
        (plugin(drop, ip, "deny_documents = [\"drop\"]"), "this is no address or network"),
        (plugin(drop, auth, "api_key = { document = \"keys\" }"), "`digest` is not `sha256:`"),
        (
            plugin(drop, auth, "api_key = { keys = [{ id = \"a\", digest = \"hunter2\" }] }"),
            "digest` is not written as it has to be",
        ),
        (plugin(drop, auth, "basic = { users = [{ name = \"a\", hash = \"hunter2\" }] }"), "basic"),
        (plugin(drop, auth, "basic = { htpasswd = \"a:hunter2\" }"), "basic"),
        (
            plugin(
                drop,
                auth,
                "jwt = { issuers = [{ issuer = \"i\", audiences = [\"a\"], algorithms = [\"HS256\"], \
                 keys = [{ algorithm = \"HS256\", secret = \"hunter2\" }] }] }",
            ),
            "jwt",
        ),
        (plugin(drop, auth, "passwort = \"hunter2\""), "unknown key `passwort`"),
        (
            plugin("[stores.s]\nredis = \"redis://h\"\npasswort = \"hunter2\"", auth, ""),
            "unknown key `passwort`",
        ),
        (
            plugin("[stores.s]\nredis = \"redis://h\"\npassword = \"hunter2\"", auth, ""),
            "stands in the file itself",
        ),
        (
            plugin("[stores.s]\nredis = \"redis://h\"\npassword = \"hunter2", auth, ""),
            "gateway.toml:6",
        ),
        (
            plugin(
                "[documents.d]\nupstream = \"u\"\npath = \"/?token=hunter2\"\nheaders = { x-any = \"hunter2\\u0000\" }",
                auth,
                "",
            ),
            "gateway.toml:7",
        ),
    ] {
        write("gateway.toml", &text);
        for arguments in [&[][..], &["--log-format", "json"]] {
            let (said, _) = check(folder.path(), arguments);
            assert!(!said.contains("hunter2"), "{text}\n{said}");
            if arguments.is_empty() {
                assert!(said.contains(words), "{text}\n{said}");
            }
        }
    }
}
