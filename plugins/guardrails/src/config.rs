//! The configuration, as it is written and as it is checked.
//!
//! Owns names and defaults. What is wrong is said with its place, all of it at once.

use std::collections::{BTreeMap, BTreeSet};

use gateway_detectors::{Builtin, Detector, GROUPS, MOST, Pattern, Set, nearest};
use gateway_plugin_sdk::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::moderation::ModerationSpec;

/// The settings of the plugin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is done with what detectors find in requests: names of detectors, groups and own patterns.
    #[serde(default)]
    pub input: BTreeMap<String, Mode>,
    /// What is done with what detectors find in answers.
    #[serde(default)]
    pub output: BTreeMap<String, Mode>,
    /// Own detectors: regular expressions by name.
    #[serde(default)]
    pub patterns: BTreeMap<String, String>,
    /// Texts that are no match although they look like one.
    #[serde(default)]
    pub except: BTreeSet<String>,
    /// Where the texts are in JSON that is not a model's.
    #[serde(default)]
    pub json: JsonSpec,
    /// A service that judges what is said.
    #[serde(default)]
    pub moderation: Option<ModerationSpec>,
    /// The longest request and the longest answer that are read whole, in bytes.
    #[serde(default = "max_body")]
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_body: u64,
    /// What becomes of what cannot be read.
    #[serde(default)]
    pub on_unreadable: OnFailure,
    /// How requests are refused.
    #[serde(default)]
    pub refusal: RefusalSpec,
}

/// What is done with a match.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is counted, and stays.
    Report,
    /// A placeholder takes its place, and what an answer says of the placeholder is put back.
    Mask,
    /// The detector's name takes its place.
    Redact,
    /// The request is refused, or the answer ended.
    Block,
}

/// What happens where something cannot be checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It does not pass.
    #[default]
    Closed,
    /// It passes, and is counted.
    Open,
}

/// JSON Pointers to the texts of other APIs. `*` stands for each element or member.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonSpec {
    /// In requests.
    #[serde(default)]
    pub input: Vec<String>,
    /// In responses.
    #[serde(default)]
    pub output: Vec<String>,
}

/// A refusal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefusalSpec {
    /// The status, 400 to 499.
    #[schemars(range(min = 400, max = 499))]
    pub status: u16,
    /// The word for programs.
    pub code: String,
    /// The sentence for people; `{reason}` is what was found.
    pub message: String,
}

impl Default for RefusalSpec {
    fn default() -> Self {
        Self {
            status: 400,
            code: "content_filter".into(),
            message: "This was stopped by a guard rail: {reason}.".into(),
        }
    }
}

fn max_body() -> u64 {
    16 << 20
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Mask => "mask",
            Self::Redact => "redact",
            Self::Block => "block",
        }
    }
}

/// The detectors of one direction, with what is done.
pub(crate) struct Rules {
    pub(crate) set: Set,
    pub(crate) names: Vec<String>,
    pub(crate) modes: Vec<Mode>,
}

impl Rules {
    pub(crate) fn has(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }
}

impl Config {
    /// The detectors of requests and of answers.
    pub(crate) fn rules(&self) -> Result<(Rules, Rules), ConfigError> {
        let mut errors = Vec::new();
        for (name, expression) in &self.patterns {
            let at = format!("/patterns/{}", escaped(name));
            if Builtin::of_name(name).is_some() || GROUPS.iter().any(|(group, _)| group == name) {
                errors.push(ConfigError::at(
                    &at,
                    format!("`{name}` is a detector already; the pattern needs another name"),
                ));
            } else if !is_name(name) {
                errors.push(ConfigError::at(
                    &at,
                    "a name has 1 to 32 letters of a-z, digits and `-`",
                ));
            } else if !self.input.contains_key(name) && !self.output.contains_key(name) {
                let message = format!(
                    "nothing uses this pattern; `input` or `output` has to say what is done with a match, as in `{name} = \"redact\"`"
                );
                errors.push(ConfigError::at(&at, message));
            }
            if let Err(error) = Pattern::new(expression) {
                errors.push(ConfigError::at(&at, error.to_string()));
            }
        }
        for (name, mode) in &self.output {
            if *mode == Mode::Mask {
                let message =
                    "nobody would put back what is masked in an answer; `redact` takes it out";
                errors.push(ConfigError::at(format!("/output/{}", escaped(name)), message));
            }
        }
        let input = self.direction(&self.input, "/input", &mut errors);
        let output = self.direction(&self.output, "/output", &mut errors);
        if !(400..500).contains(&self.refusal.status) {
            errors.push(ConfigError::at("/refusal/status", "a refusal has a status of 400 to 499"));
        }
        for (side, pointers) in [("input", &self.json.input), ("output", &self.json.output)] {
            for (index, pointer) in pointers.iter().enumerate() {
                if !pointer.is_empty() && !pointer.starts_with('/') {
                    let message = format!(
                        "a JSON Pointer begins with `/`; did you mean `/{}`?",
                        pointer.replace('.', "/")
                    );
                    errors.push(ConfigError::at(format!("/json/{side}/{index}"), message));
                }
            }
        }
        ConfigError::collect(errors)?;
        Ok((input, output))
    }

    fn direction(
        &self,
        modes: &BTreeMap<String, Mode>,
        at: &str,
        errors: &mut Vec<ConfigError>,
    ) -> Rules {
        // What is named itself counts, whatever its groups say.
        let mut builtin: BTreeMap<&str, (Builtin, Mode)> = BTreeMap::new();
        let mut groups: BTreeMap<&str, (Builtin, Mode, &str)> = BTreeMap::new();
        let mut detectors = Vec::new();
        let (mut names, mut kept) = (Vec::new(), Vec::new());
        for (name, mode) in modes {
            if let Some(known) = Builtin::of_name(name) {
                builtin.insert(known.name(), (known, *mode));
            } else if let Some((group, all)) = GROUPS.iter().find(|(group, _)| group == name) {
                for known in *all {
                    let before = groups.insert(known.name(), (*known, *mode, *group));
                    let before = before.filter(|_| !modes.contains_key(known.name()));
                    if let Some((_, other, of)) = before.filter(|(_, other, _)| other != mode) {
                        let message = format!(
                            "`{}` would be both `{}` (by `{of}`) and `{}`; name it itself to say which",
                            known.name(),
                            other.name(),
                            mode.name()
                        );
                        errors.push(ConfigError::at(format!("{at}/{name}"), message));
                    }
                }
            } else if let Some(expression) = self.patterns.get(name) {
                if let Ok(pattern) = Pattern::new(expression) {
                    detectors.push(Detector::Pattern(Box::new(pattern)));
                    names.push(name.clone());
                    kept.push(*mode);
                }
            } else {
                let known = Builtin::ALL.iter().map(|it| it.name());
                let known = known
                    .chain(GROUPS.iter().map(|(name, _)| *name))
                    .chain(self.patterns.keys().map(String::as_str));
                let hint = nearest(name, known).map_or_else(
                    || format!("; there are {} and the `patterns`", list()),
                    |near| format!("; did you mean `{near}`?"),
                );
                let message = format!("there is no detector `{name}`{hint}");
                errors.push(ConfigError::at(format!("{at}/{}", escaped(name)), message));
            }
        }
        for (name, (known, mode, _)) in groups {
            builtin.entry(name).or_insert((known, mode));
        }
        for (name, (known, mode)) in builtin {
            detectors.push(Detector::Builtin(known));
            names.push(name.to_owned());
            kept.push(mode);
        }
        if detectors.len() > MOST {
            errors.push(ConfigError::at(
                at,
                format!("at most {MOST} detectors can be used together"),
            ));
        }
        Rules { set: Set::new(detectors), names, modes: kept }
    }
}

fn list() -> String {
    let names = Builtin::ALL.iter().map(|it| it.name()).chain(GROUPS.iter().map(|(name, _)| *name));
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(is_part)
}

/// A name as a step of a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
