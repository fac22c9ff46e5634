//! What the hooks of a plugin do to have the texts of requests and answers checked, whichever API the client speaks.
//!
//! Owns how bodies are asked for, and the form of refusals. Must not look at texts.

use gateway_model_protocols::error::{self, Class, Refusal};
use gateway_model_protocols::framing::Framing;
use gateway_model_protocols::{Action, Call, Protocol};
use gateway_plugin_sdk::attributes;
use gateway_plugin_sdk::prelude::*;

use crate::body::{self, Checked};
use crate::ending;
use crate::stream::Stream;
use crate::text::Check;

/// The longest request and the longest answer that are read, in bytes.
const MAX_BODY: u64 = 16 << 20;

/// A call of a model, between the hooks of its exchange. The context of a plugin, or a part of it.
///
/// Each method is called by the hook of its name, and its outcome is the hook's. Requests that are no calls of a model
/// pass as they are. A request that is not JSON is refused, and one that is longer than 16 MiB. The plugin stands before
/// the plugin `models`, so that requests and answers have the API of the client.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Conversation {
    protocol: Option<u8>,
    stream: Option<Stream>,
}

impl Conversation {
    /// What a plugin with these hooks wants to see.
    #[must_use]
    pub fn interest() -> Interest {
        Interest::on_request()
            .method()
            .path()
            .attribute("request.has-body")
            .and_on_response()
            .response_header("content-type")
            .response_header("content-encoding")
    }

    /// The API that the client speaks; `None` if the request is no call of a model.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol.map(|index| Protocol::ALL[usize::from(index)])
    }

    /// For `on_request`: asks for the body of a call.
    pub fn on_request(&mut self, request: &mut Request) -> Outcome {
        let call = Call::of_path(request.path()).filter(|_| request.method() == "POST");
        let Some(protocol) = call.filter(|it| it.action == Action::Generate).map(|it| it.protocol)
        else {
            return Outcome::Next;
        };
        if request.attribute("request.has-body") != Some("true")
            || protocol == Protocol::BedrockConverse
        {
            return Outcome::Next;
        }
        let index = Protocol::ALL.iter().position(|it| *it == protocol);
        self.protocol = index.and_then(|index| u8::try_from(index).ok());
        // Nothing is unpacked here.
        request.set_header("accept-encoding", "identity");
        request.want_request_body(BodyMode::Buffered(MAX_BODY));
        Outcome::Next
    }

    /// For `on_request_body`: checks the texts of the request. What the check stops is refused with 400.
    pub fn on_request_body(&mut self, body: &mut Body, check: &mut impl Check) -> Outcome {
        let Some(protocol) = self.protocol() else { return Outcome::Next };
        match body::check(body.bytes(), check) {
            Ok(Checked::Same) => {}
            Ok(Checked::Changed(changed)) => body.set(changed),
            Ok(Checked::Stopped(message)) => {
                return Outcome::respond(refuse(Some(protocol), 400, "content_filter", &message));
            }
            Err(fault) => {
                let message = format!("The body is {fault}.");
                return Outcome::respond(refuse(Some(protocol), 400, "invalid_json", &message));
            }
        }
        Outcome::Next
    }

    /// For `on_response`: asks for the body of an answer, event by event if it is a stream.
    pub fn on_response(&mut self, response: &mut ResponseHead) -> Outcome {
        let Some(protocol) = self.protocol() else { return Outcome::Next };
        let kind = response.header("content-type").unwrap_or_default();
        if response.header("content-encoding").is_some_and(|it| it != "identity") {
            let message = "The answer is compressed, although nobody asked for that.";
            return Outcome::respond(refuse(Some(protocol), 502, "unreadable", message));
        }
        if let Some(framing) = Framing::of_content_type(kind) {
            self.stream = Stream::new(protocol, framing);
            response.want_body(BodyMode::Chunks);
        } else if is_json(kind) {
            response.want_body(BodyMode::Buffered(MAX_BODY));
        }
        Outcome::Next
    }

    /// For `on_response_body`: checks the texts of a whole answer. What the check stops becomes the API's own answer for
    /// filtered content.
    pub fn on_response_body(&mut self, body: &mut Body, check: &mut impl Check) -> Outcome {
        let Some(protocol) = self.protocol() else { return Outcome::Next };
        match body::check(body.bytes(), check) {
            Ok(Checked::Changed(changed)) => body.set(changed),
            Ok(Checked::Stopped(message)) => {
                match ending::of_body(protocol, body.bytes(), &message) {
                    Some(answer) => body.set(answer),
                    None => {
                        return Outcome::respond(refuse(
                            Some(protocol),
                            400,
                            "content_filter",
                            &message,
                        ));
                    }
                }
            }
            Ok(Checked::Same) | Err(_) => {}
        }
        Outcome::Next
    }

    /// For `on_response_chunk`: checks the texts of a stream as they come. What the check stops ends with the API's own
    /// ending for filtered content.
    pub fn on_response_chunk(&mut self, chunk: &mut Chunk, check: &mut impl Check) -> ChunkOutcome {
        let Some(stream) = &mut self.stream else { return ChunkOutcome::Next };
        let mut out = Vec::with_capacity(chunk.data().len());
        if let Err(unreadable) = stream.chunk(chunk.data(), chunk.is_last(), check, &mut out) {
            return ChunkOutcome::Abort(unreadable.why.to_string());
        }
        if out != chunk.data() {
            chunk.replace(out);
        }
        ChunkOutcome::Next
    }
}

/// Whether a content type is JSON.
pub(crate) fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

/// A refusal in the form of an API, which is what its official client shows; a problem document where there is none.
#[must_use]
pub fn refuse(protocol: Option<Protocol>, status: u16, code: &str, message: &str) -> Response {
    let Some(protocol) = protocol else {
        return Response::problem(status, "Content Refused", message).extension("code", &code);
    };
    let class = match status {
        400..500 if code == "content_filter" => Class::ContentFiltered,
        400..500 => Class::Invalid,
        _ => Class::Server,
    };
    let id = attributes::value("request.id");
    let request_id = id.as_deref();
    let body =
        error::body(protocol, &Refusal { status, class, code, message, param: None, request_id });
    let response = Response::new(status).header("content-type", "application/json");
    response.because(message).body(body)
}
