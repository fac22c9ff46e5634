//! Signatures that nobody made.
//!
//! Owns what holds of every text that is taken for the parameters of a signature: it covers what it says, and only
//! that, and nobody is admitted by it who has no key.

use gateway_fuzz::Target;
use gateway_plugin_sdk::log::Level;
use gateway_plugin_sdk::testing::{Harness, request};
use serde_json::json;
use sfv::{Dictionary, FieldType as _, ListEntry, Parser};

use super::component::Component;
use crate::HttpSignature;

const TEXTS: &[&str] = &[
    "=()",
    "(",
    ")",
    "\"",
    "\\",
    ";",
    ", ",
    "\n",
    ":",
    "@method",
    "\"@method\"",
    "\"@target-uri\"",
    "\"@authority\" \"@path\" \"@query\"",
    "\"@query-param\";name=\"a\"",
    "\"content-digest\"",
    ";sf",
    ";bs",
    ";key=\"a\"",
    ";req",
    ";tr",
    ";created=1767225600",
    ";expires=1",
    ";keyid=\"a\"",
    ";alg=\"hmac-sha256\"",
    ";nonce=\"\"",
    "?1",
    "@1",
    "%\"%c3%a9\"",
];

#[test]
fn a_signature_covers_what_it_says_and_nobody_is_admitted_without_a_key() {
    let config = json!({ "message": { "keys": [
        { "id": "a", "algorithm": "hmac-sha256", "secret": "a secret that nobody who fuzzes has" },
    ] } });
    let plugin = Harness::<HttpSignature>::new(config).unwrap();
    // The reasons would fill the memory in a minute.
    plugin.set_log_level(Level::Error);
    let mut read = 0;
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/inputs");
    Target::new(seeds, TEXTS).check(|text| {
        // A field has one line.
        let Some(text) =
            std::str::from_utf8(text).ok().filter(|text| !text.contains(['\r', '\n', '\0']))
        else {
            return;
        };
        if let Ok(inputs) = Parser::new(text).parse::<Dictionary>() {
            for (_, entry) in inputs {
                let ListEntry::InnerList(input) = entry else { continue };
                let Ok(components) = Component::all(&input) else { continue };
                read += 1;
                // What is signed is what is read, and reads as the same again.
                let written = vec![ListEntry::InnerList(input.clone())].serialize().unwrap();
                let again: sfv::List = Parser::new(&written).parse().unwrap();
                assert_eq!(again, [ListEntry::InnerList(input.clone())]);
                assert_eq!(components.len(), input.items.len());
                let names: Vec<_> = components.iter().map(|it| it.identifier.as_str()).collect();
                assert!(written.starts_with(&format!("({})", names.join(" "))), "{written}");
                let is_line = |name: &&str| name.bytes().all(|byte| (b' '..0x7f).contains(&byte));
                assert!(names.iter().all(is_line), "{names:?}");
            }
        }
        let label = text.split(['=', ',']).next().unwrap_or_default().trim();
        let exchange = plugin.request(
            request()
                .header("host", "example.com")
                .header("signature-input", text)
                .header("signature", format!("{label}=:AAAA:")),
        );
        assert_eq!(exchange.answer().map(|answer| answer.status()), Some(401), "{text}");
    });
    assert!(read > 2, "only {read} were read");
}
