//! How JavaScript makes texts, numbers and truth of JSON values: JsonLogic was made there.

use serde_json::Value;

use super::Failure;

/// Whether it counts as true. Other than in JavaScript itself, an empty list or object does not.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_true) => *is_true,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// Its text: what `String(value)` is.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(is_true) => is_true.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(number) => text_of_number(number),
            None => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let texts =
                items.iter().map(|item| if item.is_null() { String::new() } else { text(item) });
            texts.collect::<Vec<_>>().join(",")
        }
        Value::Object(_) => "[object Object]".to_owned(),
    }
}

/// ECMA-262 section 6.1.6.1.20.
fn text_of_number(number: f64) -> String {
    let magnitude = number.abs();
    if number == 0.0 {
        return "0".to_owned();
    }
    if (1e-6..1e21).contains(&magnitude) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

/// What `+value` is; it may be no number.
pub(super) fn number(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::Bool(is_true) => f64::from(u8::from(*is_true)),
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::String(text) => number_of_text(text),
        Value::Array(_) => number_of_text(&text(value)),
        Value::Object(_) => f64::NAN,
    }
}

fn number_of_text(text: &str) -> f64 {
    let text = text.trim();
    let based =
        |digits: &str, base| u64::from_str_radix(digits, base).map_or(f64::NAN, |it| it as f64);
    match text.as_bytes() {
        [] => 0.0,
        [b'0', b'x' | b'X', ..] => based(&text[2..], 16),
        [b'0', b'o' | b'O', ..] => based(&text[2..], 8),
        [b'0', b'b' | b'B', ..] => based(&text[2..], 2),
        bytes if bytes.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => match text {
            "Infinity" | "+Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => f64::NAN,
        },
    }
}

/// As an operand of arithmetic.
pub(super) fn operand(value: &Value) -> Result<f64, Failure> {
    let number = match value {
        Value::Array(_) | Value::Object(_) => f64::NAN,
        other => number(other),
    };
    if number.is_nan() { Err(Failure::NotANumber) } else { Ok(number) }
}

/// A number as a value: a whole one without a fraction.
pub(super) fn value(number: f64) -> Result<Value, Failure> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Ok(Value::from(number as i64));
    }
    serde_json::Number::from_f64(number).map(Value::Number).ok_or(Failure::NotANumber)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{number, text};

    #[test]
    fn numbers_are_written_and_read_as_javascript_does() {
        for (value, written) in [
            (json!(1.0), "1"),
            (json!(-0.5), "-0.5"),
            (json!(1e21), "1e+21"),
            (json!(1e-7), "1e-7"),
            (json!(123456789012345680000.0), "123456789012345680000"),
            (json!(0.000001), "0.000001"),
            (json!(-0.0), "0"),
            (json!([1, null, "a", [2]]), "1,,a,2"),
            (json!({}), "[object Object]"),
            (json!(1.5e300), "1.5e+300"),
        ] {
            assert_eq!(text(&value), written);
        }
        for (value, read) in [
            (json!(" 12 "), 12.0),
            (json!(""), 0.0),
            (json!("0x1F"), 31.0),
            (json!("1e3"), 1000.0),
            (json!(".5"), 0.5),
            (json!([]), 0.0),
            (json!(["7"]), 7.0),
            (json!(true), 1.0),
            (json!(null), 0.0),
            (json!("-Infinity"), f64::NEG_INFINITY),
        ] {
            assert_eq!(number(&value), read, "{value}");
        }
        for value in
            [json!("inf"), json!("nan"), json!("1_000"), json!("12px"), json!({}), json!([1, 2])]
        {
            assert!(number(&value).is_nan(), "{value}");
        }
    }
}
