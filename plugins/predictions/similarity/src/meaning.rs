//! What the words of a text say: numbers, units, dates, negations, what is asked for, and what is left when these are gone.

use crate::lists::{
    ASKING, DATES, DENIALS, DIRECTIONS, EMPTY, MEASURES, NUMBERS, SHORT_UNITS, UNITS, class, is_in,
};
use crate::words::{Text, Word, stem};

/// A preposition that says which way, its row, and the word that it stands before.
pub(crate) type Way = (&'static str, &'static str, String);

/// What the words of a text say.
#[derive(Debug, Default)]
pub(crate) struct Meaning {
    pub(crate) numbers: Vec<String>,
    /// Each once, in order.
    pub(crate) units: Vec<&'static str>,
    /// In the order of the alphabet.
    pub(crate) dates: Vec<&'static str>,
    pub(crate) denials: Vec<&'static str>,
    pub(crate) stems: Vec<String>,
    pub(crate) asks: Option<String>,
    /// Which way it goes with a word.
    pub(crate) ways: Vec<Way>,
    /// Stems of the words with a meaning.
    pub(crate) content: Vec<String>,
}

impl Meaning {
    pub(crate) fn of(text: &Text) -> Self {
        let mut it = Self::default();
        let mut way = None;
        for (at, word) in text.words.iter().enumerate() {
            let lower = word.lower.as_str();
            let before = at.checked_sub(1).map(|at| &text.words[at]);
            it.stems.push(stem(lower));
            if word.has_digit() {
                let (number, unit) = number(lower);
                it.numbers.push(number);
                it.unit(unit);
                continue;
            }
            if let Some(number) = class_of_number(lower) {
                it.numbers.push(number.to_owned());
                continue;
            }
            let behind_number = before.is_some_and(Word::has_digit);
            let short = class(SHORT_UNITS, lower).filter(|_| behind_number);
            if let Some(unit) = class(UNITS, lower).or(short) {
                it.unit(Some(unit));
                continue;
            }
            let is_month = is_in("may mar", lower) && word.is_capital() && !word.begins;
            // These are dates with a unit of time alone.
            let next = text.words.get(at + 1).map_or("", |word| word.lower.as_str());
            let is_of_time = class(UNITS, next).is_some() || class(DATES, next).is_some();
            let is_relative = is_in(
                "last next this previous past coming upcoming following current every each per",
                lower,
            );
            let date = class(DATES, lower).or_else(|| (lower == "this").then_some("this"));
            if let Some(date) = date.filter(|_| is_of_time || !is_relative) {
                it.dates.push(date);
                continue;
            }
            if is_month {
                it.dates.push("may");
                continue;
            }
            if let Some(denial) = class(DENIALS, lower) {
                it.denials.push(denial);
                continue;
            }
            if lower.ends_with("n't") {
                it.denials.push("not");
                continue;
            }
            if it.asks.is_none()
                && let Some(asks) = class(ASKING, lower.trim_end_matches("'s"))
            {
                it.asks = Some(match asks {
                    "how" if is_in(MEASURES, next) => format!("how {next}"),
                    asks => asks.to_owned(),
                });
            }
            if let Some((name, row)) = DIRECTIONS.iter().find(|(name, _)| *name == lower) {
                way = Some((*name, *row));
                continue;
            }
            if is_in(EMPTY, lower) {
                continue;
            }
            let stem = stem(lower);
            if let Some((name, row)) = way.take() {
                it.ways.push((name, row, stem.clone()));
            }
            it.content.push(stem);
        }
        // One that stands alone says something by itself.
        it.content.extend(way.map(|(name, _)| name.to_owned()));
        it.dates.sort_unstable();
        it.denials.sort_unstable();
        it
    }

    /// What is asked for, but where it is asked how: that is what is asked where nothing is said of it.
    pub(crate) fn asks_strictly(&self) -> Option<&str> {
        self.asks.as_deref().filter(|asks| *asks != "how")
    }

    fn unit(&mut self, unit: Option<&'static str>) {
        if let Some(unit) = unit.filter(|unit| !self.units.contains(unit)) {
            self.units.push(unit);
        }
    }
}

fn class_of_number(word: &str) -> Option<&'static str> {
    NUMBERS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}

/// A number in one form, and the unit that is written with it.
fn number(word: &str) -> (String, Option<&'static str>) {
    let word = word.trim_start_matches('+');
    let sign = |it: char| matches!(it, '$' | '€' | '£' | '¥');
    let prefix = word.chars().next().filter(|it| sign(*it)).map(String::from);
    let rest = word.trim_start_matches(sign);
    let end =
        rest.find(|it: char| it.is_alphabetic() || matches!(it, '%' | '°' | '$' | '€' | '£' | '¥'));
    let (digits, suffix) = rest.split_at(end.unwrap_or(rest.len()));
    let of = |unit: &str| class(UNITS, unit).or_else(|| class(SHORT_UNITS, unit));
    let unit = prefix.as_deref().and_then(of).or_else(|| of(suffix));
    let is_plain = !digits.is_empty() && (suffix.is_empty() || unit.is_some());
    let is_ordinal = is_in("st nd rd th", suffix);
    if !is_plain && !is_ordinal {
        return (word.to_owned(), None);
    }
    // Thousands are parted by commas, and zeros behind a point are none.
    let mut digits = digits.replace(',', "");
    if digits.contains('.') && digits.matches('.').count() == 1 {
        digits = digits.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    if is_ordinal {
        digits.push('.');
    }
    (digits, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(number("1,000.50"), ("1000.5".to_owned(), None));
        assert_eq!(number("$5"), ("5".to_owned(), Some("usd")));
        assert_eq!(number("5km"), ("5".to_owned(), Some("km")));
        assert_eq!(number("3rd"), ("3.".to_owned(), None));
        assert_eq!(number("gpt-4"), ("gpt-4".to_owned(), None));
    }
}
