//! Which known name somebody may have meant.

/// A hint such as `; did you mean "if"?`, or nothing.
pub(crate) fn hint<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known.into_iter().map(|name| (distance(written, name), name)).min();
    match near {
        Some((distance, name)) if distance <= written.len().max(3) / 3 => {
            format!("; did you mean {name:?}?")
        }
        _ => String::new(),
    }
}

/// What can be done about a name that there is not, behind what is wrong: empty, or a line that begins with `help: `.
pub(crate) fn help<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let hint = hint(written, known);
    hint.strip_prefix("; ").map_or_else(String::new, |hint| format!("{HELP}{hint}"))
}

/// What is between what is wrong and what can be done about it.
pub(crate) const HELP: &str = "\nhelp: ";

/// The number of edits of single characters between two names.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = line + 1;
        for column in 0..other.len() {
            let replaced = before + usize::from(letter != other[column]);
            before = row[column + 1];
            row[column + 1] = replaced.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
