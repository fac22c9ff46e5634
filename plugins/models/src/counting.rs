//! Counts of tokens that no deployment is asked for, and what responses say of their usage.
//!
//! Owns the form of both. Must not estimate: the library that reads requests does.

use gateway_model_protocols::json::Raw;
use gateway_model_protocols::request::{self, Request as Read};
use gateway_model_protocols::usage::Usage;
use gateway_model_protocols::{Action, Call as Asked, catalog};
use gateway_plugin_sdk::prelude::{Response, ResponseHead};

/// The gateway's own count for a request that asks for one, in the form of the client's API. `None` if it asks for
/// something else, or the API has no counts.
pub(crate) fn estimate(asked: &Asked<'_>, read: &Read, body: &[u8]) -> Option<Response> {
    if asked.action != Action::CountTokens {
        return None;
    }
    // Gemini's clients may wrap the request that is meant.
    let wrapped = Raw::unchecked(body).and_then(|root| root.some("generateContentRequest"));
    let tokens = match wrapped {
        Some(inner) => request::read(asked, inner.text().as_bytes()).ok()?.size.estimate(),
        None => read.size.estimate(),
    };
    let count = catalog::count(asked.protocol, tokens)?;
    let response = Response::new(200).header("content-type", "application/json");
    Some(response.header("x-model-count", "estimate").body(count))
}

/// Writes a usage into the head of its response. `cost` is in billionths of a US dollar.
pub(crate) fn write_usage(response: &mut ResponseHead, usage: &Usage, cost: Option<u64>) {
    response.set_header("x-model-input-tokens", usage.input.to_string());
    response.set_header("x-model-output-tokens", usage.output.to_string());
    if let Some(nanos) = cost {
        response.set_header("x-model-cost-usd", dollars(nanos));
    }
}

/// Billionths as a decimal number, without zeros at its end.
fn dollars(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::dollars;

    #[test]
    fn costs_are_decimal_numbers() {
        for (nanos, text) in
            [(0, "0"), (1, "0.000000001"), (27_500, "0.0000275"), (3_000_000_000, "3")]
        {
            assert_eq!(dollars(nanos), text);
        }
    }
}
