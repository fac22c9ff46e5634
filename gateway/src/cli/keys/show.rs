//! Keys as lines of text.

use gateway::usage::show_minute;
use serde_json::Value;

/// A member that is a text; empty if it is none.
pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn time(key: &Value, name: &str) -> Option<String> {
    Some(show_minute(key[name].as_i64()? / 60))
}

fn scopes(key: &Value) -> String {
    let scopes = key["scopes"].as_array().into_iter().flatten();
    scopes.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

fn claims(key: &Value) -> Option<String> {
    let claims = key["claims"].as_object().filter(|claims| !claims.is_empty())?;
    Some(Value::Object(claims.clone()).to_string())
}

/// One key, a line a fact.
pub(super) fn one(key: &Value) -> String {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let facts = [
        ("id", some(text(key, "id"))),
        ("consumer", some(text(key, "consumer"))),
        ("group", some(text(key, "group"))),
        ("scopes", some(scopes(key))),
        ("claims", claims(key)),
        ("created", time(key, "created")),
        ("rotated", time(key, "rotated")),
        ("old secret until", time(key, "old_secret_until")),
        ("expires", time(key, "expires")),
        ("last used", time(key, "last_used")),
        ("note", some(text(key, "note"))),
    ];
    let lines = facts.into_iter().filter_map(|(name, fact)| Some((name, fact?)));
    lines.map(|(name, fact)| format!("{name:<16}  {fact}\n")).collect()
}

/// A line a key; without claims and former secrets where no key has one.
pub(super) fn table(keys: &[Value]) -> String {
    if keys.is_empty() {
        return "there are no keys\n".to_owned();
    }
    let head = [
        "id",
        "consumer",
        "group",
        "scopes",
        "claims",
        "expires",
        "old secret",
        "last used",
        "note",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for key in keys {
        let expires = match text(key, "state").as_str() {
            "expired" => "expired".to_owned(),
            _ => time(key, "expires").unwrap_or_else(|| "never".to_owned()),
        };
        rows.push([
            text(key, "id"),
            text(key, "consumer"),
            text(key, "group"),
            scopes(key),
            claims(key).unwrap_or_default(),
            expires,
            time(key, "old_secret_until").map(|at| format!("until {at}")).unwrap_or_default(),
            time(key, "last_used").unwrap_or_else(|| "never".to_owned()),
            text(key, "note"),
        ]);
    }
    let is_shown = |column: &usize| {
        !["claims", "old secret"].contains(&head[*column])
            || rows[1..].iter().any(|row| !row[*column].is_empty())
    };
    let columns: Vec<_> = (0..head.len()).filter(is_shown).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = columns.iter().map(|&it| (it, width(it).unwrap_or_default())).collect();
    let line = |row: &[String; 9]| {
        let cells = widths.iter().map(|(column, width)| format!("{:<width$}", row[*column]));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> Value {
        json!({
            "id": "k1", "consumer": "acme", "group": null, "scopes": ["a", "b"], "claims": { "x": 1 },
            "note": "till 7", "state": "active", "created": 1_795_858_200, "rotated": null,
            "expires": null, "old_secret_until": null, "last_used": 1_795_858_259,
        })
    }

    #[test]
    fn shows_a_line_a_key() {
        let expected = "id  consumer  group  scopes  claims   expires  last used          note\n\
                        k1  acme             a b     {\"x\":1}  never    2026-11-28T09:30Z  till 7\n";
        assert_eq!(table(&[key()]), expected);
        let mut other = key();
        (other["claims"], other["old_secret_until"]) = (json!({}), json!(1_795_858_200));
        let expected = "id  consumer  group  scopes  expires  old secret               last used          note\n\
                        k1  acme             a b     never    until 2026-11-28T09:30Z  2026-11-28T09:30Z  till 7\n";
        assert_eq!(table(&[other]), expected);
        assert_eq!(table(&[]), "there are no keys\n");
    }

    #[test]
    fn shows_a_line_a_fact() {
        let shown = one(&key());
        assert!(shown.contains("claims            {\"x\":1}\n"), "{shown}");
        assert!(!shown.contains("group") && !shown.contains("rotated"), "{shown}");
    }
}
