//! From JSON to an expression, with all that is wrong with it and where.

use serde_json::{Map, Value};

use super::evaluate::Evaluator;
use super::javascript::operand;
use super::operator::{OPERATORS, Operator};
use super::rollout;
use super::{Arguments, Call, Logic, Node};
use crate::near;

/// The deepest nesting.
const DEEPEST: usize = 50;

/// The most parts of an expression, with those of the shared ones that it names.
const MOST_PARTS: usize = 20_000;

/// Reads expressions that can name shared ones.
#[derive(Debug)]
pub(crate) struct Compiler<'a> {
    shared: Option<&'a Map<String, Value>>,
    /// Faults: where, and what.
    pub(crate) faults: Vec<(Vec<String>, String)>,
}

struct Reading {
    path: Vec<String>,
    /// Shared expressions that this is a part of.
    inside: Vec<String>,
    depth: usize,
    /// How many iterations this is in: there, names are those of elements.
    iterations: usize,
    parts: usize,
    reads_time: bool,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(shared: Option<&'a Map<String, Value>>) -> Self {
        Self { shared, faults: Vec::new() }
    }

    /// Reads the expression at a path of the document. `None` if it has faults, which are noted.
    pub(crate) fn compile(&mut self, value: &Value, path: Vec<String>) -> Option<Logic> {
        let inside = Vec::new();
        let mut reading =
            Reading { path, inside, depth: 0, iterations: 0, parts: 0, reads_time: false };
        let root = self.node(value, &mut reading)?;
        Some(Logic { root, reads_time: reading.reads_time })
    }

    fn fault(&mut self, reading: &Reading, message: impl Into<String>) -> Option<Node> {
        self.faults.push((reading.path.clone(), message.into()));
        None
    }

    fn node(&mut self, value: &Value, reading: &mut Reading) -> Option<Node> {
        reading.parts += 1;
        if reading.depth > DEEPEST || reading.parts > MOST_PARTS {
            if reading.parts <= MOST_PARTS || reading.parts == MOST_PARTS + 1 {
                return self.fault(reading, "the expression is too large");
            }
            return None;
        }
        reading.depth += 1;
        let node = match value {
            Value::Array(items) => {
                let items = self.nodes(items, reading)?;
                let constant: Option<Vec<Value>> = items.iter().map(constant).collect();
                Some(constant.map_or(Node::List(items), |items| Node::Value(Value::Array(items))))
            }
            Value::Object(members) if !members.is_empty() => self.call(members, reading),
            other => Some(Node::Value(other.clone())),
        };
        reading.depth -= 1;
        node
    }

    fn nodes(&mut self, items: &[Value], reading: &mut Reading) -> Option<Vec<Node>> {
        let read: Vec<Option<Node>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                reading.path.push(index.to_string());
                let node = self.node(item, reading);
                reading.path.pop();
                node
            })
            .collect();
        read.into_iter().collect()
    }

    fn call(&mut self, members: &Map<String, Value>, reading: &mut Reading) -> Option<Node> {
        let mut pairs = members.iter();
        let (Some((name, argument)), None) = (pairs.next(), pairs.next()) else {
            let names: Vec<&str> = members.keys().map(String::as_str).collect();
            let message = format!(
                "an expression has one operator, and this has {}: {}",
                names.len(),
                names.join(", ")
            );
            return self.fault(reading, message);
        };
        if name == "$ref" {
            return self.shared(argument, reading);
        }
        let Some((_, operator, least, most)) = OPERATORS.iter().find(|(known, ..)| known == name)
        else {
            let hint = near::help(name, OPERATORS.iter().map(|(known, ..)| *known));
            return self.fault(reading, format!("there is no operator {name:?}{hint}"));
        };
        reading.path.push(name.clone());
        let node = self.arguments(*operator, argument, (*least, *most), reading);
        reading.path.pop();
        node
    }

    fn arguments(
        &mut self,
        operator: Operator,
        argument: &Value,
        (least, most): (usize, usize),
        reading: &mut Reading,
    ) -> Option<Node> {
        let name = operator.name();
        let arguments = match argument {
            Value::Array(items) => {
                if !(least..=most).contains(&items.len()) {
                    self.count(operator, items.len(), (least, most), reading)?;
                }
                Arguments::Many(self.items(operator, items, reading)?)
            }
            Value::Object(members) if !members.is_empty() => {
                if operator.is_lazy() {
                    return self
                        .fault(reading, format!("{name:?} takes its arguments as a list: [..]"));
                }
                Arguments::One(self.node(argument, reading)?)
            }
            _ if operator.is_lazy() || (least > 1 && !operator.is_flagds()) => {
                return self
                    .fault(reading, format!("{name:?} takes its arguments as a list: [..]"));
            }
            primitive => Arguments::Many(vec![Node::Value(primitive.clone())]),
        };
        if let Some(wrong) = wrong(operator, &arguments) {
            self.fault(reading, wrong);
            if !operator.is_flagds() {
                return None;
            }
        }
        if operator == Operator::Var {
            reading.reads_time |= may_be_time(&arguments);
        }
        self.folded(Call { operator, arguments }, reading)
    }

    /// Notes a wrong number of arguments. The operators of flagd have no value then, and the others cannot be read.
    fn count(
        &mut self,
        operator: Operator,
        found: usize,
        range: (usize, usize),
        reading: &Reading,
    ) -> Option<()> {
        let wanted = match range {
            (least, most) if least == most => format!("{least}"),
            (least, usize::MAX) => format!("{least} or more"),
            (least, most) => format!("from {least} to {most}"),
        };
        let name = operator.name();
        self.fault(reading, format!("{name:?} takes {wanted} arguments, and has {found}"));
        operator.is_flagds().then_some(())
    }

    fn items(
        &mut self,
        operator: Operator,
        items: &[Value],
        reading: &mut Reading,
    ) -> Option<Vec<Node>> {
        if !operator.is_iterative() {
            return self.nodes(items, reading);
        }
        let mut nodes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let step = usize::from(index == 1);
            reading.iterations += step;
            reading.path.push(index.to_string());
            nodes.push(self.node(item, reading));
            reading.path.pop();
            reading.iterations -= step;
        }
        nodes.into_iter().collect()
    }

    /// Finds the value of what does not depend on the context: whoever wrote it is told now if there is none.
    fn folded(&mut self, call: Call, reading: &Reading) -> Option<Node> {
        let node = Node::Call(Box::new(call));
        if !is_constant(&node, false) {
            return Some(node);
        }
        match Evaluator::new(true).value(&node, &Value::Null) {
            Ok(value) => Some(Node::Value(value.into_owned())),
            Err(why) => self.fault(reading, format!("it never has a value: {why}")),
        }
    }

    fn shared(&mut self, name: &Value, reading: &mut Reading) -> Option<Node> {
        let known = self.shared;
        let Some(name) = name.as_str() else {
            return self.fault(reading, "\"$ref\" names one of \"$evaluators\"");
        };
        let Some(value) = known.and_then(|known| known.get(name)) else {
            let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
            let hint = near::help(name, names);
            return self
                .fault(reading, format!("there is no {name:?} among \"$evaluators\"{hint}"));
        };
        if reading.inside.iter().any(|outer| outer == name) {
            return self.fault(reading, format!("{name:?} of \"$evaluators\" names itself"));
        }
        reading.inside.push(name.to_owned());
        let path = vec!["$evaluators".to_owned(), name.to_owned()];
        let outer = std::mem::replace(&mut reading.path, path);
        let node = self.node(value, reading);
        reading.path = outer;
        reading.inside.pop();
        node
    }
}

fn constant(node: &Node) -> Option<Value> {
    match node {
        Node::Value(value) => Some(value.clone()),
        _ => None,
    }
}

/// Whether its value is the same in each context. In an iteration, what is read is an element.
fn is_constant(node: &Node, in_iteration: bool) -> bool {
    match node {
        Node::Value(_) => true,
        Node::List(items) => items.iter().all(|item| is_constant(item, in_iteration)),
        Node::Call(call) => {
            let reads_element = in_iteration && call.operator == Operator::Var;
            (call.operator.is_constant() || reads_element)
                && match &call.arguments {
                    Arguments::One(node) => is_constant(node, in_iteration),
                    Arguments::Many(nodes) => nodes.iter().enumerate().all(|(index, node)| {
                        let is_inner = in_iteration || (call.operator.is_iterative() && index == 1);
                        is_constant(node, is_inner)
                    }),
                }
        }
    }
}

/// What is wrong with arguments that are written.
fn wrong(operator: Operator, arguments: &Arguments) -> Option<String> {
    let Arguments::Many(nodes) = arguments else { return None };
    match operator {
        Operator::Fractional => rollout::wrong(nodes),
        Operator::SemVer => match nodes.get(1) {
            Some(Node::Value(Value::String(name)))
                if rollout::COMPARISONS.contains(&name.as_str()) =>
            {
                None
            }
            Some(Node::Value(other)) if nodes.len() == 3 => {
                let known = rollout::COMPARISONS.join(", ");
                Some(format!("versions are compared by one of {known}, and not by {other}"))
            }
            _ => None,
        },
        Operator::Var => match nodes.first() {
            Some(Node::Value(Value::String(path))) if path.starts_with("../") => {
                Some(format!("{path:?}: what is outside of an iteration cannot be read in it"))
            }
            _ => None,
        },
        Operator::Add
        | Operator::Subtract
        | Operator::Multiply
        | Operator::Divide
        | Operator::Remainder => {
            let written = nodes.iter().enumerate().filter_map(|(index, node)| match node {
                Node::Value(value) => Some((index, value)),
                _ => None,
            });
            let is_wrong = |(index, value): &(usize, &Value)| match operand(value) {
                Ok(number) => operator == Operator::Divide && *index > 0 && number == 0.0,
                Err(_) => true,
            };
            let (_, value) = written.into_iter().find(is_wrong)?;
            Some(format!("{:?} cannot compute with {value}", operator.name()))
        }
        _ => None,
    }
}

/// Whether the time may be read here: it is named, or what is named is found out later.
fn may_be_time(arguments: &Arguments) -> bool {
    match arguments {
        Arguments::Many(nodes) => match nodes.first() {
            Some(Node::Value(Value::String(path))) => {
                path.is_empty() || (path.starts_with(super::FLAGD) && path != "$flagd.flagKey")
            }
            Some(Node::Value(Value::Null)) | None => true,
            Some(Node::Value(_)) => false,
            Some(_) => true,
        },
        Arguments::One(_) => true,
    }
}
