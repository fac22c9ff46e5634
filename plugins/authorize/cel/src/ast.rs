//! An expression as a tree.

use regex_lite::Regex;

use super::functions::Function;
use super::value::Value;
use super::variables::Variable;

/// A part of an expression, and the byte of the text where it is told of.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Value),
    /// A name that is not resolved yet.
    Name(String),
    /// What a macro runs over, by its depth.
    Local(usize),
    Variable(Variable),
    Select(Box<Expr>, String),
    /// `has(a.b)`
    Has(Box<Expr>, String),
    /// `has(consumer.id)`
    HasVariable(Variable),
    Index(Box<Expr>, Box<Expr>),
    /// A call that is not resolved yet; a member's first argument is what it is called on.
    Call {
        name: String,
        is_member: bool,
        arguments: Vec<Expr>,
    },
    /// A call, with all functions that it can be.
    Apply(Vec<&'static Function>, Vec<Expr>),
    Matches(Box<Expr>, Box<Regex>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<[Expr; 2]>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Choose(Box<[Expr; 3]>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Fold(Box<Fold>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

/// A macro that runs over a list, or over the keys of a map.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) kind: FoldKind,
    pub(crate) over: Expr,
    pub(crate) name: String,
    /// Of `map` with three arguments: which ones.
    pub(crate) which: Option<Expr>,
    pub(crate) body: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}
