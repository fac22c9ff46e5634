//! The operators that there are, and how many arguments each takes.

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Var,
    Missing,
    MissingSome,
    If,
    Equal,
    StrictEqual,
    NotEqual,
    StrictNotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Not,
    IsTrue,
    And,
    Or,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Min,
    Max,
    Map,
    Filter,
    Reduce,
    All,
    None,
    Some,
    Merge,
    In,
    Cat,
    Substr,
    StartsWith,
    EndsWith,
    SemVer,
    Fractional,
}

use Operator as O;

/// Name, operator, and the least and the most arguments.
pub(super) const OPERATORS: [(&str, Operator, usize, usize); 39] = [
    ("var", O::Var, 0, 2),
    ("missing", O::Missing, 0, usize::MAX),
    ("missing_some", O::MissingSome, 2, 2),
    ("if", O::If, 1, usize::MAX),
    ("?:", O::If, 1, usize::MAX),
    ("==", O::Equal, 2, usize::MAX),
    ("===", O::StrictEqual, 2, usize::MAX),
    ("!=", O::NotEqual, 2, usize::MAX),
    ("!==", O::StrictNotEqual, 2, usize::MAX),
    ("<", O::Less, 2, usize::MAX),
    ("<=", O::LessEqual, 2, usize::MAX),
    (">", O::Greater, 2, usize::MAX),
    (">=", O::GreaterEqual, 2, usize::MAX),
    ("!", O::Not, 1, 1),
    ("!!", O::IsTrue, 1, 1),
    ("not", O::Not, 1, 1),
    ("and", O::And, 1, usize::MAX),
    ("or", O::Or, 1, usize::MAX),
    ("+", O::Add, 0, usize::MAX),
    ("-", O::Subtract, 1, usize::MAX),
    ("*", O::Multiply, 0, usize::MAX),
    ("/", O::Divide, 1, usize::MAX),
    ("%", O::Remainder, 2, usize::MAX),
    ("min", O::Min, 1, usize::MAX),
    ("max", O::Max, 1, usize::MAX),
    ("map", O::Map, 2, 2),
    ("filter", O::Filter, 2, 2),
    ("reduce", O::Reduce, 2, 3),
    ("all", O::All, 2, 2),
    ("none", O::None, 2, 2),
    ("some", O::Some, 2, 2),
    ("merge", O::Merge, 0, usize::MAX),
    ("in", O::In, 2, 2),
    ("cat", O::Cat, 0, usize::MAX),
    ("substr", O::Substr, 2, 3),
    ("starts_with", O::StartsWith, 2, 2),
    ("ends_with", O::EndsWith, 2, 2),
    ("sem_ver", O::SemVer, 3, 3),
    ("fractional", O::Fractional, 1, usize::MAX),
];

impl Operator {
    pub(super) fn name(self) -> &'static str {
        OPERATORS.iter().find(|(_, operator, ..)| *operator == self).map_or("", |(name, ..)| name)
    }

    /// Whether its arguments have to be written one by one, since it does not look at all of them, or not once.
    pub(super) fn is_lazy(self) -> bool {
        matches!(
            self,
            O::If
                | O::And
                | O::Or
                | O::Map
                | O::Filter
                | O::Reduce
                | O::All
                | O::None
                | O::Some
                | O::Equal
                | O::StrictEqual
                | O::NotEqual
                | O::StrictNotEqual
                | O::Less
                | O::LessEqual
                | O::Greater
                | O::GreaterEqual
        )
    }

    /// Whether it is one of flagd's own, which have the value null where they cannot be applied.
    pub(super) fn is_flagds(self) -> bool {
        matches!(self, O::StartsWith | O::EndsWith | O::SemVer | O::Fractional)
    }

    /// Whether its second argument is evaluated for each element of the first.
    pub(super) fn is_iterative(self) -> bool {
        matches!(self, O::Map | O::Filter | O::Reduce | O::All | O::None | O::Some)
    }

    /// Whether the same arguments always have the same value, whatever the context is.
    pub(super) fn is_constant(self) -> bool {
        !matches!(
            self,
            O::Var
                | O::Missing
                | O::MissingSome
                | O::StartsWith
                | O::EndsWith
                | O::SemVer
                | O::Fractional
        )
    }
}
