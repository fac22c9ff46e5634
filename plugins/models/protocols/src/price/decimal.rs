//! Decimal numbers as whole ones.

/// The number times ten to the power of `scale`, half up. `None` if it is not a decimal number,
/// is below zero or is larger than any price.
pub(super) fn scaled(text: &str, scale: i32) -> Option<u128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let places = i64::from(exponent) + i64::from(scale) + whole.len() as i64;
    let mut value: u128 = 0;
    let mut rest = digits();
    for _ in 0..places.clamp(0, 100) {
        value =
            value.checked_mul(10)?.checked_add(u128::from(rest.next().unwrap_or(b'0') - b'0'))?;
    }
    if places > 100 && digits().any(|digit| digit != b'0') {
        return None;
    }
    let is_half = places >= 0 && rest.next().is_some_and(|digit| digit >= b'5');
    // A billion dollars a token is a mistake, and sums stay far from the end of the type.
    (value < 10_u128.pow(27)).then_some(value + u128::from(is_half))
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn decimal_numbers_of_every_form() {
        for (text, scale, expected) in [
            ("2.5", 12, Some(2_500_000_000_000)),
            ("3e-06", 18, Some(3_000_000_000_000)),
            ("1.25E-7", 18, Some(125_000_000_000)),
            ("0.00003", 18, Some(30_000_000_000_000)),
            ("1.5e+1", 0, Some(15)),
            ("0", 18, Some(0)),
            ("0e999", 18, Some(0)),
            (".5", 1, Some(5)),
            ("5.", 0, Some(5)),
            ("1.4", 0, Some(1)),
            ("1.5", 0, Some(2)),
            ("0.05", 1, Some(1)),
            ("0.04", 1, Some(0)),
            ("5e-19", 18, Some(1)),
            ("5e-20", 18, Some(0)),
            ("1e-400", 18, Some(0)),
            ("1e400", 18, None),
            ("", 0, None),
            (".", 0, None),
            ("-1", 0, None),
            ("1,5", 0, None),
            ("1e", 0, None),
            ("NaN", 0, None),
        ] {
            assert_eq!(scaled(text, scale), expected, "{text}");
        }
    }
}
