//! Which keywords there are, with or without a meaning for validation.
//!
//! Owns the names of draft 4 to 2020-12 and of OpenAPI, and the guess which one was meant.

/// All keywords of the drafts and of OpenAPI's schemas, in order.
const KNOWN: [&str; 75] = [
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "discriminator",
    "disallow",
    "divisibleBy",
    "else",
    "enum",
    "example",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "extends",
    "externalDocs",
    "format",
    "formatMaximum",
    "formatMinimum",
    "id",
    "if",
    "items",
    "links",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "media",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
    "xml",
];

/// What is said of a name that is no keyword; `None` for one that is, or that is anybody's.
pub(super) fn is_unknown(name: &str) -> Option<String> {
    if KNOWN.contains(&name) || name.starts_with("x-") {
        return None;
    }
    let meant = KNOWN.iter().map(|known| (distance(name, known), known)).min();
    let meant = meant.filter(|(distance, known)| *distance <= 2.min(known.len() / 3));
    let meant = meant.map(|(_, known)| format!("; `{known}` is one")).unwrap_or_default();
    Some(format!("`{name}` is no keyword{meant}"))
}

/// How many letters are added, left out or replaced between two texts; no more than 3 matters.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > 3 || one.len() > 64 {
        return usize::MAX;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut before = index;
        row[0] = index + 1;
        for (at, its) in other.iter().enumerate() {
            let replaced = before + usize::from(*its != letter);
            before = row[at + 1];
            row[at + 1] = replaced.min(before + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_which_keyword_was_meant() {
        for (name, meant) in
            [("requird", "required"), ("maxlength", "maxLength"), ("patern", "pattern")]
        {
            let expected = format!("`{name}` is no keyword; `{meant}` is one");
            assert_eq!(is_unknown(name), Some(expected));
        }
        assert_eq!(is_unknown("colour").as_deref(), Some("`colour` is no keyword"));
        assert_eq!(is_unknown("nto").as_deref(), Some("`nto` is no keyword"));
        for known in ["required", "x-anything", "discriminator", "$comment"] {
            assert_eq!(is_unknown(known), None, "{known}");
        }
    }
}
