//! `+ - * / %`, `min` and `max`.

use serde_json::Value;

use super::Failure;
use super::javascript::{operand, value};
use super::operator::Operator;

/// Computes with a list of operands.
pub(super) fn compute(operator: Operator, operands: &[Value]) -> Result<Value, Failure> {
    let numbers = || operands.iter().map(operand).collect::<Result<Vec<f64>, Failure>>();
    let result = match operator {
        Operator::Add => numbers()?.into_iter().sum::<f64>(),
        Operator::Multiply => numbers()?.into_iter().product(),
        Operator::Min => extreme(operator, operands, f64::min)?,
        Operator::Max => extreme(operator, operands, f64::max)?,
        Operator::Subtract => match numbers()?.as_slice() {
            [] => return Err(Failure::Unfit(operator.name())),
            [one] => -one,
            [first, rest @ ..] => rest.iter().fold(*first, |left, right| left - right),
        },
        Operator::Divide => match numbers()?.as_slice() {
            [] => return Err(Failure::Unfit(operator.name())),
            [one] => divide(1.0, *one)?,
            [first, rest @ ..] => {
                rest.iter().try_fold(*first, |left, right| divide(left, *right))?
            }
        },
        _ => match numbers()?.as_slice() {
            [first, rest @ ..] if !rest.is_empty() => {
                rest.iter().fold(*first, |left, right| left % right)
            }
            _ => return Err(Failure::Unfit(operator.name())),
        },
    };
    value(result)
}

fn divide(dividend: f64, divisor: f64) -> Result<f64, Failure> {
    if divisor == 0.0 { Err(Failure::NotANumber) } else { Ok(dividend / divisor) }
}

/// Only numbers have one: nothing is turned into a number here.
fn extreme(
    operator: Operator,
    operands: &[Value],
    better: fn(f64, f64) -> f64,
) -> Result<f64, Failure> {
    let numbers =
        operands.iter().map(|operand| operand.is_number().then(|| operand.as_f64()).flatten());
    let numbers: Option<Vec<f64>> = numbers.collect();
    numbers
        .and_then(|numbers| numbers.into_iter().reduce(better))
        .ok_or(Failure::Unfit(operator.name()))
}
