//! `[recorder]`.
//!
//! Owns which exchanges the flight recorder keeps, and the secret that has one kept and reported. Must not
//! keep anything itself.

use super::Recorder;
use super::diagnostic::Diagnostic;
use super::keys::RECORDER;
use super::reader::Table;

/// Characters of the secret, at least: nobody guesses as many.
const LEAST_SECRET: usize = 16;

/// Reads `[recorder]`, or its defaults where the file has an `[admin]` to read records by. `None` where
/// nothing is recorded.
pub(super) fn read(root: &Table<'_, '_>, admin: Option<&Table<'_, '_>>) -> Option<Recorder> {
    let given = root.given_table("recorder");
    if let (Some(table), None) = (&given, admin) {
        let error =
            Diagnostic::error(table.span.clone(), "`[recorder]` has no `[admin]` beside it");
        root.reading.report_absence(
            error
                .label("what it keeps is read there")
                .help("add `[admin]` with `address = \"127.0.0.1:9901\"`"),
        );
    }
    let defaults = || Table::defaults(root.reading, root.span.clone(), &RECORDER);
    let table = given.unwrap_or_else(defaults);
    let size = table.integer("size").unwrap_or_default();
    let recorder = Recorder {
        size: usize::try_from(size).unwrap_or_default(),
        slow: table.duration("slow").unwrap_or_default(),
        sample: table.ratio("sample").unwrap_or_default(),
        debug_secret: debug_secret(&table),
    };
    (admin.is_some() && recorder.size > 0).then_some(recorder)
}

fn debug_secret(table: &Table<'_, '_>) -> Option<String> {
    let text = table.word("debug_secret")?;
    let report = |error: Diagnostic| table.reading.report(error);
    if !text.is_secret() {
        let error = "`debug_secret` of `[recorder]` is written in the file itself";
        report(Diagnostic::secret(text.span.clone(), error).help(
            "write `debug_secret = \"${env:VARIABLE}\"` or `debug_secret = \"${file:PATH}\"`",
        ));
        return None;
    }
    if text.value.len() < LEAST_SECRET {
        let error = format!("`debug_secret` has fewer than {LEAST_SECRET} characters");
        let error = Diagnostic::error(text.span.clone(), error);
        report(error.help("make one with `openssl rand -hex 16`"));
        return None;
    }
    if !text.value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let error = "`debug_secret` has characters that a field value cannot have at any place";
        let error = Diagnostic::error(text.span.clone(), error);
        report(error.help("use ASCII letters, digits and signs, without spaces"));
        return None;
    }
    Some(text.value)
}
