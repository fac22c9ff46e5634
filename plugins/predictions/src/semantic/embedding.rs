//! The vector of a text, from a model of embeddings behind an upstream.
//!
//! Where there is none in time, the request goes on without. After a failure nobody asks for a moment, so that a service
//! that hangs does not keep each request waiting.

use std::time::Duration;

use gateway_model_protocols::json::{Raw, Writer};
use gateway_plugin_sdk::{clock, http_client, key_value, log, metrics};
use gateway_similarity::Vector;

use super::spec::{Checked, EmbeddingApi};

/// How long nobody asks after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// Where it is noted that the last one who asked got no vector.
const PAUSED: &str = "semantic-pause";
/// Bounds of what is measured, in seconds.
const TIMES: [f64; 8] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// The vector of a text, if it came.
pub(super) fn vector(settings: &Checked, text: &str) -> Option<Vector> {
    if key_value::get(PAUSED).is_some() {
        return None;
    }
    let began = clock::monotonic();
    match ask(settings, text) {
        Ok(vector) => {
            let took = clock::monotonic().saturating_sub(began).as_secs_f64();
            metrics::histogram("prediction_cache_embedding_seconds", &TIMES).observe(took);
            Some(vector)
        }
        Err(why) => {
            let upstream = &settings.spec.upstream;
            log::warn!(
                "no vector from the upstream {upstream}: {why}; requests go on without for {} s",
                PAUSE.as_secs()
            );
            let _full = key_value::set(PAUSED, b"1", Some(PAUSE));
            None
        }
    }
}

fn ask(settings: &Checked, text: &str) -> Result<Vector, String> {
    let mut body = Writer::new();
    body.open('{');
    body.key("model").str(&settings.spec.model);
    body.key("input").str(text);
    body.close('}');
    let mut request = http_client::post(&settings.spec.upstream, &settings.path)
        .timeout(settings.timeout)
        .header("content-type", "application/json")
        .body(body.out);
    if let Some(authorization) = &settings.authorization {
        request = request.header("authorization", authorization.as_str());
    }
    let answer = request.send().map_err(|error| error.to_string())?;
    if !answer.is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    let root = Raw::parse(answer.body()).map_err(|_| "its answer is not JSON".to_owned())?;
    let numbers = match settings.spec.api {
        EmbeddingApi::Openai => root
            .some("data")
            .and_then(|all| all.elements().next())
            .and_then(|one| one.some("embedding")),
        EmbeddingApi::Ollama => root.some("embeddings").and_then(|all| all.elements().next()),
    };
    let numbers = numbers.filter(|it| it.is_array()).ok_or("its answer has no embedding")?;
    let numbers: Option<Vec<f32>> = numbers.elements().map(|it| it.text().parse().ok()).collect();
    numbers
        .and_then(|numbers| Vector::new(&numbers))
        .ok_or_else(|| "its embedding is not 8 to 4096 numbers that are not all 0".to_owned())
}
