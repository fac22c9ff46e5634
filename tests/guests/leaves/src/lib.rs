//! Leaves things in the gateway as the request tells it to, for the tests of the bounds on that.
//! `x-context: BYTES` keeps a context of that size on the way in, and `x-chunk-context` with each chunk of the
//! response; `x-attributes: COUNT` sets as many of 1,000 bytes each, by `x-again` other ones of the same
//! names with each chunk; `x-fields: BYTES` notes fields of that size for the response. `x-hold` and
//! `x-hold-response: LIMIT` want the whole body, `x-grow: BYTES` puts one of that size in its place.
//! `x-answer: STATUS BYTES` answers, `x-say: LINES` logs, `x-fail: WORDS` panics. The response says
//! `x-left: BYTES` of context that came back, and `on-complete` logs how it ended.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

/// The plugin.
pub struct Leaves;

impl Plugin for Leaves {
    type Config = NoConfig;
    type Context = String;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::on_request().and_on_response().and_on_complete()
    }

    fn on_request(&self, request: &mut Request, context: &mut String) -> Outcome {
        let number = |request: &Request, name: &str| {
            request.header(name).and_then(|text| text.parse::<u64>().ok())
        };
        for line in 0..number(request, "x-say").unwrap_or_default() {
            log::info!("line {line} of many");
        }
        if let Some(words) = request.header("x-fail") {
            panic!("{words}");
        }
        if let Some((status, bytes)) = request.header("x-answer").and_then(|it| it.split_once(' '))
        {
            let status = status.parse().unwrap_or(200);
            return Outcome::respond(Response::new(status).body(sized(bytes.parse().ok(), 'a')));
        }
        if let Some(bytes) = number(request, "x-context") {
            *context = sized(Some(bytes), 'c');
        }
        for index in 0..number(request, "x-attributes").unwrap_or_default() {
            if request.set_attribute(format!("a{index}"), sized(Some(1_000), 'a')).is_err() {
                log::error!("no room for an attribute");
            }
        }
        let mut fields = number(request, "x-fields").unwrap_or_default();
        while fields > 0 {
            let size = fields.min(1_000);
            request.add_response_header("x-field", sized(Some(size), 'f'));
            fields -= size;
        }
        if let Some(limit) = number(request, "x-hold") {
            request.want_request_body(BodyMode::Buffered(limit));
        }
        if let Some(limit) = number(request, "x-hold-response") {
            request.want_response_body(BodyMode::Buffered(limit));
        }
        if number(request, "x-chunk-context").or(number(request, "x-again")).is_some() {
            request.want_response_body(BodyMode::Chunks);
        }
        Outcome::Next
    }

    fn on_request_body(&self, request: &mut Request, body: &mut Body, _: &mut String) -> Outcome {
        if let Some(bytes) = request.header("x-grow").and_then(|text| text.parse().ok()) {
            body.set(sized(Some(bytes), 'g'));
        }
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, context: &mut String) -> Outcome {
        response.set_header("x-left", context.len().to_string());
        Outcome::Next
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, context: &mut String) -> ChunkOutcome {
        let told = |name: &str| {
            let text = gateway_plugin_sdk::exchange::request().header(name);
            text.and_then(|text| text.parse::<u64>().ok())
        };
        if let Some(bytes) = told("x-chunk-context") {
            *context = sized(Some(bytes), 'd');
        }
        for index in 0..told("x-again").unwrap_or_default() {
            let value = sized(Some(1_000), 'b');
            if gateway_plugin_sdk::attributes::set(&format!("a{index}"), &value).is_err() {
                chunk.replace("no room for an attribute");
            }
        }
        ChunkOutcome::Next
    }

    fn on_complete(&self, summary: &Summary, _: &String) {
        log::info!("ended {:?}", summary.ending);
    }
}

fn sized(bytes: Option<u64>, letter: char) -> String {
    String::from(letter).repeat(bytes.unwrap_or_default() as usize)
}

register_plugin!(Leaves);
