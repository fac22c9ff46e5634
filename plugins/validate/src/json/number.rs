//! Numbers of any size, exactly.
//!
//! A number is its digits and a power of ten; it is never expanded, so that `1e999999999` costs no more than
//! `1`.

use std::cmp::Ordering;

/// A number in normal form: the digits neither begin nor end with a zero, and zero has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Number {
    is_negative: bool,
    digits: String,
    /// The power of ten that the digits, as a whole number, are multiplied by.
    exponent: i64,
}

impl Number {
    /// Reads a number as JSON writes it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, Some(power)),
            None => (rest, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let are_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !are_digits(whole) || has_leading_zero || fraction.is_some_and(|it| !are_digits(it)) {
            return None;
        }
        let power = power.map_or(Some(0), exponent)?;
        let fraction = fraction.unwrap_or_default();
        let exponent = power.saturating_sub(i64::try_from(fraction.len()).ok()?);
        Some(Self::normal(is_negative, &format!("{whole}{fraction}"), exponent))
    }

    fn normal(is_negative: bool, digits: &str, exponent: i64) -> Self {
        let digits = digits.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Self { is_negative: false, digits: String::new(), exponent: 0 };
        }
        let zeros = i64::try_from(digits.len() - significant.len()).unwrap_or(0);
        let exponent = exponent.saturating_add(zeros);
        Self { is_negative, digits: significant.to_owned(), exponent }
    }

    /// Whether it has no fraction: `1.0` has none either.
    pub(crate) fn is_whole(&self) -> bool {
        self.exponent >= 0
    }

    pub(crate) fn is_positive(&self) -> bool {
        !self.is_negative && !self.digits.is_empty()
    }

    /// The number as a size, if it is one.
    pub(crate) fn size(&self) -> Option<u64> {
        let power = u32::try_from(self.exponent).ok()?;
        if self.is_negative {
            return None;
        }
        let digits: u64 = if self.digits.is_empty() { 0 } else { self.digits.parse().ok()? };
        digits.checked_mul(10_u64.checked_pow(power)?)
    }

    /// The digits, if the number can divide others: at most 18 of them.
    pub(crate) fn is_divisor(&self) -> bool {
        self.is_positive() && self.digits.len() <= 18
    }

    /// Whether it is a whole multiple of a divisor.
    pub(crate) fn is_multiple_of(&self, divisor: &Self) -> bool {
        let modulus: u128 = match divisor.digits.parse() {
            Ok(modulus) if modulus > 0 => modulus,
            _ => return false,
        };
        if self.digits.is_empty() {
            return true;
        }
        // Digits do not end with a zero: they are no multiple of a power of ten.
        let Some(power) = self.exponent.checked_sub(divisor.exponent).filter(|it| *it >= 0) else {
            return false;
        };
        let digits = self.digits.bytes();
        let rest =
            digits.fold(0_u128, |rest, digit| (rest * 10 + u128::from(digit - b'0')) % modulus);
        (rest * power_of_ten(power.unsigned_abs(), modulus)).is_multiple_of(modulus)
    }

    /// How many digits stand before the point.
    fn magnitude(&self) -> i64 {
        self.exponent.saturating_add(i64::try_from(self.digits.len()).unwrap_or(i64::MAX))
    }

    fn compare_size(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        self.magnitude().cmp(&other.magnitude()).then_with(|| self.digits.cmp(&other.digits))
    }
}

/// 10 to this power, modulo a number below 10^18.
fn power_of_ten(mut power: u64, modulus: u128) -> u128 {
    let (mut result, mut base) = (1 % modulus, 10 % modulus);
    while power > 0 {
        if power & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        power >>= 1;
    }
    result
}

/// Reads a power. One that is larger than can be told apart is as large as can be told.
fn exponent(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let power = digits.trim_start_matches('0');
    let power = if power.is_empty() { 0 } else { power.parse().unwrap_or(i64::MAX / 4) };
    let power: i64 = power.min(i64::MAX / 4);
    Some(if is_negative { -power } else { power })
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.compare_size(other),
            (true, true) => other.compare_size(self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::normal(false, &number.to_string(), 0)
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.is_negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        match self.exponent {
            0 => write!(formatter, "{sign}{digits}"),
            zeros @ 1..=20 => {
                let zeros = "0".repeat(usize::try_from(zeros).unwrap_or_default());
                write!(formatter, "{sign}{digits}{zeros}")
            }
            fraction @ -20..=-1 => {
                let places = usize::try_from(-fraction).unwrap_or_default();
                let padded = format!("{digits:0>width$}", width = places + 1);
                let (whole, fraction) = padded.split_at(padded.len() - places);
                write!(formatter, "{sign}{whole}.{fraction}")
            }
            power => write!(formatter, "{sign}{digits}e{power}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn the_same_number_is_the_same_however_it_is_written() {
        for (left, right) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("0.5", "5E-1"),
            ("-0", "0"),
            ("0e9", "0.00"),
            ("12e-1", "1.20"),
        ] {
            assert_eq!(number(left), number(right), "{left} {right}");
        }
        assert!(number("1.0").is_whole() && number("1e3").is_whole() && !number("1.5").is_whole());
        assert_eq!(
            (number("10").size(), number("-1").size(), number("0").size()),
            (Some(10), None, Some(0))
        );
    }

    #[test]
    fn numbers_of_any_size_are_compared_exactly() {
        let sorted = [
            "-1e999999999999999999999",
            "-18446744073709551617",
            "-18446744073709551616",
            "-1.5",
            "-1",
            "-1e-400",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000000000000000001",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551616",
            "18446744073709551617",
            "1e400",
        ];
        for (index, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(number(left).cmp(&number(right)), index.cmp(&other), "{left} {right}");
            }
        }
    }

    #[test]
    fn multiples_are_exact() {
        for (left, right) in [
            ("0.3", "0.1"),
            ("4.35", "0.01"),
            ("1.1", "0.1"),
            ("0", "7"),
            ("1e400", "2"),
            ("-9", "3"),
            ("36893488147419103232", "18446744073709551"),
            ("1e999999999", "0.3"),
        ] {
            let is_multiple = number(left).is_multiple_of(&number(right));
            let expected =
                !matches!((left, right), ("36893488147419103232", _) | ("1e999999999", _));
            assert_eq!(is_multiple, expected, "{left} {right}");
        }
        assert!(!number("0.35").is_multiple_of(&number("0.1")));
        assert!(!number("9007199254740993").is_multiple_of(&number("2")));
        assert!(!number("123456789123456789").is_multiple_of(&number("1234567891234567890")));
    }

    #[test]
    fn numbers_are_written_so_that_people_can_read_them() {
        for (text, written) in
            [("1.50", "1.5"), ("-0.05", "-0.05"), ("1e3", "1000"), ("1e30", "1e30"), ("0", "0")]
        {
            assert_eq!(number(text).to_string(), written);
        }
    }
}
