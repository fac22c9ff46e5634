//! Embeddings of every provider for the clients that are translated for.

use super::options;
use crate::protocol::{Call, Protocol};
use crate::translate::{Refused, Target, Translated, embeddings, request};

const OPENAI: &str = "/v1/embeddings";
const OLLAMA: &str = "/api/embed";

fn to(path: &str, provider: Protocol, body: &str) -> Result<Translated, Refused> {
    let call = Call::of_path(path).expect("a known path");
    request(&call, body.as_bytes(), &Target::new(provider, "m"))
}

fn of(provider: Protocol, client: Protocol, body: &str, as_bytes: bool) -> String {
    embeddings(provider, client, body.as_bytes(), &options(), as_bytes).expect("an answer")
}

#[test]
fn a_request_is_what_its_provider_takes() {
    let body = r#"{"model":"x","input":["a \u00e9","b"],"dimensions":256,"user":"u"}"#;
    for (provider, wanted) in [
        (
            Protocol::Cohere,
            r#"{"model":"m","texts":["a \u00e9","b"],"input_type":"search_document","embedding_types":["float"],"output_dimension":256,"truncate":"NONE"}"#,
        ),
        (
            Protocol::Gemini,
            r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a \u00e9"}]},"outputDimensionality":256},{"model":"models/m","content":{"parts":[{"text":"b"}]},"outputDimensionality":256}]}"#,
        ),
        (
            Protocol::Ollama,
            r#"{"model":"m","input":["a \u00e9","b"],"dimensions":256,"truncate":false}"#,
        ),
    ] {
        let got = to(OPENAI, provider, body).expect("a translation");
        assert_eq!((got.body.as_str(), got.as_bytes), (wanted, false));
        assert_eq!(got.ignored, ["user"]);
    }
    let ollama = r#"{"model":"x","input":"a","truncate":true,"keep_alive":"5m","options":{"num_ctx":1},"dimensions":2}"#;
    let got = to(OLLAMA, Protocol::OpenAiEmbeddings, ollama).expect("a translation");
    assert_eq!(got.body, r#"{"model":"m","input":["a"],"dimensions":2,"encoding_format":"float"}"#);
    assert_eq!(got.ignored, ["truncate", "keep_alive", "options"]);
}

#[test]
fn what_embeddings_are_for_has_a_place_or_is_refused() {
    let asked = |purpose| format!(r#"{{"input":"a","input_type":"{purpose}"}}"#);
    for (provider, purpose, wanted) in [
        (Protocol::Cohere, "search_query", r#""input_type":"search_query""#),
        (Protocol::Gemini, "search_query", r#""taskType":"RETRIEVAL_QUERY""#),
        (Protocol::Gemini, "CODE_RETRIEVAL_QUERY", r#""taskType":"CODE_RETRIEVAL_QUERY""#),
    ] {
        let got = to(OPENAI, provider, &asked(purpose)).expect("a translation").body;
        assert!(got.contains(wanted), "{got}");
    }
    for provider in [Protocol::Gemini, Protocol::Ollama] {
        let refused = to(OPENAI, provider, &asked("for-fun")).expect_err("a refusal").to_string();
        assert!(refused.starts_with("`input_type`"), "{refused}");
    }
}

#[test]
fn what_no_provider_takes_is_refused_by_its_name() {
    for (path, body, name) in [
        (OPENAI, r#"{"input":[1,2]}"#, "`input` has something else"),
        (OPENAI, r#"{"input":[[1]]}"#, "`input` has something else"),
        (OPENAI, r#"{"model":"x"}"#, "`input` is missing"),
        (OPENAI, r#"{"input":"a","brand_new":1}"#, "`brand_new`"),
        (OPENAI, r#"{"input":"a","encoding_format":"hex"}"#, "`encoding_format`"),
        (OPENAI, r#"{"input":"a","keep_alive":"5m"}"#, "`keep_alive`"),
        (OLLAMA, r#"{"input":"a","encoding_format":"base64"}"#, "`encoding_format`"),
    ] {
        for provider in [Protocol::Cohere, Protocol::Gemini, Protocol::OpenAiEmbeddings] {
            let refused = to(path, provider, body).expect_err("a refusal").to_string();
            assert!(refused.starts_with(name), "{refused}");
        }
    }
}

/// Answers with the vectors `[0.5,-2e-3]` and `[1,2]`, and four tokens.
const ANSWERS: [(Protocol, &str); 4] = [
    (
        Protocol::Cohere,
        r#"{"id":"e","embeddings":{"float":[[0.5,-2e-3],[1,2]]},"meta":{"billed_units":{"input_tokens":4}},"response_type":"embeddings_by_type"}"#,
    ),
    (
        Protocol::Gemini,
        r#"{"embeddings":[{"values":[0.5,-2e-3]},{"values":[1,2]}],"usageMetadata":{"promptTokenCount":4}}"#,
    ),
    (
        Protocol::Ollama,
        r#"{"model":"m","embeddings":[[0.5,-2e-3],[1,2]],"total_duration":1,"prompt_eval_count":4}"#,
    ),
    (
        Protocol::OpenAiEmbeddings,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-2e-3]},{"object":"embedding","index":1,"embedding":[1,2]}],"usage":{"prompt_tokens":4,"total_tokens":4}}"#,
    ),
];

#[test]
fn an_answer_is_what_its_client_reads() {
    for (provider, answer) in ANSWERS {
        assert_eq!(
            of(provider, Protocol::OpenAiEmbeddings, answer, false),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-2e-3]},{"object":"embedding","index":1,"embedding":[1,2]}],"model":"alias","usage":{"prompt_tokens":4,"total_tokens":4}}"#
        );
        assert_eq!(
            of(provider, Protocol::Ollama, answer, false),
            r#"{"model":"alias","embeddings":[[0.5,-2e-3],[1,2]],"prompt_eval_count":4}"#
        );
        // 0.5 is 0000003f, 1 is 0000803f, and 2 is 00000040.
        let bytes = of(provider, Protocol::OpenAiEmbeddings, answer, true);
        assert!(bytes.contains(r#""index":1,"embedding":"AACAPwAAAEA=""#), "{bytes}");
        assert!(bytes.contains(r#""index":0,"embedding":"AAAAP2"#), "{bytes}");
    }
    let base64 = r#"{"embeddings":{"base64":["AACAPw=="]}}"#;
    let got = of(Protocol::Cohere, Protocol::OpenAiEmbeddings, base64, true);
    assert!(got.contains(r#""embedding":"AACAPw==""#), "{got}");
}

#[test]
fn an_answer_without_embeddings_failed_and_one_without_a_usage_is_estimated() {
    for (provider, answer) in ANSWERS {
        let none = answer.replace("embedding", "other");
        let failed =
            embeddings(provider, Protocol::OpenAiEmbeddings, none.as_bytes(), &options(), false);
        assert!(failed.is_err_and(|it| it.status == 502), "{none}");
        let text = answer.replace("-2e-3", "\"-2e-3\"");
        let failed =
            embeddings(provider, Protocol::OpenAiEmbeddings, text.as_bytes(), &options(), true);
        assert!(failed.is_err_and(|it| it.status == 502), "{text}");
    }
    let estimate = crate::translate::Options { input_estimate: 7, ..options() };
    let answer = br#"{"embeddings":[{"values":[1]}]}"#;
    let got = embeddings(Protocol::Gemini, Protocol::OpenAiEmbeddings, answer, &estimate, false);
    assert!(got.expect("an answer").contains(r#""prompt_tokens":7"#));
}
