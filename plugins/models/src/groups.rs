//! Who may use which models.
//!
//! Owns groups of models and what is known of who asks. A model that somebody may not use is not there for them, in
//! lists, answers and suggestions alike. Must not know what is asked of a model.

use std::collections::BTreeMap;

use gateway_model_protocols::json::Raw;
use gateway_plugin_sdk::prelude::{ConfigError, Interest, Request};

use crate::catalog::{MOST_NAME, escaped, meant};
use crate::config::{Config, GroupSpec};
use crate::state::Who;

/// The most groups: which of them let somebody in is kept as bits.
const MOST_GROUPS: usize = 64;

/// The most attributes that say who somebody is.
const MOST_ATTRIBUTES: usize = 8;

/// The most turns of a consumer for one of others.
const HEAVIEST: u16 = 1000;

/// The attribute whose value is several, with spaces between them (RFC 6749 section 3.3).
const SCOPES: &str = "consumer.scopes";

/// The name of the model that an alias is of.
type AliasOf<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The groups, and what says who somebody is.
#[derive(Debug)]
pub(crate) struct Groups {
    all: Vec<Group>,
    consumer_attributes: Vec<String>,
}

#[derive(Debug)]
struct Group {
    name: String,
    consumers: Option<Vec<String>>,
    attributes: Vec<(String, Vec<String>)>,
    turn: Turn,
}

/// When it is the turn of requests that wait for a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) weight: u16,
    pub(crate) priority: u8,
}

impl Default for Turn {
    fn default() -> Self {
        Self { weight: 1, priority: 0 }
    }
}

impl Groups {
    /// The groups, and for each model, by its place among `models`, those that it is in: the one that names it most
    /// precisely first.
    pub(crate) fn new(
        config: &mut Config,
        models: &[&str],
        alias_of: AliasOf<'_>,
        errors: &mut Vec<ConfigError>,
    ) -> (Self, Vec<Vec<usize>>) {
        check_attributes(config, errors);
        let specs = std::mem::take(&mut config.groups);
        if specs.len() > MOST_GROUPS {
            let message = format!("has more than {MOST_GROUPS} tables");
            errors.push(ConfigError::at("/groups", message));
        }
        let mut members = vec![Vec::new(); models.len()];
        let mut all = Vec::with_capacity(specs.len());
        for (index, (name, spec)) in specs.into_iter().enumerate() {
            check_group(&name, &spec, errors);
            let known = (models, alias_of);
            add_members(&name, index, &spec.models, known, &mut members, errors);
            let GroupSpec { consumers, attributes, queue_weight, queue_priority, .. } = spec;
            let turn = Turn { weight: queue_weight.max(1), priority: queue_priority };
            all.push(Group { name, consumers, attributes: attributes.into_iter().collect(), turn });
        }
        let in_order = members.into_iter().map(|mut of: Vec<(usize, usize)>| {
            of.sort_by_key(|(precision, group)| (std::cmp::Reverse(*precision), *group));
            of.into_iter().map(|(_, group)| group).collect()
        });
        let consumer_attributes = std::mem::take(&mut config.consumer_attributes);
        (Self { all, consumer_attributes }, in_order.collect())
    }

    /// The attributes that are read of each request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        let of_groups = self.all.iter().flat_map(|group| &group.attributes);
        let all = self.consumer_attributes.iter().chain(of_groups.map(|(name, _)| name));
        all.fold(interest, |interest, name| interest.attribute(name.as_str()))
    }

    /// Who asks, and which groups let them in.
    pub(crate) fn who(&self, request: &Request) -> Who {
        let mut values = Vec::new();
        for name in &self.consumer_attributes {
            if let Some(text) = request.attribute(name) {
                each_value(name, text, |value| values.push(value.to_owned()));
            }
        }
        let first = self.consumer_attributes.first();
        let id = first.and_then(|name| request.attribute(name)).unwrap_or_default().to_owned();
        let lets_in = |group: &Group| {
            is_among(group.consumers.as_deref(), &values)
                && group.attributes.iter().all(|(name, allowed)| {
                    let mut is_one = false;
                    let text = request.attribute(name).unwrap_or_default();
                    each_value(name, text, |value| is_one |= allowed.iter().any(|it| it == value));
                    is_one
                })
        };
        let groups = self.all.iter().enumerate();
        let groups = groups.filter(|(_, group)| lets_in(group));
        let groups = groups.fold(0, |bits, (index, _)| bits | 1 << index);
        Who { id, values, groups }
    }

    /// When it is the turn of requests by a group, or by none.
    pub(crate) fn turn(&self, group: Option<usize>) -> Turn {
        group.map(|group| self.all[group].turn).unwrap_or_default()
    }

    /// The name of a group.
    pub(crate) fn name(&self, group: usize) -> &str {
        &self.all[group].name
    }
}

/// Whether one of these values is allowed; without a list, each is.
pub(crate) fn is_among(allowed: Option<&[String]>, values: &[String]) -> bool {
    allowed.is_none_or(|allowed| values.iter().any(|value| allowed.contains(value)))
}

/// The values of an attribute: those of a list in JSON, as claims of tokens may be, or of scopes; else its text.
fn each_value(name: &str, text: &str, mut each: impl FnMut(&str)) {
    if name == SCOPES {
        text.split(' ').filter(|scope| !scope.is_empty()).for_each(each);
        return;
    }
    if text.starts_with('[')
        && let Ok(list) = Raw::parse(text.as_bytes())
    {
        let values = list.elements().filter_map(Raw::str).filter(|value| !value.is_empty());
        values.for_each(|value| each(&value));
        return;
    }
    if !text.is_empty() {
        each(text);
    }
}

fn check_attributes(config: &Config, errors: &mut Vec<ConfigError>) {
    let named = &config.consumer_attributes;
    let mut refuse = |pointer: String, message: &str, help: &str| {
        errors.push(ConfigError::at(pointer, message).help(help));
    };
    let example =
        "write `consumer_attributes = [\"consumer.id\", \"consumer.group\"]`, or leave it out";
    if named.is_empty() || named.len() > MOST_ATTRIBUTES {
        let message = "must have 1 to 8 attributes";
        refuse("/consumer_attributes".to_owned(), message, example);
    }
    for (index, name) in named.iter().enumerate() {
        let at = format!("/consumer_attributes/{index}");
        if name.is_empty() {
            refuse(at, "is empty", example);
        } else if named[..index].contains(name) {
            let message = format!("is `{name}`, which is in the list already");
            refuse(at, &message, "take one of the two out");
        }
    }
    if config.model_attribute.as_deref() == Some("") {
        let help = "write the name of one, such as `\"experiment.model\"`, or leave the key out";
        refuse("/model_attribute".to_owned(), "is empty", help);
    }
}

fn check_group(name: &str, spec: &GroupSpec, errors: &mut Vec<ConfigError>) {
    let at = |key: &str| format!("/groups/{}{key}", escaped(name));
    if name.is_empty() || name.len() > MOST_NAME {
        errors.push(
            ConfigError::at(at(""), "must have a name of 1 to 256 bytes").help("name the group"),
        );
    }
    if spec.models.is_empty() {
        let error = ConfigError::at(at("/models"), "is empty");
        errors.push(error.help("list names of `models`, or write `[\"*\"]` for all of them"));
    }
    if !(1..=HEAVIEST).contains(&spec.queue_weight) {
        let error = ConfigError::at(at("/queue_weight"), format!("must be 1 to {HEAVIEST}"));
        errors.push(error.help(
            "without the key it is 1; who is to wait for all others has a lower `queue_priority`",
        ));
    }
    let lists = spec.consumers.iter().map(|list| ("/consumers".to_owned(), list));
    let of_attributes = spec.attributes.iter();
    let of_attributes =
        of_attributes.map(|(key, list)| (format!("/attributes/{}", escaped(key)), list));
    for (key, list) in lists.chain(of_attributes) {
        check_values(&at(&key), list, errors);
    }
    for (key, list) in &spec.attributes {
        let at = at(&format!("/attributes/{}", escaped(key)));
        if key.is_empty() {
            let error = ConfigError::at(at, "has no name");
            errors.push(error.help("write it, as in `\"consumer.claim.plan\" = [\"pro\"]`"));
        } else if list.is_empty() {
            let error = ConfigError::at(at, "has no values, and no request fits");
            errors.push(error.help("list the values that the attribute may have, or take it out"));
        }
    }
}

/// Values that are compared with those of attributes.
pub(crate) fn check_values(at: &str, list: &[String], errors: &mut Vec<ConfigError>) {
    for (index, value) in list.iter().enumerate() {
        let at = format!("{at}/{index}");
        if value.is_empty() {
            let error = ConfigError::at(at, "is empty, and so is nobody");
            errors.push(error.help("take it out"));
        } else if list[..index].contains(value) {
            let error = ConfigError::at(at, format!("is `{value}`, which is in the list already"));
            errors.push(error.help("take one of the two out"));
        }
    }
}

/// Notes which models a group has, and how precisely it names each: a whole name more than any beginning.
fn add_members(
    group: &str,
    index: usize,
    entries: &[String],
    (models, alias_of): (&[&str], AliasOf<'_>),
    members: &mut [Vec<(usize, usize)>],
    errors: &mut Vec<ConfigError>,
) {
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, entry) in entries.iter().enumerate() {
        let at = format!("/groups/{}/models/{place}", escaped(group));
        if entries[..place].contains(entry) {
            let error = ConfigError::at(at, format!("is `{entry}`, which is in the list already"));
            errors.push(error.help("take one of the two out"));
            continue;
        }
        let (beginning, precision) = match entry.strip_suffix('*') {
            Some(beginning) => (Some(beginning), beginning.len()),
            None => (None, usize::MAX),
        };
        if beginning.unwrap_or(entry).contains('*') {
            let error = ConfigError::at(at, "has a `*` that is not at its end");
            let before = entry.split('*').next().unwrap_or_default();
            errors.push(error.help(format!("write `\"{before}*\"`, or the whole names")));
            continue;
        }
        let is_it = |name: &str| match beginning {
            Some(beginning) => name.starts_with(beginning),
            None => name == entry,
        };
        let of_entry = models.iter().enumerate().filter(|(_, name)| is_it(name));
        let mut matches = 0;
        for (model, _) in of_entry {
            matches += 1;
            let known = found.entry(model).or_default();
            *known = precision.max(*known);
        }
        if matches == 0 {
            let what = match beginning {
                Some(_) => format!("is `{entry}`, and no model's name begins so"),
                None => format!("is `{entry}`, and there is no such model"),
            };
            let error = ConfigError::at(at, what);
            errors.push(match (alias_of(entry), meant(entry, models.iter().copied())) {
                (Some(model), _) => error.help(format!("it is an alias: write `{model}`")),
                (None, Some(help)) => error.help(help),
                (None, None) => error,
            });
        }
    }
    for (model, precision) in found {
        members[model].push((precision, index));
    }
}
