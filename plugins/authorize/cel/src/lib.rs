//! The Common Expression Language: from the text of an expression to its value.
//!
//! Owns the language and knows nothing of rules. Plugins that decide about requests share it: `token` and `parse` read the text, `check` resolves its
//! names and types, and notes what it reads, `eval` finds its value. `variables` is the one list of what an
//! expression can name of a request, `functions` that of what it can call.

mod ast;
mod check;
mod eval;
mod functions;
mod operators;
mod parse;
mod time;
mod token;
mod types;
mod value;
mod variables;

#[cfg(test)]
mod tests;

pub use check::Reads;
pub use eval::Evaluator;
pub use time::time as timestamp;
pub use variables::Facts;

use ast::Expr;
use types::Type;

/// An expression that was read and checked: it has a value that is true or false.
#[derive(Debug)]
pub struct Condition {
    expression: Expr,
    source: String,
}

/// What is wrong with an expression, or with finding its value, and where: a byte of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// The longest expression, in bytes.
const MAX_LENGTH: usize = 16 << 10;

impl Condition {
    /// Reads an expression. What it reads of a request is added to `reads`.
    ///
    /// # Errors
    /// With all that is wrong, each in a sentence that begins with its place.
    pub fn compile(source: &str, reads: &mut Reads) -> Result<Self, Vec<String>> {
        if source.len() > MAX_LENGTH {
            return Err(vec![format!("an expression has at most {MAX_LENGTH} bytes")]);
        }
        let told = |fault: Fault| format!("{}: {}", place(source, fault.at), fault.message);
        let mut expression = parse::parse(source).map_err(|fault| vec![told(fault)])?;
        let (found, mut faults) = check::check(&mut expression, reads);
        if faults.is_empty() && !matches!(found, Type::Bool | Type::Any) {
            let message = format!("the expression is {found}; a rule wants true or false");
            faults.push(Fault::new(expression.at, message));
        }
        if !faults.is_empty() {
            return Err(faults.into_iter().map(told).collect());
        }
        Ok(Self { expression, source: source.to_owned() })
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// With what is missing or of another type, in a sentence that begins with its place.
    pub fn holds(&self, evaluator: &mut Evaluator<'_>) -> Result<bool, String> {
        let found = evaluator.condition(&self.expression);
        found.map_err(|fault| format!("{}: {}", place(&self.source, fault.at), fault.message))
    }
}

/// Line and column, in characters, counted from one; the line only where there are several.
fn place(source: &str, at: usize) -> String {
    let before = source.get(..at).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    if source.contains('\n') {
        format!("line {line}, column {column}")
    } else {
        format!("column {column}")
    }
}
