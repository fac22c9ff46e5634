//! Who may use which tools, prompts and resources.
//!
//! Owns patterns and decisions. Must not know how a client asks, or what it is told.

use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::attributes;

use crate::config::RuleSpec;
use crate::message::Subject;
use crate::uri;

/// A name, or how names begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(String),
    Prefix(String),
}

impl Pattern {
    pub(crate) fn new(text: &str, pointer: &str) -> Result<Self, ConfigError> {
        let (body, is_prefix) = match text.strip_suffix('*') {
            Some(body) => (body, true),
            None => (text, false),
        };
        if text.is_empty() || body.contains('*') {
            let message = "a name is exact, or has one `*`, which is its end";
            return Err(ConfigError::at(pointer, message));
        }
        Ok(if is_prefix { Self::Prefix(body.to_owned()) } else { Self::Exact(body.to_owned()) })
    }

    pub(crate) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

/// What a rule says of one kind of things.
#[derive(Debug, Default)]
struct Lists {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

#[derive(Debug)]
struct Rule {
    consumers: Option<Vec<String>>,
    scopes: Vec<String>,
    claims: Vec<(String, Vec<String>)>,
    lists: [Lists; 3],
}

/// All rules.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// Kinds of which something must allow a thing, and kinds of which there is any rule.
    closed: [bool; 3],
    governed: [bool; 3],
}

/// What a request is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    Allowed,
    Denied,
    /// With these scopes it would be allowed.
    Lacks(&'a [String]),
}

impl Rules {
    pub(crate) fn new(specs: &[RuleSpec]) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let (mut closed, mut governed) = ([false; 3], [false; 3]);
        let mut rules = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let kinds = [
                ("tools", &spec.tools, &spec.deny_tools),
                ("prompts", &spec.prompts, &spec.deny_prompts),
                ("resources", &spec.resources, &spec.deny_resources),
            ];
            let mut lists = [Lists::default(), Lists::default(), Lists::default()];
            let says_nothing =
                kinds.iter().all(|(_, allow, deny)| allow.is_none() && deny.is_empty());
            if says_nothing {
                let message = "the rule allows and denies nothing: it needs one of `tools`, `deny_tools`, `prompts`, \
                               `deny_prompts`, `resources` and `deny_resources`";
                errors.push(ConfigError::at(format!("/rules/{index}"), message));
            }
            for (kind, (name, allow, deny)) in kinds.into_iter().enumerate() {
                closed[kind] |= allow.is_some();
                governed[kind] |= allow.is_some() || !deny.is_empty();
                let mut patterns = |texts: &[String], name: &str| -> Vec<Pattern> {
                    let read = texts.iter().enumerate().filter_map(|(at, text)| {
                        let pattern = Pattern::new(text, &format!("/rules/{index}/{name}/{at}"));
                        pattern.map_err(|error| errors.push(error)).ok()
                    });
                    read.collect()
                };
                lists[kind].allow = patterns(allow.as_deref().unwrap_or_default(), name);
                lists[kind].deny = patterns(deny, &format!("deny_{name}"));
            }
            let claims = spec.claims.iter();
            let claims =
                claims.map(|(name, values)| (format!("consumer.claim.{name}"), values.clone()));
            rules.push(Rule {
                consumers: spec.consumers.clone(),
                scopes: spec.scopes.clone(),
                claims: claims.collect(),
                lists,
            });
        }
        ConfigError::collect(errors)?;
        Ok(Self { rules, closed, governed })
    }

    /// Whether any rule speaks of such things.
    pub(crate) fn govern(&self, subject: Subject) -> bool {
        self.governed[subject as usize]
    }

    /// Whether any rule is there.
    pub(crate) fn any(&self) -> bool {
        self.governed.contains(&true)
    }

    /// Names that rules have exactly.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Pattern> {
        let lists = self.rules.iter().flat_map(|rule| &rule.lists[..2]);
        let patterns = lists.flat_map(|lists| lists.allow.iter().chain(&lists.deny));
        patterns.filter(|pattern| matches!(pattern, Pattern::Exact(_)))
    }

    /// The rules that are for this consumer.
    pub(crate) fn of(&self, who: &Who) -> Vec<u16> {
        let of = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.is_for(who) && who.has(&rule.scopes));
        of.filter_map(|(index, _)| u16::try_from(index).ok()).collect()
    }

    /// Whether a thing is allowed by these rules.
    pub(crate) fn allow(&self, of: &[u16], subject: Subject, name: &str) -> bool {
        let kind = subject as usize;
        let lists = of.iter().filter_map(|index| self.rules.get(usize::from(*index)));
        let mut is_allowed = !self.closed[kind];
        for lists in lists.map(|rule| &rule.lists[kind]) {
            if lists.deny.iter().any(|pattern| denies(pattern, subject, name)) {
                return false;
            }
            is_allowed |= lists.allow.iter().any(|pattern| allows(pattern, subject, name));
        }
        is_allowed
    }

    /// Whether a consumer may use a thing, and what would help if not.
    pub(crate) fn decide(
        &self,
        of: &[u16],
        who: &Who,
        subject: Subject,
        name: &str,
    ) -> Verdict<'_> {
        if self.allow(of, subject, name) {
            return Verdict::Allowed;
        }
        let lists = |rule: &Rule| {
            let lists = &rule.lists[subject as usize];
            lists.allow.iter().any(|pattern| allows(pattern, subject, name))
        };
        let is_denied = of
            .iter()
            .filter_map(|index| self.rules.get(usize::from(*index)))
            .flat_map(|rule| &rule.lists[subject as usize].deny)
            .any(|pattern| denies(pattern, subject, name));
        let helps = self
            .rules
            .iter()
            .find(|rule| rule.is_for(who) && !who.has(&rule.scopes) && lists(rule));
        match helps.filter(|_| !is_denied) {
            Some(rule) => Verdict::Lacks(&rule.scopes),
            None => Verdict::Denied,
        }
    }
}

/// Resources are paths: what begins as is allowed must not lead elsewhere from there.
fn allows(pattern: &Pattern, subject: Subject, name: &str) -> bool {
    let is_safe = subject != Subject::Resource
        || matches!(pattern, Pattern::Exact(_))
        || !uri::may_lead_elsewhere(name);
    pattern.fits(name) && is_safe
}

/// Whether a thing is denied, for resources however it is encoded.
fn denies(pattern: &Pattern, subject: Subject, name: &str) -> bool {
    let is_denied = |all: Vec<String>| all.iter().any(|text| pattern.fits(text));
    pattern.fits(name)
        || (subject == Subject::Resource && uri::spellings(name).is_some_and(is_denied))
}

impl Rule {
    /// Whether it is for this consumer, but for scopes.
    fn is_for(&self, who: &Who) -> bool {
        let named = self.consumers.as_ref().is_none_or(|names| {
            names.iter().any(|name| !name.is_empty() && (*name == who.id || *name == who.group))
        });
        let claims = |(name, values): &(String, Vec<String>)| {
            attributes::value(name).is_some_and(|value| values.contains(&value))
        };
        named && self.claims.iter().all(claims)
    }
}

/// Whose request it is.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) scopes: String,
}

impl Who {
    /// By the attributes that authentication has set.
    pub(crate) fn is_asking() -> Self {
        let text = |name| attributes::value(name).unwrap_or_default();
        Self {
            id: text("consumer.id"),
            group: text("consumer.group"),
            scopes: text("consumer.scopes"),
        }
    }

    fn has(&self, scopes: &[String]) -> bool {
        scopes.iter().all(|scope| self.scopes.split(' ').any(|has| has == scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(id: &str, scopes: &str) -> Who {
        Who { id: id.to_owned(), group: "team".to_owned(), scopes: scopes.to_owned() }
    }

    fn rules(specs: serde_json::Value) -> Rules {
        let specs: Vec<RuleSpec> = serde_json::from_value(specs).unwrap();
        Rules::new(&specs).unwrap()
    }

    #[test]
    fn what_no_rule_allows_is_closed_where_one_allows_something() {
        let rules = rules(serde_json::json!([
            { "tools": ["search", "files_*"], "deny_tools": ["files_delete"] },
            { "consumers": ["root"], "tools": ["*"] },
            { "consumers": ["team"], "scopes": ["admin"], "tools": ["wipe"] },
        ]));
        let may = |id: &str, scopes: &str, tool: &str| {
            let who = who(id, scopes);
            rules.allow(&rules.of(&who), Subject::Tool, tool)
        };
        assert!(may("ada", "", "search") && may("ada", "", "files_read"));
        assert!(
            !may("ada", "", "searches")
                && !may("ada", "", "files_delete")
                && !may("ada", "", "wipe")
        );
        assert!(may("root", "", "anything") && !may("root", "", "files_delete"));
        assert!(may("ada", "read admin", "wipe") && !may("ada", "administrator", "wipe"));
        // No rule speaks of prompts.
        assert!(rules.allow(&[], Subject::Prompt, "any") && !rules.govern(Subject::Prompt));
        let (ada, of) = (who("ada", ""), rules.of(&who("ada", "")));
        assert_eq!(
            rules.decide(&of, &ada, Subject::Tool, "wipe"),
            Verdict::Lacks(&["admin".to_owned()])
        );
        assert_eq!(rules.decide(&of, &ada, Subject::Tool, "files_delete"), Verdict::Denied);
        assert_eq!(rules.decide(&of, &ada, Subject::Tool, "nothing"), Verdict::Denied);
    }

    #[test]
    fn a_prefix_of_resources_leads_nowhere_else() {
        let rules =
            rules(serde_json::json!([{ "resources": ["file:///docs/*", "file:///a/../b"] }]));
        let may = |uri: &str| rules.allow(&[0], Subject::Resource, uri);
        assert!(may("file:///docs/a.txt") && may("file:///docs/a..b") && may("file:///a/../b"));
        assert!(!may("file:///docs/../x") && !may("file:///docs/%252e%252e/x"));
    }

    #[test]
    fn a_resource_is_denied_however_it_is_encoded() {
        let rules = rules(serde_json::json!([
            { "resources": ["docs://*"], "deny_resources": ["docs://secret/*", "docs://one"] }
        ]));
        let may = |uri: &str| rules.allow(&[0], Subject::Resource, uri);
        assert!(may("docs://open/a"));
        for uri in ["docs://secret/a", "docs://%73ecret/a", "docs://secret%2fa", "docs://%256fne"] {
            assert!(!may(uri), "{uri}");
        }
    }
}
