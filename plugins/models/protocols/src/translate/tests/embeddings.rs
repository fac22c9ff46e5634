//! Embeddings of every provider for the clients that are translated for.

use super::options;
use crate::error::Class;
use crate::protocol::{Call, Protocol};
use crate::translate::{Form, Options, Refused, Target, Translated, embeddings, request};

const OPENAI: &str = "/v1/embeddings";
const OLLAMA: &str = "/api/embed";
const GEMINI: &str = "/v1beta/models/x:embedContent";
const GEMINI_S: &str = "/v1beta/models/x:batchEmbedContents";
const COHERE: &str = "/v2/embed";

fn to(path: &str, provider: Protocol, body: &str) -> Result<Translated, Refused> {
    to_model(path, provider, "m", body)
}

fn to_model(
    path: &str,
    provider: Protocol,
    model: &str,
    body: &str,
) -> Result<Translated, Refused> {
    let call = Call::of_path(path).expect("a known path");
    request(&call, body.as_bytes(), &Target::new(provider, model))
}

fn of(provider: Protocol, client: Protocol, body: &str, form: Form) -> String {
    embeddings(provider, client, body.as_bytes(), &options(), form).expect("an answer")
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
        assert_eq!((got.body.as_str(), got.form), (wanted, Form::Numbers));
        assert_eq!((got.ignored, got.endpoint), (vec!["user".to_owned()], None));
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
        (Protocol::Cohere, "RETRIEVAL_DOCUMENT", r#""input_type":"search_document""#),
        (Protocol::Cohere, "its-own", r#""input_type":"its-own""#),
        (Protocol::VertexEmbeddings, "clustering", r#""task_type":"CLUSTERING""#),
    ] {
        let got = to(OPENAI, provider, &asked(purpose)).expect("a translation").body;
        assert!(got.contains(wanted), "{got}");
    }
    for (provider, purpose) in [
        (Protocol::Gemini, "for-fun"),
        (Protocol::VertexEmbeddings, "for-fun"),
        (Protocol::Ollama, "search_query"),
        (Protocol::OpenAiEmbeddings, "search_query"),
        (Protocol::Cohere, "SEMANTIC_SIMILARITY"),
    ] {
        let refused = to(OPENAI, provider, &asked(purpose)).expect_err("a refusal").to_string();
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
        (GEMINI, r#"{"model":"models/x"}"#, "`content.parts` is missing"),
        (GEMINI, r#"{"content":{"parts":[{"inlineData":{}}]}}"#, "`content.parts` has something"),
        (GEMINI, r#"{"content":{"parts":[{"text":1}]}}"#, "`content.parts` has something"),
        (
            GEMINI,
            r#"{"content":{"parts":[{"text":"a","thought":true}]}}"#,
            "`content.parts` has something",
        ),
        (
            GEMINI,
            r#"{"content":{"parts":[{"text":"a"},{"text":"b"}]}}"#,
            "`content.parts` has several parts",
        ),
        (GEMINI, r#"{"content":{"parts":[{"text":"a"}]},"brandNew":1}"#, "`brandNew`"),
        (
            GEMINI,
            r#"{"content":{"parts":[{"text":"a"}]},"embedContentConfig":{"documentOcr":true}}"#,
            "`embedContentConfig.documentOcr`",
        ),
        (
            GEMINI_S,
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{}}]}"#,
            "`requests.1.content.parts` is missing",
        ),
        (
            GEMINI_S,
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]},"outputDimensionality":2}]}"#,
            "`requests.1` is for another purpose, or of other dimensions",
        ),
        (GEMINI_S, r#"{"requests":[{"content":{"parts":[{"text":"a"}]}}],"n":1}"#, "`n`"),
        (COHERE, r#"{"input_type":"search_query"}"#, "`texts` is missing"),
        (COHERE, r#"{"texts":["a",1]}"#, "`texts` has something else"),
        (COHERE, r#"{"texts":["a"],"inputs":[{"content":[]}]}"#, "`inputs`"),
        (COHERE, r#"{"images":["data:image/png;base64,AA=="],"texts":["a"]}"#, "`images`"),
        (
            COHERE,
            r#"{"inputs":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
            "`inputs.0.content` has something else",
        ),
        (COHERE, r#"{"texts":["a"],"max_tokens":5}"#, "`max_tokens`"),
        (COHERE, r#"{"texts":["a"],"embedding_types":["float","int8"]}"#, "`embedding_types` has"),
    ] {
        for provider in [
            Protocol::Cohere,
            Protocol::Gemini,
            Protocol::OpenAiEmbeddings,
            Protocol::Ollama,
            Protocol::VertexEmbeddings,
        ] {
            let client = Call::of_path(path).expect("a known path").protocol;
            if client == provider {
                continue;
            }
            let refused = to(path, provider, body).expect_err("a refusal").to_string();
            assert!(refused.starts_with(name), "{refused}");
        }
    }
}

/// Answers with the vectors `[0.5,-2e-3]` and `[1,2]`, and four tokens.
pub(super) const ANSWERS: [(Protocol, &str); 8] = [
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
    (
        Protocol::VertexEmbeddings,
        r#"{"predictions":[{"embeddings":{"values":[0.5,-2e-3],"statistics":{"truncated":false,"token_count":3}}},{"embeddings":{"statistics":{"token_count":1.0,"truncated":false},"values":[1,2]}}],"metadata":{"billableCharacterCount":9}}"#,
    ),
    (
        Protocol::VertexEmbeddings,
        r#"{"embeddings":[{"values":[0.5,-2e-3]},{"values":[1,2],"truncated":false}],"usageMetadata":{"promptTokenCount":4,"promptTokensDetails":[{"modality":"TEXT","tokenCount":4}]}}"#,
    ),
    (
        Protocol::BedrockInvoke,
        r#"{"id":"e","texts":["a","b"],"embeddings":{"float":[[0.5,-2e-3],[1,2]]},"response_type":"embeddings_by_type","inputTokenCount":4}"#,
    ),
    (
        Protocol::BedrockInvoke,
        r#"{"id":"e","embeddings":[[0.5,-2e-3],[1,2]],"response_type":"embeddings_floats","inputTextTokenCount":4}"#,
    ),
];

#[test]
fn an_answer_is_what_its_client_reads() {
    for (provider, answer) in ANSWERS {
        assert_eq!(
            of(provider, Protocol::OpenAiEmbeddings, answer, Form::Numbers),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-2e-3]},{"object":"embedding","index":1,"embedding":[1,2]}],"model":"alias","usage":{"prompt_tokens":4,"total_tokens":4}}"#
        );
        assert_eq!(
            of(provider, Protocol::Ollama, answer, Form::Numbers),
            r#"{"model":"alias","embeddings":[[0.5,-2e-3],[1,2]],"prompt_eval_count":4}"#
        );
        assert_eq!(
            of(provider, Protocol::Gemini, answer, Form::Numbers),
            r#"{"embeddings":[{"values":[0.5,-2e-3]},{"values":[1,2]}],"usageMetadata":{"promptTokenCount":4}}"#
        );
        let id = options().id;
        assert_eq!(
            of(provider, Protocol::Cohere, answer, Form::Numbers),
            [
                r#"{"id":""#,
                &id,
                r#"","embeddings":{"float":[[0.5,-2e-3],[1,2]]},"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":4}},"response_type":"embeddings_by_type"}"#,
            ]
            .concat()
        );
        let both = of(provider, Protocol::Cohere, answer, Form::Both);
        assert!(both.contains(r#""float":[[0.5,-2e-3],[1,2]],"base64":["AAAAP2"#), "{both}");
        let bytes = of(provider, Protocol::Cohere, answer, Form::Bytes);
        assert!(bytes.contains(r#""embeddings":{"base64":["AAAAP2"#), "{bytes}");
        // 0.5 is 0000003f, 1 is 0000803f, and 2 is 00000040.
        let bytes = of(provider, Protocol::OpenAiEmbeddings, answer, Form::Bytes);
        assert!(bytes.contains(r#""index":1,"embedding":"AACAPwAAAEA=""#), "{bytes}");
        assert!(bytes.contains(r#""index":0,"embedding":"AAAAP2"#), "{bytes}");
    }
    let base64 = r#"{"embeddings":{"base64":["AACAPw=="]}}"#;
    let got = of(Protocol::Cohere, Protocol::OpenAiEmbeddings, base64, Form::Bytes);
    assert!(got.contains(r#""embedding":"AACAPw==""#), "{got}");
}

#[test]
fn an_answer_without_embeddings_failed_and_one_without_a_usage_is_estimated() {
    for (provider, answer) in ANSWERS {
        let none = answer.replace("embedding", "other");
        let fails = |client: Protocol, body: &str, form: Form| {
            let failed = embeddings(provider, client, body.as_bytes(), &options(), form);
            assert!(failed.is_err_and(|it| it.status == 502), "{body}");
        };
        fails(Protocol::OpenAiEmbeddings, &none, Form::Numbers);
        let text = answer.replace("-2e-3", "\"-2e-3\"");
        fails(Protocol::OpenAiEmbeddings, &text, Form::Bytes);
        fails(Protocol::Cohere, &text, Form::Both);
        // One was asked for, and two came.
        fails(Protocol::Gemini, answer, Form::One);
        let texts = answer.replace("[0.5,-2e-3]", "\"x\"");
        for client in [Protocol::OpenAiEmbeddings, Protocol::Ollama, Protocol::Gemini] {
            fails(client, &texts, Form::Numbers);
        }
    }
    let estimate = Options { input_estimate: 7, ..options() };
    for (provider, answer) in [
        (Protocol::Gemini, r#"{"embeddings":[{"values":[1]}]}"#),
        (Protocol::BedrockInvoke, r#"{"embeddings":{"float":[[1]]},"texts":["a"]}"#),
        // One of them says nothing.
        (
            Protocol::VertexEmbeddings,
            r#"{"predictions":[{"embeddings":{"values":[1]}},{"embeddings":{"values":[1],"statistics":{"token_count":3}}}]}"#,
        ),
    ] {
        let client = Protocol::OpenAiEmbeddings;
        let got = embeddings(provider, client, answer.as_bytes(), &estimate, Form::Numbers);
        assert!(got.expect("an answer").contains(r#""prompt_tokens":7"#));
    }
}

#[test]
fn vertex_ai_has_its_methods_by_model() {
    let two = r#"{"model":"x","input":["a","b"],"dimensions":256,"input_type":"search_query"}"#;
    let one = r#"{"model":"x","input":"a"}"#;
    let predict = r#"{"instances":[{"content":"a","task_type":"RETRIEVAL_QUERY"},{"content":"b","task_type":"RETRIEVAL_QUERY"}],"parameters":{"autoTruncate":false,"outputDimensionality":256}}"#;
    let config =
        r#""embedContentConfig":{"taskType":"RETRIEVAL_QUERY","outputDimensionality":256}"#;
    let content = |text: &str| format!(r#""content":{{"parts":[{{"text":"{text}"}}]}}"#);
    let several =
        format!(r#"{{"requests":[{{{},{config}}},{{{},{config}}}]}}"#, content("a"), content("b"));
    for (model, body, endpoint, wanted) in [
        ("text-embedding-005", two, "/models/:predict", predict),
        ("gemini-embedding-001", two, "/models/:predict", predict),
        (
            "text-multilingual-embedding-002",
            one,
            "/models/:predict",
            r#"{"instances":[{"content":"a"}],"parameters":{"autoTruncate":false}}"#,
        ),
        ("gemini-embedding-2", two, "/models/:batchEmbedContents", several.as_str()),
        (
            "gemini-embedding-2",
            one,
            "/models/:embedContent",
            r#"{"content":{"parts":[{"text":"a"}]}}"#,
        ),
    ] {
        let got = to_model(OPENAI, Protocol::VertexEmbeddings, model, body).expect("a translation");
        assert_eq!((got.body.as_str(), got.endpoint), (wanted, Some(endpoint)), "{model}");
    }
    let answer = r#"{"embedding":{"values":[1,2]},"usageMetadata":{"promptTokenCount":2},"truncated":false}"#;
    let got = of(Protocol::VertexEmbeddings, Protocol::Ollama, answer, Form::Numbers);
    assert_eq!(got, r#"{"model":"alias","embeddings":[[1,2]],"prompt_eval_count":2}"#);
    // These methods cut unasked.
    let many = r#"{"embeddings":[{"values":[1]},{"values":[2],"statistics":{"truncated":true}}]}"#;
    for cut in [answer.replace("false", "true").as_str(), many] {
        let (provider, client) = (Protocol::VertexEmbeddings, Protocol::Ollama);
        let failed = embeddings(provider, client, cut.as_bytes(), &options(), Form::Numbers);
        let failed = failed.expect_err("a failure");
        assert_eq!((failed.class, failed.status), (Class::ContextTooLong, 400));
    }
}

#[test]
fn bedrock_takes_what_each_model_does() {
    let one = r#"{"model":"x","input":"a \u00e9","dimensions":256,"encoding_format":"base64"}"#;
    for (model, wanted) in [
        ("amazon.titan-embed-text-v2:0", r#"{"inputText":"a \u00e9","dimensions":256}"#),
        (
            "us.cohere.embed-v4:0",
            r#"{"texts":["a \u00e9"],"input_type":"search_document","embedding_types":["float"],"output_dimension":256,"truncate":"NONE"}"#,
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            r#"{"schemaVersion":"nova-multimodal-embed-v1","taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"embeddingPurpose":"GENERIC_INDEX","embeddingDimension":256,"text":{"truncationMode":"NONE","value":"a \u00e9"}}}"#,
        ),
    ] {
        let got = to_model(OPENAI, Protocol::BedrockInvoke, model, one).expect("a translation");
        assert_eq!((got.body.as_str(), got.form, got.endpoint), (wanted, Form::Bytes, None));
    }
    let asks = |model: &str, body: &str| to_model(OPENAI, Protocol::BedrockInvoke, model, body);
    let two = r#"{"input":["a","b"],"input_type":"search_query"}"#;
    let got = asks("cohere.embed-english-v3", two).expect("a translation").body;
    assert!(got.starts_with(r#"{"texts":["a","b"],"input_type":"search_query","#), "{got}");
    let query = r#"{"input":"a","input_type":"search_query"}"#;
    let got = asks("amazon.nova-2-multimodal-embeddings-v1:0", query).expect("a translation").body;
    assert!(got.contains(r#""embeddingPurpose":"GENERIC_RETRIEVAL""#), "{got}");
    for (model, body, words) in [
        ("amazon.titan-embed-text-v2:0", r#"{"input":["a","b"]}"#, "The request has several texts"),
        ("amazon.nova-2-multimodal-embeddings-v1:0", two, "The request has several texts"),
        ("amazon.titan-embed-text-v2:0", query, "`input_type` cannot be translated"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/x", query, "`model` is no model whose"),
        ("anthropic.claude-5-v1:0", query, "`model` is no model whose"),
    ] {
        let refused = asks(model, body).expect_err("a refusal").to_string();
        assert!(refused.starts_with(words), "{refused}");
    }
    let answers = [
        r#"{"embedding":[1,2],"embeddingsByType":{"float":[1,2]},"inputTextTokenCount":2}"#,
        r#"{"embeddings":[{"embeddingType":"TEXT","embedding":[1,2]}],"inputTokenCount":2}"#,
    ];
    for answer in answers {
        let got = of(Protocol::BedrockInvoke, Protocol::Gemini, answer, Form::One);
        let wanted = r#"{"embedding":{"values":[1,2]},"usageMetadata":{"promptTokenCount":2}}"#;
        assert_eq!(got, wanted);
    }
}

#[test]
fn clients_of_gemini_s_ask_others() {
    let request = |text: &str| {
        format!(
            r#"{{"model":"models/x","content":{{"role":"user","parts":[{{"text":"{text}"}}]}},"outputDimensionality":2}}"#
        )
    };
    let several = format!(r#"{{"requests":[{},{}]}}"#, request("a"), request("b"));
    let got = to(GEMINI_S, Protocol::OpenAiEmbeddings, &several).expect("a translation");
    let wanted = r#"{"model":"m","input":["a","b"],"dimensions":2,"encoding_format":"float"}"#;
    assert_eq!((got.body.as_str(), got.form), (wanted, Form::Numbers));
    let got = to(GEMINI, Protocol::Ollama, &request("a")).expect("a translation");
    let wanted = r#"{"model":"m","input":["a"],"dimensions":2,"truncate":false}"#;
    assert_eq!((got.body.as_str(), got.form), (wanted, Form::One));
    // Both spellings, and the place that Vertex AI has for them.
    for settings in [
        r#""taskType":"RETRIEVAL_DOCUMENT","title":"t","outputDimensionality":2,"autoTruncate":true"#,
        r#""task_type":"RETRIEVAL_DOCUMENT","title":"t","output_dimensionality":2,"auto_truncate":true"#,
        r#""embedContentConfig":{"taskType":"RETRIEVAL_DOCUMENT","title":"t","outputDimensionality":2,"autoTruncate":true}"#,
    ] {
        let body = format!(r#"{{"content":{{"parts":[{{"text":"a"}}]}},{settings}}}"#);
        let got = to(GEMINI, Protocol::VertexEmbeddings, &body).expect("a translation");
        let wanted = r#"{"instances":[{"content":"a","task_type":"RETRIEVAL_DOCUMENT","title":"t"}],"parameters":{"autoTruncate":false,"outputDimensionality":2}}"#;
        assert_eq!(got.body, wanted);
        assert_eq!(got.ignored.len(), 1);
        // Nobody else has titles.
        for provider in [Protocol::Cohere, Protocol::OpenAiEmbeddings, Protocol::Ollama] {
            let refused = to(GEMINI, provider, &body).expect_err("a refusal").to_string();
            assert!(refused.starts_with("`title`"), "{refused}");
        }
    }
    let asked = |purpose: &str| {
        format!(r#"{{"content":{{"parts":[{{"text":"a"}}]}},"taskType":"{purpose}"}}"#)
    };
    let got = to(GEMINI, Protocol::Cohere, &asked("RETRIEVAL_QUERY")).expect("a translation").body;
    assert!(got.contains(r#""input_type":"search_query""#), "{got}");
    let none = to(GEMINI, Protocol::OpenAiEmbeddings, &asked("TASK_TYPE_UNSPECIFIED"));
    assert!(none.expect("a translation").ignored.is_empty());
    for provider in [Protocol::OpenAiEmbeddings, Protocol::Ollama] {
        let refused = to(GEMINI, provider, &asked("RETRIEVAL_QUERY")).expect_err("a refusal");
        assert!(refused.to_string().starts_with("`taskType`"), "{refused}");
    }
}

#[test]
fn clients_of_cohere_s_ask_others() {
    let texts = r#"{"model":"x","texts":["a","b"],"input_type":"search_query","output_dimension":2,"embedding_types":["float","base64"],"truncate":"END","priority":1}"#;
    let inputs = r#"{"inputs":[{"content":[{"type":"text","text":"a"}]},{"content":[{"type":"text","text":"b"}]}],"input_type":"search_query","output_dimension":2,"truncate":"NONE","embedding_types":["base64"]}"#;
    let got = to(COHERE, Protocol::Gemini, texts).expect("a translation");
    assert!(got.body.contains(r#""taskType":"RETRIEVAL_QUERY","outputDimensionality":2"#));
    assert_eq!(got.form, Form::Both);
    assert_eq!(got.ignored, ["truncate", "priority"]);
    for (body, form) in [(texts, Form::Both), (inputs, Form::Bytes)] {
        // Each of its requests must say a purpose, which others have no place for.
        let got = to(COHERE, Protocol::OpenAiEmbeddings, body).expect("a translation");
        let wanted = r#"{"model":"m","input":["a","b"],"dimensions":2,"encoding_format":"float"}"#;
        assert_eq!((got.body.as_str(), got.form), (wanted, form));
        assert!(got.ignored.contains(&"input_type".to_owned()), "{:?}", got.ignored);
    }
    let plain = r#"{"texts":["a"],"input_type":"search_document"}"#;
    let titan = "amazon.titan-embed-text-v2:0";
    let got = to_model(COHERE, Protocol::BedrockInvoke, titan, plain).expect("a translation");
    assert_eq!((got.body.as_str(), got.form), (r#"{"inputText":"a"}"#, Form::Numbers));
}
