//! Structured fields (RFC 9651), as far as caching needs them.

use sfv::{BareItem, FieldType as _, ListEntry, Parser};

/// A member of a dictionary: a name and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A boolean. A name alone is true.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A string or a token.
    Text(String),
    /// An inner list of strings and tokens.
    List(Vec<String>),
    /// Anything else.
    Other,
}

/// Reads a dictionary; `None` if it is not one.
pub fn dictionary(text: &[u8]) -> Option<Vec<(String, Member)>> {
    let dictionary = Parser::new(text).parse::<sfv::Dictionary>().ok()?;
    let read = |(name, entry): (&sfv::Key, &ListEntry)| {
        let member = match entry {
            ListEntry::Item(item) => bare(&item.bare_item),
            ListEntry::InnerList(list) => {
                let texts = list.items.iter().map(|item| text_of(&item.bare_item));
                texts.collect::<Option<Vec<_>>>().map_or(Member::Other, Member::List)
            }
        };
        (name.as_str().to_owned(), member)
    };
    Some(dictionary.iter().map(read).collect())
}

/// Reads a list of strings; `None` if it is not one.
pub fn strings(text: &[u8]) -> Option<Vec<String>> {
    let list = Parser::new(text).parse::<sfv::List>().ok()?;
    let read = |entry: &ListEntry| match entry {
        ListEntry::Item(item) => item.bare_item.as_string().map(|text| text.as_str().to_owned()),
        ListEntry::InnerList(_) => None,
    };
    list.iter().map(read).collect()
}

/// A text as a string of a structured field; `None` if it has a character that none can have.
pub fn quote(text: &str) -> Option<String> {
    sfv::StringRef::from_str(text).ok().map(|text| sfv::Item::new(text.to_owned()).serialize())
}

fn bare(item: &BareItem) -> Member {
    if let Some(is) = item.as_boolean() {
        Member::Boolean(is)
    } else if let Some(number) = item.as_integer() {
        Member::Integer(number.into())
    } else {
        text_of(item).map_or(Member::Other, Member::Text)
    }
}

fn text_of(item: &BareItem) -> Option<String> {
    let string = item.as_string().map(|text| text.as_str().to_owned());
    string.or_else(|| item.as_token().map(|token| token.as_str().to_owned()))
}
