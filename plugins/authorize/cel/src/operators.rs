//! What operators do: arithmetic that fails where a result does not fit, comparison, membership.

use std::cmp::Ordering;
use std::rc::Rc;

use super::ast::Operator;
use super::time::{is_duration, is_time};
use super::types::Type;
use super::value::Value;

const OVERFLOW: &str = "the result does not fit";

/// The type of what an operator makes of values of these types; `None` if it takes no such values.
pub(crate) fn result(operator: Operator, left: Type, right: Type) -> Option<Type> {
    use Type::{Any, Bool, Double, Duration, Int, List, Map, Network, Text, Time, Uint};
    let known = |pairs: &[(Type, Type, Type)]| {
        let mut fitting =
            pairs.iter().filter(|(a, b, _)| left.may_be(*a) && right.may_be(*b)).map(|it| it.2);
        let first = fitting.next()?;
        Some(if fitting.all(|it| it == first) { first } else { Any })
    };
    match operator {
        Operator::Equal | Operator::NotEqual => left.may_equal(right).then_some(Bool),
        Operator::In => {
            let is_place = matches!(right, List | Map | Network | Any);
            let is_address = right != Network || left.may_be(Text);
            (is_place && is_address).then_some(Bool)
        }
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            let ordered =
                |it: Type| it.is_number() || matches!(it, Any | Bool | Text | Time | Duration);
            let fits = left.may_be(right) || left.is_number() && right.is_number();
            (fits && ordered(left) && ordered(right)).then_some(Bool)
        }
        Operator::Add => known(&[
            (Int, Int, Int),
            (Uint, Uint, Uint),
            (Double, Double, Double),
            (Text, Text, Text),
            (List, List, List),
            (Time, Duration, Time),
            (Duration, Time, Time),
            (Duration, Duration, Duration),
        ]),
        Operator::Subtract => known(&[
            (Int, Int, Int),
            (Uint, Uint, Uint),
            (Double, Double, Double),
            (Time, Time, Duration),
            (Time, Duration, Time),
            (Duration, Duration, Duration),
        ]),
        Operator::Multiply | Operator::Divide => {
            known(&[(Int, Int, Int), (Uint, Uint, Uint), (Double, Double, Double)])
        }
        Operator::Remainder => known(&[(Int, Int, Int), (Uint, Uint, Uint)]),
    }
}

/// The value of an operation, except for `in`.
pub(crate) fn apply(operator: Operator, left: Value, right: Value) -> Result<Value, String> {
    let ordered = |wanted: fn(Ordering) -> bool| {
        // What is no number is less than nothing, and nothing is less than it.
        if is_nan(&left) || is_nan(&right) {
            return Ok(Value::Bool(false));
        }
        let order = left.order(&right).map(|order| Value::Bool(wanted(order)));
        order.ok_or_else(|| not_for(operator, &left, &right))
    };
    match operator {
        Operator::Equal => Ok(Value::Bool(left.equals(&right))),
        Operator::NotEqual => Ok(Value::Bool(!left.equals(&right))),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(Ordering::is_ge),
        _ => arithmetic(operator, left.plain_beside(&right), right.plain_beside(&left)),
    }
}

fn is_nan(value: &Value) -> bool {
    matches!(value, Value::Double(number) if number.is_nan())
}

fn not_for(operator: Operator, left: &Value, right: &Value) -> String {
    let (left, right) = (left.found_type(), right.found_type());
    format!("`{}` does not take {left} and {right}", operator.text())
}

fn arithmetic(operator: Operator, left: Value, right: Value) -> Result<Value, String> {
    use Operator::{Add, Divide, Multiply, Remainder, Subtract};
    let fits = |value: Option<Value>| value.ok_or_else(|| OVERFLOW.to_owned());
    let is_division = matches!(operator, Divide | Remainder);
    let is_zero = matches!(right, Value::Int(0) | Value::Uint(0));
    if is_division && is_zero {
        return Err("nothing can be divided by zero".to_owned());
    }
    match (operator, &left, &right) {
        (_, Value::Int(a), Value::Int(b)) => fits(
            match operator {
                Add => a.checked_add(*b),
                Subtract => a.checked_sub(*b),
                Multiply => a.checked_mul(*b),
                Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            }
            .map(Value::Int),
        ),
        (_, Value::Uint(a), Value::Uint(b)) => fits(
            match operator {
                Add => a.checked_add(*b),
                Subtract => a.checked_sub(*b),
                Multiply => a.checked_mul(*b),
                Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            }
            .map(Value::Uint),
        ),
        (Add, Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Subtract, Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Multiply, Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        (Divide, Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        (Add, Value::Text(a), Value::Text(b)) => Ok(Value::Text(format!("{a}{b}").into())),
        (Add, Value::List(a), Value::List(b)) => {
            Ok(Value::List(a.iter().chain(b.iter()).cloned().collect::<Rc<[Value]>>()))
        }
        (Add, Value::Time(a), Value::Duration(b)) | (Add, Value::Duration(b), Value::Time(a)) => {
            fits(Some(a + b).filter(|it| is_time(*it)).map(Value::Time))
        }
        (Subtract, Value::Time(a), Value::Duration(b)) => {
            fits(Some(a - b).filter(|it| is_time(*it)).map(Value::Time))
        }
        (Subtract, Value::Time(a), Value::Time(b)) => {
            fits(Some(a - b).filter(|it| is_duration(*it)).map(Value::Duration))
        }
        (Add, Value::Duration(a), Value::Duration(b)) => {
            fits(Some(a + b).filter(|it| is_duration(*it)).map(Value::Duration))
        }
        (Subtract, Value::Duration(a), Value::Duration(b)) => {
            fits(Some(a - b).filter(|it| is_duration(*it)).map(Value::Duration))
        }
        _ => Err(not_for(operator, &left, &right)),
    }
}
