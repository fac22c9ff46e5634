//! `[documents.NAME]`.
//!
//! Owns where a document comes from and how often. Must not fetch anything: a server that is away is
//! no fault of the configuration, and neither is a file that is gone while a gateway has what it said.

use std::sync::Arc;

use http::uri::PathAndQuery;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::names::Names;
use super::owners::{Kind, Owned};
use super::reader::{Table, Text};
use super::{Document, DocumentSource, Follow, RemoteDocument, Span, Upstream, traces, units};

/// What a document that is fetched has, and a file has not.
const REMOTE: [&str; 7] =
    ["upstream", "path", "headers", "follow", "refresh", "min_refresh", "timeout"];

/// The upstreams of a file, with `None` for one that could not be read.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) names: &'k Names,
    pub(super) upstreams: &'k [Option<Upstream>],
}

impl Known<'_> {
    pub(super) fn find(&self, table: &Table<'_, '_>, name: &Text) -> Option<Upstream> {
        let found = self.names.find(table.reading, name, "an `[upstreams.NAME]` table")?;
        self.upstreams[found].clone()
    }
}

/// The documents of a file.
pub(super) struct Documents {
    names: Names,
    spans: Vec<Span>,
    pub(super) read: Vec<Option<Arc<Document>>>,
    /// The files that they are.
    pub(super) files: Vec<Owned>,
}

impl Documents {
    /// Reads all of them.
    pub(super) fn read(root: &Table<'_, '_>, known: Known<'_>) -> Self {
        let tables = root.named_tables("documents");
        let spans = tables.iter().map(|(name, _)| name.span.clone()).collect();
        let read = tables.iter().map(|(name, table)| read(name, table, known).map(Arc::new));
        let read: Vec<Option<Arc<Document>>> = read.collect();
        let files = tables.iter().zip(&read).filter_map(|((_, table), document)| {
            let document = document.as_ref()?;
            let DocumentSource::File(path) = &document.source else { return None };
            let owner = format!("the document `{}`", document.name);
            let span = table.value("file")?.span();
            Some(Owned { kind: Kind::Document, owner, path: path.clone(), span })
        });
        let files = files.collect();
        let names = tables.into_iter().map(|(name, _)| Some(name)).collect();
        Self { names: Names::new(root.reading, "document", names), spans, read, files }
    }

    /// Those that a plugin lists; `None` where the file has no such key.
    pub(super) fn granted(&self, table: &Table<'_, '_>) -> Option<Vec<Arc<Document>>> {
        let items = table.list("documents")?.iter();
        let names = items.filter_map(|item| table.reading.text(item, "the name of a document"));
        let found = names.filter_map(|name| {
            let index = self.names.find(table.reading, &name, "a `[documents.NAME]` table")?;
            self.read[index].clone()
        });
        Some(found.collect())
    }

    /// Warns of documents that no plugin lists.
    pub(super) fn warn_of_unused(&self, root: &Table<'_, '_>) {
        self.names.warn_of_unused(root.reading, "plugin", |index| self.spans[index].clone());
    }
}

fn read(name: &Text, table: &Table<'_, '_>, known: Known<'_>) -> Option<Document> {
    let size = table.size("size").unwrap_or_default();
    let (mut span, mut shown) = (name.span.clone(), String::new());
    let source = match (table.value("file"), table.value("upstream")) {
        (Some(_), None) => {
            refuse_beside_file(table);
            let text = table.word("file")?;
            (span, shown) = (text.span, text.shown);
            DocumentSource::File(table.reading.source.folder().join(&text.value))
        }
        (None, Some(_)) => DocumentSource::Remote(Box::new(remote(table, known)?)),
        (Some(file), Some(_)) => {
            let error = "a document has either `file` or `upstream`, and this one has both";
            table.reading.report(Diagnostic::error(file.span(), error).help("leave one out"));
            return None;
        }
        (None, None) => {
            if !table.misspells("file") && !table.misspells("upstream") {
                let error = format!("the document `{}` comes from nowhere", name.shown);
                table.reading.report_absence(
                    Diagnostic::error(table.span.clone(), error)
                        .label("`file`, or `upstream` and `path`, is required")
                        .help("add `file = \"PATH\"`, or `upstream = \"NAME\"` with `path = \"/PATH\"`"),
                );
            }
            return None;
        }
    };
    Some(Document { name: name.value.clone(), source, size: size as usize, span, shown })
}

/// What says how something is fetched says nothing about a file.
fn refuse_beside_file(table: &Table<'_, '_>) {
    for key in REMOTE {
        let Some(value) = table.value(key) else { continue };
        let error = Diagnostic::error(value.span(), format!("`{key}` is for a remote document"));
        let error = error.label("this one is a file, which is looked at twice a second");
        table.reading.report(error.help("leave it out"));
    }
}

/// Why a file cannot be a document now, in words.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) message: String,
    pub(crate) note: Option<&'static str>,
    pub(crate) help: Option<String>,
}

impl Document {
    /// Why its file cannot be had, if it is one. The file is not part of the configuration: its changes are no reason to read
    /// that again, and a process that has what it said goes on with that.
    pub(crate) fn unreadable(&self) -> Option<Unreadable> {
        let DocumentSource::File(path) = &self.source else { return None };
        let (shown, size) = (&self.shown, self.size as u64);
        let because = |message: String| Unreadable { message, note: None, help: None };
        Some(match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => because(format!("`{shown}` is not a file")),
            Ok(found) if found.len() > size => Unreadable {
                help: Some(format!("write `size = {}` or more", found.len())),
                ..because(format!(
                    "the file `{shown}` has {} bytes, and the document may have {}",
                    found.len(),
                    units::show_size(size)
                ))
            },
            Ok(_) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Unreadable {
                note: Some("paths are relative to the configuration file"),
                ..because(format!("the file `{shown}` does not exist"))
            },
            Err(error) => because(format!("the file `{shown}` cannot be read: {error}")),
        })
    }
}

fn remote(table: &Table<'_, '_>, known: Known<'_>) -> Option<RemoteDocument> {
    let upstream = table.word("upstream").and_then(|name| known.find(table, &name));
    if table.value("path").is_none() && !table.misspells("path") {
        let error = Diagnostic::error(table.span.clone(), "a remote document has no `path`");
        let error = error.label("`path` is required");
        table.reading.report_absence(error.help("add `path = \"/.well-known/jwks.json\"`"));
    }
    let path = table.word("path").and_then(|text| {
        table.reading.parsed(&text, "a path", |text| path_of(text, "/.well-known/jwks.json"))
    });
    let headers = traces::headers(table);
    let follow = table.given_table("follow");
    let refresh = table.duration("refresh").unwrap_or_default();
    let mut min_refresh = table.duration("min_refresh").unwrap_or_default();
    if min_refresh > refresh {
        if let Some(value) = table.value("min_refresh") {
            let error = Diagnostic::error(value.span(), "`min_refresh` is longer than `refresh`");
            table.reading.report(error.help("make it as long, or shorter"));
        }
        // The default of one is longer than what the file says of the other.
        min_refresh = refresh;
    }
    let timeout = table.duration("timeout").unwrap_or_default();
    let follow = match (follow, &upstream) {
        (Some(follow), Some(upstream)) => Some(self::follow(&follow, known, upstream)?),
        (Some(_), None) => return None,
        (None, _) => None,
    };
    Some(RemoteDocument {
        upstream: upstream?,
        path: path?,
        headers,
        follow,
        refresh,
        min_refresh,
        timeout,
    })
}

fn follow(table: &Table<'_, '_>, known: Known<'_>, own: &Upstream) -> Option<Follow> {
    let given = table.text("pointer");
    let is_pointer = |text: &Text| text.value.is_empty() || text.value.starts_with('/');
    if let Some(text) = given.as_ref().filter(|text| !is_pointer(text)) {
        let error = format!("`{}` is not a JSON Pointer", text.shown);
        let error = Diagnostic::error(text.span.clone(), error);
        table.reading.report(error.help(format!("write `pointer = \"/{}\"`", text.shown)));
    }
    let pointer = given.map_or_else(|| table.default("pointer").to_owned(), |text| text.value);
    let upstream = match table.word("upstream") {
        Some(name) => known.find(table, &name)?,
        None => own.clone(),
    };
    Some(Follow { pointer, upstream, issuer: table.word("issuer").map(|text| text.value) })
}

/// A path with a query or without, as a request has it.
pub(super) fn path_of(text: &str, example: &str) -> Result<PathAndQuery, Fault> {
    let fault = |what: &str| Fault::new(0..text.len(), what.to_owned());
    if text.contains("://") {
        let fault = fault("this is a URL: its host belongs into the upstream");
        return Err(fault.help(format!("write the path alone, such as `{example}`")));
    }
    if !text.starts_with('/') {
        return Err(fault("a path begins with `/`").help(format!("write `/{text}`")));
    }
    if text.contains('#') {
        return Err(fault("a fragment is sent to no server").help("leave out `#` and what follows"));
    }
    let wrong = |it: &(usize, char)| !it.1.is_ascii_graphic() || matches!(it.1, '<' | '>' | '`');
    if let Some((at, wrong)) = text.char_indices().find(wrong) {
        let escaped =
            utf8_percent_encode(wrong.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC).to_string();
        let what = format!("`{}` is not allowed in a path", wrong.escape_debug());
        return Err(Fault::new(at..at + wrong.len_utf8(), what).help(format!("write `{escaped}`")));
    }
    text.parse()
        .map_err(|_| fault("this is not a path").help("percent-encode what a path may not have"))
}
