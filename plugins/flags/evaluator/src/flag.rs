//! One flag, and its value for a context.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::logic::{Logic, text};

/// A flag.
#[derive(Debug)]
pub struct Flag {
    pub(crate) key: String,
    pub(crate) is_enabled: bool,
    pub(crate) variants: Map<String, Value>,
    pub(crate) default_variant: Option<String>,
    pub(crate) targeting: Option<Targeting>,
    pub(crate) metadata: Map<String, Value>,
}

/// How a variant is chosen.
#[derive(Debug)]
pub(crate) enum Targeting {
    /// By an expression.
    Logic(Logic),
    /// By one that cannot be read.
    Broken,
}

/// The value of a flag for a context.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation<'a> {
    /// The value. Without one, the application's own default counts.
    pub value: Option<&'a Value>,
    /// The name of the variant that has the value.
    pub variant: Option<Cow<'a, str>>,
    /// Why it is this one.
    pub reason: Reason,
    /// Why there is none, in a sentence.
    pub error: Option<(ErrorCode, String)>,
    /// What the definitions say of the flag besides.
    pub metadata: &'a Map<String, Value>,
}

/// Why a flag has its value, as OpenFeature names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has no targeting.
    Static,
    /// The targeting chose it.
    TargetingMatch,
    /// The targeting chose nothing, or there is no default variant.
    Default,
    /// The flag is disabled.
    Disabled,
    /// There is an error.
    Error,
}

/// What went wrong, as OpenFeature names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// There is no such flag.
    FlagNotFound,
    /// The targeting cannot be read.
    ParseError,
    /// The value is of another type than was asked for.
    TypeMismatch,
    /// The targeting has no value, or one that is no variant.
    General,
}

/// A type of values that an application can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A text.
    Text,
    /// A number.
    Number,
    /// An object, a list, or null.
    Object,
}

impl Flag {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is enabled: one that is not has no value.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Its value for a context, at a time in seconds since 1970.
    #[must_use]
    pub fn evaluate(&self, context: &Map<String, Value>, now: u64) -> Evaluation<'_> {
        if !self.is_enabled {
            return self.without(Reason::Disabled);
        }
        let (variant, reason) = match &self.targeting {
            None => (None, Reason::Static),
            Some(Targeting::Broken) => {
                let message = format!("the targeting of {:?} cannot be read", self.key);
                return Evaluation {
                    error: Some((ErrorCode::ParseError, message)),
                    ..self.without(Reason::Error)
                };
            }
            Some(Targeting::Logic(targeting)) => {
                match targeting.evaluate(&self.key, context, now) {
                    Ok(Value::Null) => (None, Reason::Default),
                    Ok(variant) => (Some(Cow::Owned(text(&variant))), Reason::TargetingMatch),
                    Err(why) => {
                        return self.failed(format!(
                            "the targeting of {:?} has no value: {why}",
                            self.key
                        ));
                    }
                }
            }
        };
        let Some(variant) = variant.or_else(|| self.default_variant.as_deref().map(Cow::Borrowed))
        else {
            return self.without(Reason::Default);
        };
        match self.variants.get(&*variant) {
            Some(value) => {
                Evaluation { value: Some(value), variant: Some(variant), ..self.without(reason) }
            }
            None => self.failed(format!(
                "the targeting of {:?} chose {variant:?}, which is no variant",
                self.key
            )),
        }
    }

    fn without(&self, reason: Reason) -> Evaluation<'_> {
        Evaluation { value: None, variant: None, reason, error: None, metadata: &self.metadata }
    }

    fn failed(&self, why: String) -> Evaluation<'_> {
        Evaluation { error: Some((ErrorCode::General, why)), ..self.without(Reason::Error) }
    }
}

impl<'a> Evaluation<'a> {
    /// An evaluation of a flag that there is not.
    pub(crate) fn not_found(key: &str, metadata: &'a Map<String, Value>) -> Self {
        let error = Some((ErrorCode::FlagNotFound, format!("there is no flag {key:?}")));
        Self { value: None, variant: None, reason: Reason::Error, error, metadata }
    }

    /// The same, if the value is of this type; an error otherwise.
    #[must_use]
    pub fn of_kind(self, kind: Kind) -> Self {
        match self.value {
            Some(value) if Kind::of(value) != kind => {
                let message =
                    format!("the value is of type {}, not {}", Kind::of(value).name(), kind.name());
                let error = Some((ErrorCode::TypeMismatch, message));
                Self { value: None, variant: None, reason: Reason::Error, error, ..self }
            }
            _ => self,
        }
    }
}

impl Kind {
    /// The type of a value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Boolean,
            Value::String(_) => Self::Text,
            Value::Number(_) => Self::Number,
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Object,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Text => "string",
            Self::Number => "number",
            Self::Object => "object",
        }
    }
}

impl Reason {
    /// Its name in OpenFeature.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Default => "DEFAULT",
            Self::Disabled => "DISABLED",
            Self::Error => "ERROR",
        }
    }
}

impl ErrorCode {
    /// Its name in OpenFeature.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::ParseError => "PARSE_ERROR",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::General => "GENERAL",
        }
    }
}
