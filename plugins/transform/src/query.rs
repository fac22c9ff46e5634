//! Changes to the query.
//!
//! Owns their order (remove, rename, set, add, default). Parameters that no edit names stay as
//! they are, to the byte.

use crate::encode;
use crate::fields::WriteKind;
use crate::template::Template;
use crate::values::Values;

/// The changes to a query. Names are plain text.
#[derive(Debug, Default)]
pub(crate) struct QueryEdits {
    pub(crate) remove: Vec<String>,
    /// Old names and new ones; no name is twice.
    pub(crate) rename: Vec<(String, String)>,
    /// In the order in which they are applied.
    pub(crate) write: Vec<QueryWrite>,
}

/// Values that are written to a parameter.
#[derive(Debug)]
pub(crate) struct QueryWrite {
    pub(crate) kind: WriteKind,
    pub(crate) name: String,
    /// One for each parameter.
    pub(crate) values: Vec<Template>,
}

/// A parameter: its decoded name, and the parameter as it is written.
struct Parameter {
    name: String,
    text: String,
}

impl QueryEdits {
    pub(crate) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.rename.is_empty() && self.write.is_empty()
    }

    /// The changed query; `None` if it is the same.
    pub(crate) fn apply(&self, query: Option<&str>, values: &Values) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let before = query.unwrap_or_default();
        let mut parameters: Vec<Parameter> = before
            .split('&')
            .filter(|text| !text.is_empty())
            .map(|text| Parameter { name: name_of(text), text: text.to_owned() })
            .collect();
        parameters.retain(|parameter| !self.remove.contains(&parameter.name));
        self.apply_renames(&mut parameters);
        for write in &self.write {
            write.apply(&mut parameters, values);
        }
        let texts: Vec<&str> = parameters.iter().map(|parameter| parameter.text.as_str()).collect();
        let after = texts.join("&");
        (after != before).then_some(after)
    }

    fn apply_renames(&self, parameters: &mut Vec<Parameter>) {
        let is_there = |name: &String| parameters.iter().any(|known| known.name == *name);
        let renamed: Vec<_> = self.rename.iter().filter(|(from, _)| is_there(from)).collect();
        parameters.retain(|parameter| {
            let is_target = renamed.iter().any(|(_, to)| *to == parameter.name);
            !is_target || renamed.iter().any(|(from, _)| *from == parameter.name)
        });
        for parameter in parameters {
            if let Some((_, to)) = renamed.iter().find(|(from, _)| *from == parameter.name) {
                parameter.rename(to);
            }
        }
    }
}

impl QueryWrite {
    fn apply(&self, parameters: &mut Vec<Parameter>, values: &Values) {
        let first = parameters.iter().position(|parameter| parameter.name == self.name);
        if self.kind == WriteKind::Default && first.is_some() {
            return;
        }
        let mut written: Vec<Parameter> = self
            .values
            .iter()
            .filter_map(|template| template.fill(values))
            .map(|value| Parameter::new(&self.name, &value))
            .collect();
        match first {
            // The first value takes the place of the first parameter, the others follow it.
            Some(first) if self.kind == WriteKind::Set && !written.is_empty() => {
                parameters.retain(|parameter| parameter.name != self.name);
                parameters.splice(first..first, written);
            }
            _ => parameters.append(&mut written),
        }
    }
}

impl Parameter {
    fn new(name: &str, value: &str) -> Self {
        let text = format!("{}={}", encode::query_component(name), encode::query_component(value));
        Self { name: name.to_owned(), text }
    }

    fn rename(&mut self, to: &str) {
        let value = self.text.find('=').map_or("", |at| &self.text[at..]);
        self.text = format!("{}{value}", encode::query_component(to));
        to.clone_into(&mut self.name);
    }
}

fn name_of(text: &str) -> String {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    encode::decode_query_component(name).into_owned()
}

/// The first parameter of this name, in plain text.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').filter(|text| !text.is_empty()).find(|text| name_of(text) == name).map(
        |text| {
            let value = text.split_once('=').map_or("", |(_, value)| value);
            encode::decode_query_component(value).into_owned()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Direction, References};

    fn write(kind: WriteKind, name: &str, values: &[&str]) -> QueryWrite {
        let parse = |text: &&str| {
            Template::parse(text, Direction::Request, &mut References::default()).unwrap()
        };
        QueryWrite { kind, name: name.to_owned(), values: values.iter().map(parse).collect() }
    }

    fn written(write: QueryWrite, query: &str) -> Option<String> {
        let edits = QueryEdits { write: vec![write], ..QueryEdits::default() };
        edits.apply(Some(query), &Values::default())
    }

    #[test]
    fn set_takes_the_place_of_all_of_the_name_and_leaves_the_rest_to_the_byte() {
        let set = || write(WriteKind::Set, "a b", &["1&2"]);
        assert_eq!(
            written(set(), "x=%7e+&a+b=0&y&a%20b=9").as_deref(),
            Some("x=%7e+&a%20b=1%262&y")
        );
        assert_eq!(written(set(), "").as_deref(), Some("a%20b=1%262"));
        assert_eq!(
            written(write(WriteKind::Set, "a", &["1", "2"]), "a=0&b").as_deref(),
            Some("a=1&a=2&b")
        );
        assert_eq!(written(write(WriteKind::Set, "a", &["1"]), "a=1"), None);
    }

    #[test]
    fn a_set_whose_values_leave_themselves_out_changes_nothing() {
        assert_eq!(written(write(WriteKind::Set, "a", &["${capture.x?}"]), "a=0"), None);
    }

    #[test]
    fn add_appends_and_default_fills_a_gap() {
        assert_eq!(written(write(WriteKind::Add, "a", &["1"]), "a=0").as_deref(), Some("a=0&a=1"));
        assert_eq!(written(write(WriteKind::Default, "a", &["1"]), "a="), None);
        assert_eq!(written(write(WriteKind::Default, "a", &["1"]), "b").as_deref(), Some("b&a=1"));
    }

    #[test]
    fn remove_and_rename_find_encoded_names() {
        let edits = QueryEdits {
            remove: vec!["gone".to_owned()],
            rename: vec![
                ("old name".to_owned(), "new&name".to_owned()),
                ("x".to_owned(), "y".to_owned()),
                ("y".to_owned(), "x".to_owned()),
            ],
            write: Vec::new(),
        };
        assert_eq!(
            edits.apply(Some("g%6Fne=1&old+name=%7E&x=1&y&gone"), &Values::default()).as_deref(),
            Some("new%26name=%7E&y=1&x")
        );
        assert_eq!(edits.apply(Some("gone"), &Values::default()).as_deref(), Some(""));
        assert_eq!(edits.apply(None, &Values::default()), None);
    }

    #[test]
    fn rename_replaces_parameters_of_the_new_name() {
        let rename = vec![("a".to_owned(), "b".to_owned())];
        let edits = QueryEdits { rename, ..QueryEdits::default() };
        assert_eq!(edits.apply(Some("b=0&a=1"), &Values::default()).as_deref(), Some("b=1"));
        assert_eq!(edits.apply(Some("b=0"), &Values::default()), None);
    }

    #[test]
    fn finds_the_first_parameter_of_a_name() {
        assert_eq!(parameter("a=1&b%20c=x+y&b+c=2", "b c").as_deref(), Some("x y"));
        assert_eq!(parameter("flag", "flag").as_deref(), Some(""));
        assert_eq!(parameter("a=1", "b"), None);
    }
}
