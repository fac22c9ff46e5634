//! The value of an expression.

use std::borrow::Cow;

use serde_json::Value;

use super::javascript::{is_true, operand, text, value};
use super::operator::Operator;
use super::{Arguments, Call, Failure, Node, arithmetic, compare, lists, rollout, texts};

/// The most steps of one evaluation: contexts come from clients, and iterations can be nested.
const MOST_STEPS: usize = 50_000;

/// One evaluation.
pub(super) struct Evaluator {
    steps: usize,
    /// Whether it is of what flagd-core does not compile, which is a little different: what does not depend on the
    /// context, and `if` without an else.
    pub(super) is_plain: bool,
}

impl Evaluator {
    pub(super) fn new(is_plain: bool) -> Self {
        Self { steps: 0, is_plain }
    }

    /// The value of a node in a context.
    pub(super) fn value<'v>(
        &mut self,
        node: &'v Node,
        context: &'v Value,
    ) -> Result<Cow<'v, Value>, Failure> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Failure::TooLong);
        }
        match node {
            Node::Value(value) => Ok(Cow::Borrowed(value)),
            Node::List(items) => {
                self.values(items, context).map(|items| Cow::Owned(Value::Array(items)))
            }
            Node::Call(call) => self.call(call, context),
        }
    }

    fn values(&mut self, nodes: &[Node], context: &Value) -> Result<Vec<Value>, Failure> {
        nodes.iter().map(|node| self.value(node, context).map(Cow::into_owned)).collect()
    }

    fn call<'v>(&mut self, call: &'v Call, context: &'v Value) -> Result<Cow<'v, Value>, Failure> {
        let Call { operator, arguments } = call;
        match (operator, arguments) {
            (Operator::Var, _) => self.var(arguments, context),
            (Operator::If, Arguments::Many(nodes)) => self.choose(nodes, context),
            (Operator::And | Operator::Or, Arguments::Many(nodes)) => {
                let mut found = Cow::Owned(Value::Null);
                for node in nodes {
                    found = self.value(node, context)?;
                    if is_true(&found) == (*operator == Operator::Or) {
                        break;
                    }
                }
                Ok(found)
            }
            (_, Arguments::Many(nodes)) if operator.is_iterative() => {
                self.iterate(*operator, nodes, context).map(Cow::Owned)
            }
            (_, Arguments::Many(nodes)) if operator.is_lazy() => {
                self.compare(*operator, nodes, context).map(|holds| Cow::Owned(Value::Bool(holds)))
            }
            (_, Arguments::Many(nodes)) => {
                let values = self.values(nodes, context)?;
                self.apply(*operator, values, context).map(Cow::Owned)
            }
            (_, Arguments::One(node)) => {
                let found = self.value(node, context)?.into_owned();
                self.apply_to_one(*operator, found, context).map(Cow::Owned)
            }
        }
    }

    fn choose<'v>(
        &mut self,
        nodes: &'v [Node],
        context: &'v Value,
    ) -> Result<Cow<'v, Value>, Failure> {
        let outer = self.is_plain;
        self.is_plain |= nodes.len() < 3;
        let chosen = self.branch(nodes, context);
        self.is_plain = outer;
        chosen
    }

    fn branch<'v>(
        &mut self,
        nodes: &'v [Node],
        context: &'v Value,
    ) -> Result<Cow<'v, Value>, Failure> {
        let mut branches = nodes.chunks_exact(2);
        for branch in &mut branches {
            if is_true(&*self.value(&branch[0], context)?) {
                return self.value(&branch[1], context);
            }
        }
        match branches.remainder() {
            [otherwise] => self.value(otherwise, context),
            _ => Ok(Cow::Owned(Value::Null)),
        }
    }

    /// Each with the next; what is behind the first that does not hold is not looked at.
    fn compare(
        &mut self,
        operator: Operator,
        nodes: &[Node],
        context: &Value,
    ) -> Result<bool, Failure> {
        let mut nodes = nodes.iter();
        let Some(first) = nodes.next() else { return Err(Failure::Unfit(operator.name())) };
        let mut left = self.value(first, context)?;
        for node in nodes {
            let right = self.value(node, context)?;
            let holds =
                if !self.is_plain && is_var(node) { compare::holds_of_var } else { compare::holds };
            if !holds(operator, &left, &right)? {
                return Ok(false);
            }
            left = right;
        }
        Ok(true)
    }

    fn var<'v>(
        &mut self,
        arguments: &'v Arguments,
        context: &'v Value,
    ) -> Result<Cow<'v, Value>, Failure> {
        let (path, otherwise, is_known) = match arguments {
            Arguments::Many(nodes) => {
                let Some(path) = nodes.first() else { return Ok(Cow::Borrowed(context)) };
                let is_written = matches!(path, Node::Value(Value::String(_) | Value::Number(_)));
                let is_known = is_written && !self.is_plain;
                (self.value(path, context)?, nodes.get(1), is_known)
            }
            Arguments::One(node) => (self.value(node, context)?, None, false),
        };
        // A path that is computed may bring what is there otherwise.
        let (path, computed) = match &*path {
            Value::Array(items) => {
                (items.first().cloned().unwrap_or(Value::Null), items.get(1).cloned())
            }
            path => (path.clone(), None),
        };
        if path.is_null() || path.as_str() == Some("") {
            return Ok(Cow::Borrowed(context));
        }
        match lists::at_path(context, &text(&path)) {
            Some(found) if !(is_known && found.is_null()) => Ok(found),
            _ => match (computed, otherwise) {
                (Some(computed), _) => Ok(Cow::Owned(computed)),
                (None, Some(otherwise)) => self.value(otherwise, context),
                (None, None) => Ok(Cow::Owned(Value::Null)),
            },
        }
    }

    /// Applies an operator to its arguments, as they are written.
    fn apply(
        &self,
        operator: Operator,
        mut values: Vec<Value>,
        context: &Value,
    ) -> Result<Value, Failure> {
        let first = |values: Vec<Value>| values.into_iter().next().unwrap_or(Value::Null);
        Ok(match operator {
            Operator::Not => Value::Bool(!is_true(&first(values))),
            Operator::IsTrue => Value::Bool(is_true(&first(values))),
            Operator::Cat => texts::cat(&values, self.is_plain)?,
            Operator::Substr => texts::substr(&values)?,
            Operator::StartsWith | Operator::EndsWith => texts::has_end(operator, &values),
            Operator::SemVer => rollout::sem_ver(&values),
            Operator::Fractional => rollout::fractional(&values, context),
            Operator::Merge => lists::merge(values)?,
            Operator::Missing => Value::Array(lists::missing(&values, context)),
            Operator::MissingSome => {
                let (Some(Value::Array(options)), Some(needed)) = (values.pop(), values.pop())
                else {
                    return Err(Failure::Unfit(operator.name()));
                };
                let missing = lists::missing(&options, context);
                let found = (options.len() - missing.len()) as f64;
                let is_enough = found >= operand(&needed)?;
                Value::Array(if is_enough { Vec::new() } else { missing })
            }
            Operator::In => {
                let none = Value::Null;
                let (one, all) = (values.first().unwrap_or(&none), values.get(1).unwrap_or(&none));
                Value::Bool(compare::contains(all, one)?)
            }
            _ => arithmetic::compute(operator, &values)?,
        })
    }

    /// Applies an operator to what was computed: if that is a list, its elements are the arguments.
    fn apply_to_one(
        &self,
        operator: Operator,
        found: Value,
        context: &Value,
    ) -> Result<Value, Failure> {
        match (operator, found) {
            (Operator::Not, found) => Ok(Value::Bool(!is_true(&found))),
            (Operator::IsTrue, found) => Ok(Value::Bool(is_true(&found))),
            (Operator::Cat, Value::Null) => Err(Failure::Unfit("cat")),
            (Operator::Cat, Value::Array(items)) => texts::cat(&items, true),
            (Operator::Multiply, found) if !found.is_array() => Err(Failure::Unfit("*")),
            (Operator::Subtract, Value::Array(items)) if items.len() == 1 => {
                value(-operand(&items[0])?)
            }
            (_, Value::Array(items)) => self.apply(operator, items, context),
            (_, found) => self.apply(operator, vec![found], context),
        }
    }
}

/// Whether this reads the context at a path that is written.
fn is_var(node: &Node) -> bool {
    let Node::Call(call) = node else { return false };
    let is_written = |nodes: &Vec<Node>| matches!(nodes.first(), Some(Node::Value(_)) | None);
    call.operator == Operator::Var
        && matches!(&call.arguments, Arguments::Many(nodes) if is_written(nodes))
}
