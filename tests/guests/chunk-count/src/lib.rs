//! Counts the bytes of bodies chunk by chunk in both directions, keeping the sums in its context,
//! for the tests that bodies stream, that a context lives from chunk to chunk, and that exchanges
//! do not mix theirs. With `trailer = true` (default) the last chunk of a request gets `[request N
//! bytes]` appended and that of a response `[response N bytes]`, where N is what came before any
//! change. With `replace = { from = "A", to = "B" }` each A within one chunk becomes B. With
//! `stop = "TEXT"` a body is cut off with the chunk that holds it, and a request whose field `x-stop`
//! has it is answered 403, as if it had had one chunk of 403 bytes. With `alike = { before = "A", after = "B", bytes = N }` chunks
//! of responses that are A, a text and B pass without a call behind the first. On completion it logs `chunks: REQUEST_CHUNKS REQUEST_BYTES RESPONSE_CHUNKS RESPONSE_BYTES` at
//! `info`.

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{chunks, log};

/// The plugin, configured.
pub struct ChunkCount(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether the sums are appended.
    #[serde(default = "yes")]
    trailer: bool,
    /// What is replaced by what.
    #[serde(default)]
    replace: Option<Replace>,
    /// What ends an exchange.
    #[serde(default)]
    stop: Option<String>,
    /// Chunks of responses that pass without a call, once there was one of them.
    #[serde(default)]
    alike: Option<Alike>,
}

/// What is before and behind a text, and how much of that passes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alike {
    before: String,
    after: String,
    bytes: u32,
}

/// What is replaced by what.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// What is looked for.
    from: String,
    /// What goes in its place.
    to: String,
}

/// What was seen so far.
#[derive(Default, Serialize, Deserialize)]
pub struct Sums {
    request: Sum,
    response: Sum,
}

/// What was seen so far in one direction.
#[derive(Default, Serialize, Deserialize)]
struct Sum {
    chunks: u64,
    bytes: u64,
}

impl Plugin for ChunkCount {
    type Config = Config;
    type Context = Sums;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        match &config.replace {
            Some(replace) if replace.from.is_empty() => {
                Err(ConfigError::at("/replace/from", "nothing cannot be replaced"))
            }
            _ => Ok(Self(config)),
        }
    }

    fn interest(&self) -> Interest {
        let interest = match &self.0.stop {
            Some(_) => Interest::on_request().header("x-stop").and_on_complete(),
            None => Interest::on_complete(),
        };
        interest.request_body(BodyMode::Chunks).response_body(BodyMode::Chunks)
    }

    fn on_request(&self, request: &mut Request, sums: &mut Sums) -> Outcome {
        if request.header("x-stop") != self.0.stop.as_deref() {
            return Outcome::Next;
        }
        sums.request = Sum { chunks: 1, bytes: 403 };
        Outcome::respond(Response::new(403))
    }

    fn on_request_chunk(&self, chunk: &mut Chunk, sums: &mut Sums) -> ChunkOutcome {
        self.pass(chunk, &mut sums.request, "request")
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, sums: &mut Sums) -> ChunkOutcome {
        if let Some(Alike { before, after, bytes }) = &self.0.alike
            && chunk.data().starts_with(before.as_bytes())
            && chunk.data().ends_with(after.as_bytes())
            && chunks::pass_alike(&[before.as_bytes(), after.as_bytes()], 0, *bytes).is_err()
        {
            return ChunkOutcome::Abort("these are no pieces".to_owned());
        }
        self.pass(chunk, &mut sums.response, "response")
    }

    fn on_complete(&self, _: &Summary, Sums { request, response }: &Sums) {
        log::info!(
            "chunks: {} {} {} {}",
            request.chunks,
            request.bytes,
            response.chunks,
            response.bytes
        );
        if self.0.alike.is_some() {
            log::info!("passed: {}", chunks::passed());
        }
    }
}

impl ChunkCount {
    fn pass(&self, chunk: &mut Chunk, sum: &mut Sum, direction: &str) -> ChunkOutcome {
        sum.chunks += 1;
        sum.bytes += chunk.data().len() as u64;
        if let Some(stop) = &self.0.stop
            && String::from_utf8_lossy(chunk.data()).contains(stop)
        {
            return ChunkOutcome::Abort("it holds what stops it".to_owned());
        }
        if let Some(Replace { from, to }) = &self.0.replace {
            let data = replace(chunk.data(), from.as_bytes(), to.as_bytes());
            chunk.replace(data);
        }
        if self.0.trailer && chunk.is_last() {
            let mut data = chunk.data().to_vec();
            data.extend_from_slice(format!("[{direction} {} bytes]", sum.bytes).as_bytes());
            chunk.replace(data);
        }
        ChunkOutcome::Next
    }
}

fn replace(data: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

fn yes() -> bool {
    true
}

register_plugin!(ChunkCount);
