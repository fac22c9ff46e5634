//! Whether two texts ask the same, as far as single words say it: what vectors of texts do not see.
//!
//! A model of embeddings puts `flights from Rome to Oslo on 3 May` beside `flights from Oslo to Rome on 5 May`. So the
//! texts have to agree in what is quoted and code, numbers and units, dates, names, negations and words with an opposite, in what
//! is asked for, and in the order of what they have in common. And where they are the same but for one place, that place is what
//! matters, whatever stands there. It rather takes two questions that are the same for different ones than the other way around.

use crate::lists::{BEGINNINGS, DATES, DENIALS, EMPTY, OPPOSITES, UNITS, class, is_in};
use crate::meaning::{Meaning, Way};
use crate::words::{Text, Word, stem};

/// In what two texts do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disagreement {
    /// They have letters of a script in which names have no capital letters: nothing is known of them.
    Script,
    /// What is quoted, or is code.
    Quotes,
    /// Numbers, or their units.
    Numbers,
    /// Units.
    Units,
    /// Dates and times.
    Dates,
    /// Names, or their order.
    Names,
    /// Negations.
    Negations,
    /// Words of which one is the opposite of the other.
    Opposites,
    /// What is asked for: who, when, where, why, how much.
    Asking,
    /// The order of the same words.
    Order,
    /// They are the same but for one place.
    Place,
}

impl Disagreement {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Disagreement::Script => "script",
            Disagreement::Quotes => "quotes",
            Disagreement::Numbers => "numbers",
            Disagreement::Units => "units",
            Disagreement::Dates => "dates",
            Disagreement::Names => "names",
            Disagreement::Negations => "negations",
            Disagreement::Opposites => "opposites",
            Disagreement::Asking => "asking",
            Disagreement::Order => "order",
            Disagreement::Place => "place",
        }
    }
}

/// Whether two texts agree.
///
/// # Errors
/// In what they do not, first.
pub fn agree(one: &str, other: &str) -> Result<(), Disagreement> {
    let (one, other) = (Text::of(one), Text::of(other));
    let check = |is_same: bool, what: Disagreement| if is_same { Ok(()) } else { Err(what) };
    check(!one.has_other_script && !other.has_other_script, Disagreement::Script)?;
    check(one.exact == other.exact, Disagreement::Quotes)?;
    let (a, b) = (Meaning::of(&one), Meaning::of(&other));
    check(a.numbers == b.numbers, Disagreement::Numbers)?;
    check(a.units == b.units, Disagreement::Units)?;
    check(a.dates == b.dates, Disagreement::Dates)?;
    check(has_the_names_of(&one, &other), Disagreement::Names)?;
    check(a.denials == b.denials, Disagreement::Negations)?;
    check(!are_opposed(&a.stems, &b.stems), Disagreement::Opposites)?;
    check(a.asks == b.asks || a.asks.is_none() || b.asks.is_none(), Disagreement::Asking)?;
    check(!go_other_ways(&a.ways, &b.ways), Disagreement::Order)?;
    // Names agree by now, and say nothing of what is asked about them.
    let known: Vec<_> =
        names(&one).into_iter().chain(names(&other)).map(|name| stem(&name)).collect();
    let without = |words: &[String]| -> Vec<String> {
        words.iter().filter(|word| !known.contains(word)).cloned().collect()
    };
    let (of_one, of_other) = (without(&a.content), without(&b.content));
    // With nothing else that tells them apart, `where` is a word that does.
    check(of_one != of_other || a.asks_strictly() == b.asks_strictly(), Disagreement::Asking)?;
    order_and_place(&of_one, &of_other)
}

/// Whether each text has the names of the other, in one order.
fn has_the_names_of(one: &Text, other: &Text) -> bool {
    let has =
        |text: &Text, name: &str| text.words.iter().any(|word| is_name_form(&word.lower, name));
    let (of_one, of_other) = (names(one), names(other));
    if !of_one.iter().all(|name| has(other, name)) || !of_other.iter().all(|name| has(one, name)) {
        return false;
    }
    // As they stand first.
    let order = |text: &Text| {
        let mut seen: Vec<String> = Vec::new();
        for word in &text.words {
            let mut all = of_one.iter().chain(&of_other);
            if let Some(name) = all.find(|name| is_name_form(&word.lower, name))
                && !seen.contains(name)
            {
                seen.push(name.clone());
            }
        }
        seen
    };
    order(one) == order(other)
}

/// The names in a text, in lower case.
fn names(text: &Text) -> Vec<String> {
    text.words.iter().filter(|word| is_name(word, text)).map(|word| word.lower.clone()).collect()
}

fn is_name_form(word: &str, name: &str) -> bool {
    word == name || word.strip_suffix('s') == Some(name) || name.strip_suffix('s') == Some(word)
}

fn is_name(word: &Word, text: &Text) -> bool {
    if word.has_digit() || text.has_no_case {
        return false;
    }
    if word.has_inner_capital() {
        return true;
    }
    let is_none = is_in("i i'm i'd i'll i've", &word.lower)
        || class(DATES, &word.lower).is_some()
        || class(UNITS, &word.lower).is_some();
    let may_begin = word.begins
        && (is_stem_in(BEGINNINGS, &word.lower)
            || is_in(EMPTY, &word.lower)
            || class(DENIALS, &word.lower).is_some());
    word.is_capital() && !is_none && !may_begin
}

fn is_stem_in(list: &str, word: &str) -> bool {
    let own = stem(word);
    list.split_ascii_whitespace().any(|other| other == word || stem(other) == own)
}

/// Whether one has another of a row of opposites than the other.
fn are_opposed(one: &[String], other: &[String]) -> bool {
    OPPOSITES.iter().any(|row| {
        let of = |text: &[String]| -> Vec<String> {
            row.split(' ').map(stem).filter(|word| text.contains(word)).collect()
        };
        let (one, other) = (of(one), of(other));
        !one.is_empty() && !other.is_empty() && one != other
    })
}

/// Whether a word that both have is reached the other way in one.
fn go_other_ways(one: &[Way], other: &[Way]) -> bool {
    one.iter().any(|(name, row, word)| {
        let other = other.iter().find(|(_, theirs, it)| it == word && theirs == row);
        let is_way = |name: &str| if name == "into" { "to".to_owned() } else { name.to_owned() };
        other.is_some_and(|(theirs, ..)| is_way(theirs) != is_way(name))
    })
}

/// Words with a meaning: the same in another order, or the same but for one place.
fn order_and_place(one: &[String], other: &[String]) -> Result<(), Disagreement> {
    if one == other {
        return Ok(());
    }
    let sorted = |words: &[String]| {
        let mut words = words.to_vec();
        words.sort_unstable();
        words
    };
    if sorted(one) == sorted(other) {
        return Err(Disagreement::Order);
    }
    let shorter = one.len().min(other.len());
    let ahead = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let behind = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let behind = behind.min(shorter - ahead);
    let most = one.len().max(other.len()) - ahead - behind;
    let common = ahead + behind;
    if common > 0 && most <= PLACE { Err(Disagreement::Place) } else { Ok(()) }
}

/// How many words stand in one place at most.
const PLACE: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_in_other_words_agrees() {
        for (one, other) in [
            ("What is the capital of France?", "what's the capital of france"),
            ("How do I reset my password?", "I forgot my login secret, how can it be reset?"),
            ("How many people live in Oslo?", "What is the population of Oslo?"),
            ("Convert 5 kilometres to miles.", "5 km in miles?"),
            ("Can you explain how photosynthesis works?", "Explain photosynthesis"),
            (
                "How do I undo the last Git commit?",
                "what is the way to revert my most recent commit in Git",
            ),
        ] {
            assert_eq!(agree(one, other), Ok(()), "{one} | {other}");
        }
    }

    #[test]
    fn what_is_different_does_not_agree() {
        use Disagreement::{
            Asking, Dates, Names, Negations, Numbers, Opposites, Order, Place, Quotes, Script,
            Units,
        };
        for (one, other, why) in [
            ("What is 15% of 80?", "What is 15% of 90?", Numbers),
            ("Give me three ideas", "Give me 4 ideas", Numbers),
            ("Is 5 km far?", "Is 5 miles far?", Units),
            ("Price in $", "Price in €", Units),
            ("Weather on Monday", "Weather on Tuesday", Dates),
            ("Sales of last month", "Sales of this month", Dates),
            ("What is the capital of France?", "What is the capital of Peru?", Names),
            ("Flights from Rome to Oslo", "Flights from Oslo to Rome", Names),
            ("Is GPT good?", "Is BERT good?", Names),
            ("Why does it work?", "Why does it not work?", Negations),
            ("Cake with eggs", "Cake without eggs", Negations),
            ("How do I enable logging?", "How do I disable logging?", Opposites),
            ("When was it built?", "Where was it built?", Asking),
            ("What is photosynthesis?", "Where does photosynthesis happen?", Asking),
            ("eat before or after, why before", "eat before or after, why after", Place),
            ("does a dog chase a cat", "does a cat chase a dog", Order),
            (
                "trains from rome that stop in bern",
                "which trains stop in bern on their way to rome",
                Order,
            ),
            ("weather in lyon", "weather in nice", Place),
            ("restaurants in rome", "vegan restaurants in rome", Place),
            ("hotels in new york", "hotels in los angeles", Place),
            ("What does `a.b` do?", "What does `a.c` do?", Quotes),
            ("Say \"yes\"", "Say \"no\"", Quotes),
            ("open src/a.rs", "open src/b.rs", Quotes),
            ("東京の天気", "大阪の天気", Script),
        ] {
            assert_eq!(agree(one, other), Err(why), "{one} | {other}");
            assert!(agree(other, one).is_err(), "{other} | {one}");
        }
    }
}
