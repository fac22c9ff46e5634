//! What is different between two heads.
//!
//! Owns the order in which differences are reported: what went before what came, by the name of the
//! field. Lines of one name that only changed places are no difference worth telling.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Change;
use crate::heads::ExchangeView;

/// The differences of everything that a hook can change in the heads.
pub(crate) fn heads(before: &ExchangeView, after: &ExchangeView) -> Vec<Change> {
    let mut changes = Vec::new();
    let (old, new) = (&before.request, &after.request);
    if old.method != new.method {
        changes.push(Change::Method(old.method.clone(), new.method.clone()));
    }
    if old.target != new.target {
        changes.push(Change::Target(old.target.to_string(), new.target.to_string()));
    }
    fields(&old.headers, &new.headers, &mut changes);
    if let (Some(old), Some(new)) = (&before.response, &after.response) {
        if old.status != new.status {
            changes.push(Change::Status(old.status, new.status));
        }
        fields(&old.headers, &new.headers, &mut changes);
    }
    let set = after.attributes.iter().filter(|attribute| !before.attributes.contains(attribute));
    changes.extend(set.map(|it| Change::Attribute(it.name.to_string(), it.value.clone())));
    changes
}

/// The differences of the fields of a head.
pub(crate) fn fields(before: &HeaderMap, after: &HeaderMap, changes: &mut Vec<Change>) {
    let mut names: Vec<&HeaderName> = before.keys().chain(after.keys()).collect();
    names.sort_by_key(|name| name.as_str());
    names.dedup();
    for name in names {
        let (old, new) = (lines(before, name), lines(after, name));
        changes.extend(surplus(&old, &new).map(|value| Change::Removed(name.clone(), value)));
        changes.extend(surplus(&new, &old).map(|value| Change::Added(name.clone(), value)));
    }
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a HeaderValue> {
    headers.get_all(name).iter().collect()
}

/// What the first has more of than the second.
fn surplus(first: &[&HeaderValue], second: &[&HeaderValue]) -> impl Iterator<Item = HeaderValue> {
    let mut others = second.to_vec();
    let mut surplus = Vec::new();
    for value in first {
        match others.iter().position(|other| other == value) {
            Some(index) => drop(others.swap_remove(index)),
            None => surplus.push((*value).clone()),
        }
    }
    surplus.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut map = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            map.append(name, value);
        }
        map
    }

    fn told(
        before: &[(&'static str, &'static str)],
        after: &[(&'static str, &'static str)],
    ) -> String {
        let mut changes = Vec::new();
        fields(&map(before), &map(after), &mut changes);
        let line = |change: &Change| match change {
            Change::Added(name, value) => format!("+{name}={}", value.to_str().expect("text")),
            Change::Removed(name, value) => format!("-{name}={}", value.to_str().expect("text")),
            other => panic!("{other:?}"),
        };
        changes.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tells_what_went_before_what_came() {
        assert_eq!(
            told(&[("b", "1"), ("a", "1")], &[("b", "2"), ("c", "3")]),
            "-a=1 -b=1 +b=2 +c=3"
        );
        assert_eq!(told(&[("a", "1")], &[("a", "1")]), "");
    }

    #[test]
    fn counts_lines_of_one_name() {
        assert_eq!(told(&[("a", "1"), ("a", "2")], &[("a", "2"), ("a", "1")]), "");
        assert_eq!(told(&[("a", "1"), ("a", "1")], &[("a", "1")]), "-a=1");
        assert_eq!(told(&[("a", "1")], &[("a", "1"), ("a", "2")]), "+a=2");
    }
}
