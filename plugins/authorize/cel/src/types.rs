//! What is known of a value before there is one.

use std::fmt;

/// The type of a part of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Known with the value only.
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    List,
    Map,
    Time,
    Duration,
    Network,
}

impl Type {
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether a value of this type may be one of the other.
    pub(crate) fn may_be(self, other: Self) -> bool {
        self == other || self == Self::Any || other == Self::Any
    }

    /// Whether values of both can be the same; numbers of all kinds are compared.
    pub(crate) fn may_equal(self, other: Self) -> bool {
        // Null is compared with anything.
        self.may_be(other)
            || self.is_number() && other.is_number()
            || self == Self::Null
            || other == Self::Null
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Uint => "an unsigned number",
            Self::Double => "a number with a fraction",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::Network => "a network",
        })
    }
}
