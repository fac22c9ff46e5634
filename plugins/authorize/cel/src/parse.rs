//! From tokens to a tree, by the grammar of the language. Macros are recognised here.

use super::Fault;
use super::ast::{Expr, Fold, FoldKind, Kind, Operator};
use super::token::{Token, tokens};
use super::value::Value;

/// How deep parts may lie in parts.
const MAX_DEPTH: usize = 32;

/// How many operators and selections may lie in each other. Operands of `&&` and `||`, and items of lists, lie
/// side by side.
const MAX_LINKED: usize = 100;

/// Words that the language keeps for itself.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Reads an expression.
pub(crate) fn parse(source: &str) -> Result<Expr, Fault> {
    let mut parser = Parser { tokens: tokens(source)?, next: 0, depth: 0, linked: 0 };
    if parser.peek() == &Token::End {
        return Err(Fault::new(0, "there is no expression"));
    }
    let expression = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(expression),
        other => Err(parser.fault(format!("{} is not expected here", other.told()))),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    linked: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn at(&self) -> usize {
        self.tokens[self.next].0
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.at(), message)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    /// Takes a sign, if it is next.
    fn takes(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Sign(next) if *next == sign);
        if is_next {
            self.advance();
        }
        is_next
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(self.fault(format!("`{sign}` is expected here, not {}", self.peek().told())))
    }

    fn expression(&mut self) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault(format!("parts lie in more than {MAX_DEPTH} others")));
        }
        let at = self.at();
        let mut expression = self.or()?;
        if self.takes("?") {
            let chosen = self.or()?;
            self.expect(":")?;
            let other = self.expression()?;
            expression = Expr { at, kind: Kind::Choose(Box::new([expression, chosen, other])) };
        }
        self.depth -= 1;
        Ok(expression)
    }

    fn or(&mut self) -> Result<Expr, Fault> {
        self.side_by_side("||", Self::and, Kind::Or)
    }

    fn and(&mut self) -> Result<Expr, Fault> {
        self.side_by_side("&&", Self::relation, Kind::And)
    }

    /// Operands of one sign. They lie side by side, so that a list of many is not deep.
    fn side_by_side(
        &mut self,
        sign: &str,
        operand: fn(&mut Self) -> Result<Expr, Fault>,
        kind: fn(Vec<Expr>) -> Kind,
    ) -> Result<Expr, Fault> {
        let (at, before) = (self.at(), self.linked);
        let first = operand(self)?;
        if !matches!(self.peek(), Token::Sign(next) if *next == sign) {
            return Ok(first);
        }
        let (mut operands, mut most) = (vec![first], self.linked);
        while self.takes(sign) {
            self.linked = before;
            operands.push(operand(self)?);
            most = most.max(self.linked);
        }
        self.linked = most;
        Ok(Expr { at, kind: kind(operands) })
    }

    fn relation(&mut self) -> Result<Expr, Fault> {
        self.binary(Self::sum, |token| {
            Some(match token {
                Token::Sign("==") => Operator::Equal,
                Token::Sign("!=") => Operator::NotEqual,
                Token::Sign("<") => Operator::Less,
                Token::Sign("<=") => Operator::LessOrEqual,
                Token::Sign(">") => Operator::Greater,
                Token::Sign(">=") => Operator::GreaterOrEqual,
                Token::Name(name) if name == "in" => Operator::In,
                _ => return None,
            })
        })
    }

    fn sum(&mut self) -> Result<Expr, Fault> {
        self.binary(Self::product, |token| match token {
            Token::Sign("+") => Some(Operator::Add),
            Token::Sign("-") => Some(Operator::Subtract),
            _ => None,
        })
    }

    fn product(&mut self) -> Result<Expr, Fault> {
        self.binary(Self::unary, |token| match token {
            Token::Sign("*") => Some(Operator::Multiply),
            Token::Sign("/") => Some(Operator::Divide),
            Token::Sign("%") => Some(Operator::Remainder),
            _ => None,
        })
    }

    /// Operators of one level, from left to right.
    fn binary(
        &mut self,
        operand: fn(&mut Self) -> Result<Expr, Fault>,
        operator: fn(&Token) -> Option<Operator>,
    ) -> Result<Expr, Fault> {
        let mut left = operand(self)?;
        while let Some(found) = operator(self.peek()) {
            let at = self.at();
            self.link()?;
            self.advance();
            let right = operand(self)?;
            left = Expr { at, kind: Kind::Binary(found, Box::new([left, right])) };
        }
        Ok(left)
    }

    /// Counts a part that lies around the one before it.
    fn link(&mut self) -> Result<(), Fault> {
        self.linked += 1;
        if self.linked > MAX_LINKED {
            return Err(self.fault(format!("more than {MAX_LINKED} operators follow each other")));
        }
        Ok(())
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        let kind = match self.peek() {
            Token::Sign("!") => Kind::Not,
            Token::Sign("-") => Kind::Negate,
            _ => return self.member(),
        };
        let is_negative = self.advance() == Token::Sign("-");
        // The least whole number has no positive one to be made of.
        if let (true, Token::Int(number)) = (is_negative, self.peek().clone()) {
            let value = 0_i64.checked_sub_unsigned(number);
            let value = value.ok_or_else(|| self.fault("the number is too large"))?;
            self.advance();
            return self.suffixes(Expr { at, kind: Kind::Literal(Value::Int(value)) });
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault(format!("parts lie in more than {MAX_DEPTH} others")));
        }
        let operand = Box::new(self.unary()?);
        self.depth -= 1;
        Ok(Expr { at, kind: kind(operand) })
    }

    fn member(&mut self) -> Result<Expr, Fault> {
        let primary = self.primary()?;
        self.suffixes(primary)
    }

    fn suffixes(&mut self, mut operand: Expr) -> Result<Expr, Fault> {
        loop {
            let at = self.at();
            if self.takes(".") {
                self.link()?;
                let at = self.at();
                let name = self.name()?;
                operand = if self.takes("(") {
                    let arguments = self.list(")")?;
                    member_call(at, name, operand, arguments)?
                } else {
                    Expr { at, kind: Kind::Select(Box::new(operand), name) }
                };
            } else if self.takes("[") {
                self.link()?;
                let index = self.expression()?;
                self.expect("]")?;
                operand = Expr { at, kind: Kind::Index(Box::new(operand), Box::new(index)) };
            } else {
                return Ok(operand);
            }
        }
    }

    fn name(&mut self) -> Result<String, Fault> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            other => Err(self.fault(format!("a name is expected here, not {}", other.told()))),
        }
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        let literal = |value| Ok(Expr { at, kind: Kind::Literal(value) });
        match self.peek().clone() {
            Token::Int(number) => {
                let value = i64::try_from(number);
                let value = value.map_err(|_| self.fault("the number is too large"))?;
                self.advance();
                literal(Value::Int(value))
            }
            Token::Uint(number) => {
                self.advance();
                literal(Value::Uint(number))
            }
            Token::Double(number) => {
                self.advance();
                literal(Value::Double(number))
            }
            Token::Text(text) => {
                self.advance();
                literal(Value::Text(text.into()))
            }
            Token::Name(name) => self.named(at, name),
            Token::Sign("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => {
                self.advance();
                Ok(Expr { at, kind: Kind::List(self.list("]")?) })
            }
            Token::Sign("{") => {
                self.advance();
                Ok(Expr { at, kind: Kind::Map(self.entries()?) })
            }
            other => Err(self.fault(format!("{} is not expected here", other.told()))),
        }
    }

    fn named(&mut self, at: usize, name: String) -> Result<Expr, Fault> {
        if RESERVED.contains(&name.as_str()) || name == "in" {
            return Err(self.fault(format!("`{name}` is a word of the language, and no name")));
        }
        self.advance();
        let kind = match name.as_str() {
            "true" => Kind::Literal(Value::Bool(true)),
            "false" => Kind::Literal(Value::Bool(false)),
            "null" => Kind::Literal(Value::Null),
            _ if self.takes("(") => {
                let arguments = self.list(")")?;
                return call(at, name, arguments);
            }
            _ => Kind::Name(name),
        };
        Ok(Expr { at, kind })
    }

    /// What stands between commas, to the closing sign. A comma may come last.
    fn list(&mut self, end: &str) -> Result<Vec<Expr>, Fault> {
        let (mut parts, before, mut most) = (Vec::new(), self.linked, self.linked);
        while !self.takes(end) {
            self.linked = before;
            parts.push(self.expression()?);
            most = most.max(self.linked);
            if !self.takes(",") {
                self.expect(end)?;
                break;
            }
        }
        self.linked = most;
        Ok(parts)
    }

    fn entries(&mut self) -> Result<Vec<(Expr, Expr)>, Fault> {
        let (mut entries, before, mut most) = (Vec::new(), self.linked, self.linked);
        while !self.takes("}") {
            self.linked = before;
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            most = most.max(self.linked);
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        self.linked = most;
        Ok(entries)
    }
}

fn call(at: usize, name: String, mut arguments: Vec<Expr>) -> Result<Expr, Fault> {
    if name != "has" {
        return Ok(Expr { at, kind: Kind::Call { name, is_member: false, arguments } });
    }
    let kind = match (arguments.pop().map(|it| it.kind), arguments.is_empty()) {
        (Some(Kind::Select(operand, field)), true) => Kind::Has(operand, field),
        (Some(Kind::Index(_, index)), true) => {
            let message = match index.kind {
                Kind::Literal(Value::Text(key)) => {
                    format!("`has` takes `has(map.key)`; for this key write `\"{key}\" in map`")
                }
                _ => "`has` takes `has(map.key)`; for other keys write `key in map`".to_owned(),
            };
            return Err(Fault::new(at, message));
        }
        _ => return Err(Fault::new(at, "`has` takes one argument, such as `has(map.key)`")),
    };
    Ok(Expr { at, kind })
}

fn member_call(
    at: usize,
    name: String,
    operand: Expr,
    mut arguments: Vec<Expr>,
) -> Result<Expr, Fault> {
    let kind = match (name.as_str(), arguments.len()) {
        ("all", 2) => FoldKind::All,
        ("exists", 2) => FoldKind::Exists,
        ("exists_one" | "existsOne", 2) => FoldKind::ExistsOne,
        ("filter", 2) => FoldKind::Filter,
        ("map", 2 | 3) => FoldKind::Map,
        _ => {
            arguments.insert(0, operand);
            return Ok(Expr { at, kind: Kind::Call { name, is_member: true, arguments } });
        }
    };
    let mut arguments = arguments.into_iter();
    let (variable, second, third) = (arguments.next(), arguments.next(), arguments.next());
    let variable = variable.filter(|it| matches!(it.kind, Kind::Name(_)));
    let (Some(Expr { kind: Kind::Name(variable), .. }), Some(second)) = (variable, second) else {
        let message = format!("`{name}` names its variable first: `list.{name}(it, ...)`");
        return Err(Fault::new(at, message));
    };
    let (which, body) = match third {
        Some(body) => (Some(second), body),
        None => (None, second),
    };
    let fold = Fold { kind, over: operand, name: variable, which, body };
    Ok(Expr { at, kind: Kind::Fold(Box::new(fold)) })
}
