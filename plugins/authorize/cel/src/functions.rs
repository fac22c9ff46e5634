//! What an expression can call.
//!
//! One list, with the types of arguments and results: the check and the evaluation read the same.
//! `matches` is not in it, since its pattern is compiled beforehand.

use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;

use super::time::{self, Civil};
use super::types::Type::{
    self, Any, Bool, Double, Duration, Int, List, Map, Network, Text, Time, Uint,
};
use super::value::Value;

/// A function for arguments of certain types.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Whether it is called on its first argument.
    pub(crate) is_member: bool,
    pub(crate) arguments: &'static [Type],
    pub(crate) result: Type,
    pub(crate) call: fn(&[Value]) -> Result<Value, String>,
}

const fn global(
    name: &'static str,
    arguments: &'static [Type],
    result: Type,
    call: fn(&[Value]) -> Result<Value, String>,
) -> Function {
    Function { name, is_member: false, arguments, result, call }
}

const fn member(
    name: &'static str,
    arguments: &'static [Type],
    result: Type,
    call: fn(&[Value]) -> Result<Value, String>,
) -> Function {
    Function { name, is_member: true, arguments, result, call }
}

/// The longest text that a function makes, in bytes.
const MAX_TEXT: usize = 64 << 10;

pub(crate) static FUNCTIONS: &[Function] = &[
    global("size", &[List], Int, size),
    global("size", &[Map], Int, size),
    global("size", &[Text], Int, size),
    member("size", &[List], Int, size),
    member("size", &[Map], Int, size),
    member("size", &[Text], Int, size),
    member("contains", &[Text, Text], Bool, |it| {
        Ok(Value::Bool(text(it, 0).contains(text(it, 1))))
    }),
    member("contains", &[Network, Text], Bool, |it| contains(&it[0], text(it, 1))),
    member("contains", &[Network, Network], Bool, |it| match (&it[0], &it[1]) {
        (Value::Network(outer), Value::Network(inner)) => Ok(Value::Bool(outer.contains(inner))),
        _ => Err(UNFIT.to_owned()),
    }),
    member("startsWith", &[Text, Text], Bool, |it| {
        Ok(Value::Bool(text(it, 0).starts_with(text(it, 1))))
    }),
    member("endsWith", &[Text, Text], Bool, |it| {
        Ok(Value::Bool(text(it, 0).ends_with(text(it, 1))))
    }),
    member("lowerAscii", &[Text], Text, |it| {
        Ok(Value::Text(text(it, 0).to_ascii_lowercase().into()))
    }),
    member("upperAscii", &[Text], Text, |it| {
        Ok(Value::Text(text(it, 0).to_ascii_uppercase().into()))
    }),
    member("trim", &[Text], Text, |it| Ok(Value::text(text(it, 0).trim()))),
    member("split", &[Text, Text], List, |it| Ok(Value::List(split(text(it, 0), text(it, 1))))),
    member("replace", &[Text, Text, Text], Text, |it| {
        bounded(text(it, 0).replace(text(it, 1), text(it, 2)))
    }),
    member("substring", &[Text, Int], Text, |it| substring(text(it, 0), &it[1], None)),
    member("substring", &[Text, Int, Int], Text, |it| substring(text(it, 0), &it[1], Some(&it[2]))),
    member("indexOf", &[Text, Text], Int, |it| {
        let before = text(it, 0).split_once(text(it, 1)).map(|(before, _)| before.chars().count());
        Ok(before.and_then(|count| i64::try_from(count).ok()).map_or(Value::Int(-1), Value::Int))
    }),
    member("join", &[List], Text, |it| join(&it[0], "")),
    member("join", &[List, Text], Text, |it| join(&it[0], text(it, 1))),
    global("cidr", &[Text], Network, |it| network(text(it, 0)).map(Value::Network)),
    global("int", &[Int], Int, same),
    global("int", &[Uint], Int, int),
    global("int", &[Double], Int, int),
    global("int", &[Text], Int, int),
    global("int", &[Time], Int, int),
    global("uint", &[Uint], Uint, same),
    global("uint", &[Int], Uint, uint),
    global("uint", &[Double], Uint, uint),
    global("uint", &[Text], Uint, uint),
    global("double", &[Double], Double, same),
    global("double", &[Int], Double, double),
    global("double", &[Uint], Double, double),
    global("double", &[Text], Double, double),
    global("string", &[Text], Text, same),
    global("string", &[Any], Text, string),
    global("bool", &[Bool], Bool, same),
    global("bool", &[Text], Bool, |it| match text(it, 0) {
        "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
        _ => Err("the text is neither `true` nor `false`".to_owned()),
    }),
    global("dyn", &[Any], Any, same),
    global("timestamp", &[Time], Time, same),
    global("timestamp", &[Text], Time, |it| {
        let time = time::time(text(it, 0)).map(Value::Time);
        time.ok_or_else(|| "the text is no time such as 2026-01-31T12:00:00Z".to_owned())
    }),
    global("timestamp", &[Int], Time, |it| match it[0] {
        Value::Int(seconds) => {
            let time = i128::from(seconds) * 1_000_000_000;
            let time = Some(time).filter(|it| time::is_time(*it)).map(Value::Time);
            time.ok_or_else(|| "the time is not between the years 1 and 9999".to_owned())
        }
        _ => Err(UNFIT.to_owned()),
    }),
    global("duration", &[Duration], Duration, same),
    global("duration", &[Text], Duration, |it| {
        let duration = time::duration(text(it, 0)).map(Value::Duration);
        duration.ok_or_else(|| "the text is no duration such as 90s or 1h30m".to_owned())
    }),
    member("getFullYear", &[Time], Int, |it| civil(it, |it| it.year)),
    member("getFullYear", &[Time, Text], Int, |it| civil(it, |it| it.year)),
    member("getMonth", &[Time], Int, |it| civil(it, |it| it.month - 1)),
    member("getMonth", &[Time, Text], Int, |it| civil(it, |it| it.month - 1)),
    member("getDate", &[Time], Int, |it| civil(it, |it| it.day)),
    member("getDate", &[Time, Text], Int, |it| civil(it, |it| it.day)),
    member("getDayOfMonth", &[Time], Int, |it| civil(it, |it| it.day - 1)),
    member("getDayOfMonth", &[Time, Text], Int, |it| civil(it, |it| it.day - 1)),
    member("getDayOfYear", &[Time], Int, |it| civil(it, |it| it.day_of_year)),
    member("getDayOfYear", &[Time, Text], Int, |it| civil(it, |it| it.day_of_year)),
    member("getDayOfWeek", &[Time], Int, |it| civil(it, |it| it.day_of_week)),
    member("getDayOfWeek", &[Time, Text], Int, |it| civil(it, |it| it.day_of_week)),
    member("getHours", &[Time], Int, |it| civil(it, |it| it.hour)),
    member("getHours", &[Time, Text], Int, |it| civil(it, |it| it.hour)),
    member("getHours", &[Duration], Int, |it| whole(it, 3_600_000_000_000)),
    member("getMinutes", &[Time], Int, |it| civil(it, |it| it.minute)),
    member("getMinutes", &[Time, Text], Int, |it| civil(it, |it| it.minute)),
    member("getMinutes", &[Duration], Int, |it| whole(it, 60_000_000_000)),
    member("getSeconds", &[Time], Int, |it| civil(it, |it| it.second)),
    member("getSeconds", &[Time, Text], Int, |it| civil(it, |it| it.second)),
    member("getSeconds", &[Duration], Int, |it| whole(it, 1_000_000_000)),
    member("getMilliseconds", &[Time], Int, |it| civil(it, |it| it.nanosecond / 1_000_000)),
    member("getMilliseconds", &[Time, Text], Int, |it| civil(it, |it| it.nanosecond / 1_000_000)),
    member("getMilliseconds", &[Duration], Int, |it| match it[0] {
        Value::Duration(duration) => {
            Ok(Value::Int(i64::try_from(duration % 1_000_000_000 / 1_000_000).unwrap_or_default()))
        }
        _ => Err(UNFIT.to_owned()),
    }),
];

/// What cannot be said of arguments that were checked.
const UNFIT: &str = "an argument has another type";

fn text(arguments: &[Value], index: usize) -> &str {
    match arguments.get(index) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one type for all functions")]
fn same(arguments: &[Value]) -> Result<Value, String> {
    Ok(arguments[0].clone())
}

fn size(arguments: &[Value]) -> Result<Value, String> {
    let size = match &arguments[0] {
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        Value::Text(text) => text.chars().count(),
        _ => return Err(UNFIT.to_owned()),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn bounded(text: String) -> Result<Value, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the text that is made is longer than {MAX_TEXT} bytes"));
    }
    Ok(Value::Text(text.into()))
}

fn split(text: &str, separator: &str) -> Rc<[Value]> {
    if separator.is_empty() {
        return text.chars().map(|it| Value::text(it.encode_utf8(&mut [0; 4]))).collect();
    }
    text.split(separator).map(Value::text).collect()
}

fn join(list: &Value, separator: &str) -> Result<Value, String> {
    let Value::List(items) = list else { return Err(UNFIT.to_owned()) };
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        let Some(Value::Text(text)) = item.fit(Text) else {
            return Err("the list has something that is no text".to_owned());
        };
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&text);
    }
    bounded(joined)
}

fn substring(text: &str, start: &Value, end: Option<&Value>) -> Result<Value, String> {
    let length = text.chars().count();
    let position = |value: &Value| match value {
        Value::Int(at) => usize::try_from(*at).ok().filter(|at| *at <= length),
        _ => None,
    };
    let end = end.map_or(Some(length), position);
    match (position(start), end) {
        (Some(start), Some(end)) if start <= end => {
            let part: String = text.chars().skip(start).take(end - start).collect();
            Ok(Value::Text(part.into()))
        }
        _ => Err("the text has no such part".to_owned()),
    }
}

/// Reads a network, or an address, which is a network of one.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let message = || format!("`{text}` is no network such as 192.0.2.0/24 or 2001:db8::/32");
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse::<IpNet>().map_err(|_| message())?,
    };
    let trunc = network.trunc();
    if network != trunc {
        return Err(format!("{text} has bits beyond its prefix; the network is {trunc}"));
    }
    // An IPv4 network in IPv6 form holds the addresses that are compared with it in IPv4 form.
    match (network, network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpNet::V6(_), address @ IpAddr::V4(_), Some(length)) => {
            IpNet::new(address, length).map_err(|_| message())
        }
        _ => Ok(network),
    }
}

/// Whether a network holds an address.
pub(crate) fn contains(network: &Value, address: &str) -> Result<Value, String> {
    let Value::Network(network) = network else { return Err(UNFIT.to_owned()) };
    // A zone (RFC 4007 section 11) names an interface of this host.
    let plain = address.split_once('%').map_or(address, |(plain, _)| plain);
    let address = plain.parse::<IpAddr>();
    let address = address.map_err(|_| "the text is no address".to_owned())?;
    Ok(Value::Bool(network.contains(&address.to_canonical())))
}

fn int(arguments: &[Value]) -> Result<Value, String> {
    let number = match &arguments[0] {
        Value::Uint(number) => i64::try_from(*number).ok(),
        Value::Double(number) => whole_of(*number).and_then(|it| i64::try_from(it).ok()),
        Value::Text(text) => text.parse().ok(),
        Value::Time(time) => i64::try_from(time.div_euclid(1_000_000_000)).ok(),
        _ => return Err(UNFIT.to_owned()),
    };
    number.map(Value::Int).ok_or_else(|| "it is no whole number that fits".to_owned())
}

fn uint(arguments: &[Value]) -> Result<Value, String> {
    let number = match &arguments[0] {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::Double(number) => whole_of(*number).and_then(|it| u64::try_from(it).ok()),
        Value::Text(text) => text.parse().ok(),
        _ => return Err(UNFIT.to_owned()),
    };
    number.map(Value::Uint).ok_or_else(|| "it is no unsigned number that fits".to_owned())
}

/// A number without its fraction.
fn whole_of(number: f64) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is cut off, as is asked for")]
    let whole = number as i128;
    // What is no number is none, and what is infinite does not fit the types that are asked for.
    (!number.is_nan()).then_some(whole)
}

fn double(arguments: &[Value]) -> Result<Value, String> {
    #[expect(clippy::cast_precision_loss, reason = "the nearest one is what is asked for")]
    let number = match &arguments[0] {
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        Value::Text(text) => text.parse().ok(),
        _ => return Err(UNFIT.to_owned()),
    };
    number.map(Value::Double).ok_or_else(|| "the text is no number".to_owned())
}

fn string(arguments: &[Value]) -> Result<Value, String> {
    let text = match &arguments[0] {
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Time(time) => time::time_text(*time),
        Value::Duration(duration) => time::duration_text(*duration),
        Value::Network(network) => network.to_string(),
        other => return Err(format!("{} cannot be made a text", other.found_type())),
    };
    Ok(Value::Text(text.into()))
}

fn civil(arguments: &[Value], part: fn(&Civil) -> i64) -> Result<Value, String> {
    let offset = match arguments.get(1) {
        Some(_) => zone(text(arguments, 1))?,
        None => 0,
    };
    match arguments[0] {
        Value::Time(time) => Ok(Value::Int(part(&Civil::new(time, offset)))),
        _ => Err(UNFIT.to_owned()),
    }
}

/// The seconds that a zone is ahead of UTC.
pub(crate) fn zone(text: &str) -> Result<i64, String> {
    time::offset(text).ok_or_else(|| {
        format!("`{text}` is no time zone that is known here; write \"UTC\" or \"+02:00\"")
    })
}

fn whole(arguments: &[Value], unit: i128) -> Result<Value, String> {
    match arguments[0] {
        Value::Duration(duration) => {
            Ok(Value::Int(i64::try_from(duration / unit).unwrap_or_default()))
        }
        _ => Err(UNFIT.to_owned()),
    }
}
