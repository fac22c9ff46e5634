//! JsonLogic with the operators of flagd: an expression in JSON that has a value in JSON.
//!
//! `operator` lists what there is, `compile` reads and checks an expression, `evaluate` finds its value; `arithmetic`,
//! `compare`, `lists`, `rollout` and `texts` are the operators by kind, and `javascript` is how values become numbers and
//! texts. Where JsonLogic leaves something open, it is as in `@openfeature/flagd-core`.

mod arithmetic;
mod compare;
mod compile;
mod evaluate;
mod javascript;
mod lists;
mod operator;
mod rollout;
mod texts;

use std::fmt;

use serde_json::{Map, Value};

pub(crate) use compile::Compiler;
pub(crate) use javascript::text;

use operator::Operator;

/// The name under which flagd's own facts are in a context.
pub(crate) const FLAGD: &str = "$flagd";

/// An expression that was read and checked.
#[derive(Debug)]
pub struct Logic {
    root: Node,
    reads_time: bool,
}

#[derive(Debug, Clone)]
enum Node {
    Value(Value),
    List(Vec<Node>),
    Call(Box<Call>),
}

#[derive(Debug, Clone)]
struct Call {
    operator: Operator,
    arguments: Arguments,
}

#[derive(Debug, Clone)]
enum Arguments {
    /// They are written one by one.
    Many(Vec<Node>),
    /// They are what this has for its value: all of them if it is a list.
    One(Node),
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A number was needed.
    NotANumber,
    /// An operator cannot do anything with what it was given.
    Unfit(&'static str),
    /// It takes too many steps, or makes something too long.
    TooLong,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => formatter.write_str("there is no number where one is needed"),
            Self::Unfit(operator) => write!(formatter, "{operator:?} cannot be applied to this"),
            Self::TooLong => formatter.write_str("it takes too many steps, or too much room"),
        }
    }
}

impl Logic {
    /// The value for a context. What flagd adds to one is added here: `now` in seconds since 1970, and the flag's key.
    ///
    /// # Errors
    /// If it has none.
    pub fn evaluate(
        &self,
        key: &str,
        context: &Map<String, Value>,
        now: u64,
    ) -> Result<Value, Failure> {
        let mut context = context.clone();
        let mut facts = Map::new();
        facts.insert("flagKey".to_owned(), key.into());
        facts.insert("timestamp".to_owned(), now.into());
        context.insert(FLAGD.to_owned(), Value::Object(facts));
        self.evaluate_in(&Value::Object(context))
    }

    /// The value for a context in which all is already.
    ///
    /// # Errors
    /// If it has none.
    pub(crate) fn evaluate_in(&self, context: &Value) -> Result<Value, Failure> {
        evaluate::Evaluator::new(false).value(&self.root, context).map(std::borrow::Cow::into_owned)
    }

    /// Whether its value may be another one later.
    pub fn reads_time(&self) -> bool {
        self.reads_time
    }
}
