//! A provider of models that is none, and clients that ask it by OpenAI's API, for `benches/models`.
//!
//!     model-load serve IP:PORT --rate EVENTS_A_SECOND --events N
//!     model-load ask IP:PORT --seconds N --connections N
//!     model-load hold IP:PORT --seconds N --connections N
//!     model-load first IP:PORT --count N
//!
//! `serve` answers a chat completion whole, or as a stream of events each of which has the time at which it was due.
//! `ask` asks for whole answers, `hold` for one stream a connection, and `first` for one stream after the other, up to
//! its first event. `--path` and `--header NAME:VALUE` are for proxies that want some. Each prints one JSON object.

mod ask;
mod connection;
mod hold;
mod serve;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// What is asked for on the command line.
pub(crate) struct Arguments {
    address: SocketAddr,
    rate: f64,
    events: u64,
    time: Duration,
    connections: usize,
    count: usize,
    path: String,
    headers: Vec<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("model-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let of = |name: &str, default: &str| {
        let at = given.iter().position(|each| each == name);
        at.and_then(|at| given.get(at + 1)).map_or(default, String::as_str).to_owned()
    };
    let headers = given.windows(2).filter(|pair| pair[0] == "--header");
    let arguments = Arguments {
        address: given.get(1).ok_or("an address is missing")?.parse()?,
        rate: of("--rate", "50").parse()?,
        events: of("--events", "1000000000").parse()?,
        time: Duration::from_secs_f64(of("--seconds", "5").parse()?),
        connections: of("--connections", "32").parse()?,
        count: of("--count", "300").parse()?,
        path: of("--path", "/v1/chat/completions"),
        headers: headers.map(|pair| pair[1].clone()).collect(),
    };
    match given[0].as_str() {
        "serve" => serve::serve(&arguments),
        "ask" => ask::ask(&arguments),
        "first" => ask::first(&arguments),
        "hold" => hold::hold(&arguments),
        other => Err(format!("there is no {other:?}").into()),
    }
}

/// Nanoseconds of a clock that all processes of the machine share.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
}

/// A request for a chat completion of one message.
pub(crate) fn request(arguments: &Arguments, streams: bool) -> Vec<u8> {
    let body = format!(
        "{{\"model\":\"bench\",\"stream\":{streams},\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
        "Say how the weather will be. ".repeat(8).trim_end()
    );
    let headers: String = arguments.headers.iter().map(|it| format!("{it}\r\n")).collect();
    let (path, length) = (&arguments.path, body.len());
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         authorization: Bearer bench\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The value at this part of sorted ones.
pub(crate) fn quantile(sorted: &[u64], part: f64) -> f64 {
    if sorted.is_empty() {
        return 0.0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "it is an index of a list"
    )]
    let at = ((sorted.len() - 1) as f64 * part).round() as usize;
    #[expect(clippy::cast_precision_loss, reason = "times of a run are short")]
    let milliseconds = sorted[at] as f64 / 1e6;
    milliseconds
}
