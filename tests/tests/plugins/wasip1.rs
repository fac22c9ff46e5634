//! Core modules for WASI preview 1 instead of components: what they describe is made of them.

use gateway::{BindError, Gateway};
use gateway_tests::client::request;
use gateway_tests::{Http1, Setup, guests, log};

/// The sections of a binary, with their ids and their heads.
fn sections(binary: &[u8]) -> Vec<(u8, &[u8])> {
    let (mut rest, mut sections) = (&binary[8..], Vec::new());
    while let [id, tail @ ..] = rest {
        let length = tail.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let bits = tail[..length].iter().enumerate();
        let size = bits.fold(0, |sum, (at, byte)| sum | usize::from(byte & 0x7f) << (7 * at));
        let whole = 1 + length + size;
        sections.push((*id, &rest[..whole]));
        rest = &rest[whole..];
    }
    sections
}

#[test]
fn the_guests_are_core_modules() {
    for name in ["tagger-wasip1", "prints-wasip1", "serves-wasip1"] {
        let bytes = std::fs::read(guests::path(name)).unwrap();
        assert!(bytes.starts_with(b"\0asm\x01\0\0\0"), "{name}");
        let adapted = gateway::open(&guests::path(name)).unwrap();
        assert!(adapted.starts_with(b"\0asm\x0d\0\x01\0"), "{name}");
    }
}

#[tokio::test]
async fn an_adapted_plugin_stands_in_a_chain_with_components() {
    let text = r#"
[[routes]]
name = "tagged"
paths = ["/{*rest}"]
plugins = [
  { component = "./tagger.wasm", config = { name = "new" } },
  { component = "./tagger-wasip1.wasm", config = { name = "old", reads = "tag.new" } },
  { component = "./prints-wasip1.wasm" },
]
component = "./serves.wasm"
"#;
    let gateway = Setup::toml(text, &[]).start();
    let asked = request("GET", "/head", &[("x-print", "hello")], "");
    let answer = Http1::connect(gateway.address).await.send(asked).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains("x-trace-request: new, old"), "{}", answer.text());
    assert_eq!(answer.header("x-trace-response"), Some("old, new"));
    let said = log::said(answer.id());
    for words in ["old saw the request", "out: hello", "err: hello"] {
        assert!(said.iter().any(|line| line == words), "{said:?}");
    }
}

#[tokio::test]
async fn an_adapted_service_answers() {
    let text = r#"
[components.old]
file = "./serves-wasip1.wasm"
environment = { GREETING = "hello" }
limits = { deadline = "100ms" }

[[routes]]
name = "old"
paths = ["/{*rest}"]
component = "old"
"#;
    let gateway = Setup::toml(text, &[]).start();
    assert_eq!(Http1::get(gateway.address, "/environment").await.text(), "hello of 1");
    assert_eq!(Http1::get(gateway.address, "/sleeps/20").await.text(), "slept");
    assert_eq!(Http1::get(gateway.address, "/loops").await.status(), 502);
    assert_eq!(Http1::get(gateway.address, "/panics").await.status(), 502);
    let answer = Http1::get(gateway.address, "/environment").await;
    assert_eq!(answer.text(), "hello of 1");
}

#[test]
fn what_is_looked_into_is_what_would_be_loaded() {
    let file = gateway::config::Component::File(guests::path("tagger-wasip1"));
    let found = gateway::inspect(&file).unwrap();
    assert_eq!(found.name, "tagger");
    assert!(found.imports.iter().any(|import| import.interface.starts_with("wasi:")));
}

#[test]
fn a_module_that_does_not_do_what_it_describes_is_refused() {
    let module = std::fs::read(guests::path("tagger-wasip1")).unwrap();
    let mut hollow = module[..8].to_vec();
    for (_, section) in sections(&module).into_iter().filter(|(id, _)| *id == 0) {
        hollow.extend_from_slice(section);
    }
    let folder = tempfile::tempdir_in(guests::folder()).unwrap();
    let file = folder.path().join("hollow.wasm");
    std::fs::write(&file, hollow).unwrap();
    let text = format!(
        "[[routes]]\nname = \"all\"\npaths = [\"/\"]\nrespond = {{}}\n\
         plugins = [{{ component = '{}' }}]",
        file.display()
    );
    let errors = Gateway::bind(Setup::toml(&text, &[]).config).map(drop).unwrap_err();
    let [BindError::Plugin { message, help, .. }] = &errors[..] else { panic!("{errors:?}") };
    assert!(message.contains("a core module that cannot be made a component: "), "{message}");
    assert!(help.as_ref().unwrap().contains("gateway plugin build"));
}
