//! Costs are what a bill says, to the last digit.

use super::{Cost, Row, of_own, public_rows};
use crate::usage::{Tier, Usage};

const TABLE: &str = r#"{
  "sample_spec": {"input_cost_per_token": 0.0, "max_tokens": "a text"},
  "gpt": {"input_cost_per_token": 1.25e-06, "output_cost_per_token": 0.00001,
    "cache_read_input_token_cost": 1.25e-07, "input_cost_per_token_priority": 2.5e-06,
    "output_cost_per_token_priority": 2e-05, "input_cost_per_token_flex": 6.25e-07,
    "input_cost_per_token_batches": 6.25e-07, "output_cost_per_token_batches": 5e-06,
    "input_cost_per_token_above_272k_tokens": 2.5e-06,
    "input_cost_per_token_above_272k_tokens_priority": 5e-06,
    "max_input_tokens": 400000, "max_output_tokens": 128000, "mode": "chat"},
  "claude": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
    "cache_creation_input_token_cost": 3.75e-06,
    "cache_creation_input_token_cost_above_1hr": 6e-06,
    "cache_read_input_token_cost": 3e-07,
    "input_cost_per_token_above_200k_tokens": 6e-06,
    "output_cost_per_token_above_200k_tokens": 2.25e-05,
    "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
    "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01}},
  "speech": {"input_cost_per_second": 0.0001, "output_cost_per_token": null,
    "input_cost_per_pixel": 1e-08}
}"#;

fn row(name: &str) -> Row {
    let mut rows = public_rows(TABLE.as_bytes()).expect("JSON");
    rows.find(|row| row.name == name).expect("a model of the table").row
}

fn dollars(row: &Row, usage: Usage) -> String {
    row.cost(&usage).to_string()
}

#[test]
fn tokens_are_paid_for_once_each() {
    let gpt = row("gpt");
    let usage =
        Usage { input: 1000, output: 100, cached_input: 400, reasoning: 60, ..Usage::default() };
    // 600 * 1.25 + 400 * 0.125 + 100 * 10, in millionths of a dollar.
    assert_eq!(dollars(&gpt, usage), "0.0018");
    let claude = row("claude");
    let usage = Usage {
        input: 1_000,
        output: 7,
        cached_input: 500,
        cache_write: 100,
        cache_write_1h: 50,
        searches: 2,
        ..Usage::default()
    };
    // 350 * 3 + 500 * 0.3 + 100 * 3.75 + 50 * 6 + 7 * 15, and two searches of a cent.
    assert_eq!(dollars(&claude, usage), "0.02198");
}

#[test]
fn seconds_of_audio_are_paid_for_where_they_are_counted() {
    let usage = Usage { audio_seconds: 90, ..Usage::default() };
    assert_eq!(dollars(&row("speech"), usage), "0.009");
    let own = of_own(br#"{"audio_second": "100"}"#).expect("a price");
    assert_eq!(dollars(&own, usage), "0.009");
    assert_eq!(dollars(&row("gpt"), usage), "0");
}

#[test]
fn above_a_threshold_the_whole_request_is_dearer() {
    let claude = row("claude");
    let at = |input| Usage { input, output: 1, ..Usage::default() };
    assert_eq!(dollars(&claude, at(200_000)), "0.600015");
    assert_eq!(dollars(&claude, at(200_001)), "1.2000285");
    let hour = Usage { input: 300_000, cache_write_1h: 300_000, ..Usage::default() };
    assert_eq!(dollars(&claude, hour), "3.6");
}

#[test]
fn tiers_have_their_prices_or_those_of_the_standard() {
    let gpt = row("gpt");
    let of = |tier, input| dollars(&gpt, Usage { input, output: 1, tier, ..Usage::default() });
    assert_eq!(of(Tier::Priority, 1000), "0.00252");
    assert_eq!(of(Tier::Batch, 1000), "0.00063");
    assert_eq!(of(Tier::Flex, 1000), "0.000635");
    assert_eq!(of(Tier::Priority, 272_001), "1.360025");
}

#[test]
fn the_table_says_what_is_not_priced_here() {
    let rows: Vec<_> = public_rows(TABLE.as_bytes()).expect("JSON").collect();
    assert_eq!(rows.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["gpt", "claude", "speech"]);
    assert_eq!((rows[0].max_input, rows[0].max_output), (Some(400_000), Some(128_000)));
    assert!(rows[0].unknown.is_empty() && rows[1].unknown.is_empty());
    assert_eq!(rows[2].unknown, ["input_cost_per_pixel"]);
    assert!(!rows[2].row.is_empty());
    assert!(public_rows(b"{").is_err());
}

#[test]
fn the_own_form_gives_the_same_costs() {
    let own = of_own(
        br#"{"input":"1.25","output":10,"cache_read":"0.125","batch":{"input":"0.625","output":"5"},
        "priority":{"input":"2.5","output":"20"},"flex":{"input":"0.625"},
        "above":[{"tokens":272000,"input":"2.5","priority":{"input":"5"}}]}"#,
    )
    .expect("prices");
    for tier in [Tier::Standard, Tier::Batch, Tier::Flex, Tier::Priority] {
        for input in [0, 1, 272_000, 272_001] {
            let usage =
                Usage { input, output: 33, cached_input: input / 3, tier, ..Usage::default() };
            assert_eq!(own.cost(&usage), row("gpt").cost(&usage));
        }
    }
    let fault = |json: &str| of_own(json.as_bytes()).expect_err("a fault").to_string();
    assert_eq!(fault(r#"{"inptu":"1"}"#), "`inptu` is not a known price");
    assert_eq!(
        fault(r#"{"batch":{"input":"-1"}}"#),
        "`batch.input` is not a decimal number of dollars for a million tokens"
    );
    assert_eq!(
        fault(r#"{"above":[{"input":"1"}]}"#),
        "`above.0` has no `tokens`, the number of input tokens above which it holds"
    );
    assert_eq!(fault(r#"{"batch":{"flex":{}}}"#), "`batch.flex` is not a known price");
}

#[test]
fn audio_and_images_have_prices_or_those_of_text() {
    let usage = Usage {
        input: 100,
        output: 50,
        audio_input: 10,
        image_input: 20,
        audio_output: 5,
        image_output: 15,
        ..Usage::default()
    };
    let plain = of_own(br#"{"input":"1","output":"2"}"#).expect("prices");
    assert_eq!(plain.cost(&usage), Cost(200_000_000));
    let own =
        br#"{"input":"1","output":"2","audio_input":"100","image_output":"1000","search":"5"}"#;
    let priced = of_own(own).expect("prices");
    // 10 * 100 + 90 * 1 + 15 * 1000 + 35 * 2, in millionths of a dollar.
    assert_eq!(priced.cost(&usage), Cost(16_160_000_000));
}

#[test]
fn amounts_are_written_and_read_without_loss() {
    for text in ["0", "1", "0.000000000001", "12.5", "18446744.073709551615"] {
        assert_eq!(Cost::of_dollars(text).expect("an amount").to_string(), text);
    }
    assert_eq!(Cost::of_dollars("18446745"), None);
    assert_eq!((Cost(1499).nanodollars(), Cost(1500).nanodollars()), (1, 2));
    let all = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
    assert_eq!(row("claude").cost(&all), Cost(u64::MAX));
}
