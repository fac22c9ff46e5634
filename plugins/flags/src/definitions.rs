//! The document of definitions: what was read last without a fault is in force.

use std::cell::RefCell;
use std::rc::Rc;

use gateway_flags::{Fault, Flags, Loading};
use gateway_plugin_sdk::documents;
use gateway_plugin_sdk::documents::Document;
use gateway_plugin_sdk::prelude::ConfigError;

/// What some editors write in front. Spaces are put in its place, so that all else keeps its own.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How many flags one request reads of a document that changed, so that none takes long.
const PART: usize = 100;

/// The definitions.
pub(crate) struct Definitions {
    document: String,
    is_strict: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The version of the document that was looked at last.
    version: u64,
    current: Option<Rc<Flags>>,
    /// The version of which it is.
    current_version: u64,
    /// A version, as far as it is read.
    loading: Option<(u64, Loading)>,
    /// The version that another instance has accepted and this one has tried.
    tried: u64,
}

impl Definitions {
    /// From the document of this name. What is there is read at once: there is more time for that than in a request.
    pub(crate) fn new(document: &str, is_strict: bool) -> Result<Self, ConfigError> {
        if documents::version(document).is_none() {
            let help = format!(
                "write `documents = [{document:?}]` beside `component`, and where it is under `[documents]`"
            );
            let message = "the plugin is not granted the document";
            return Err(ConfigError::at("/document", message).help(help));
        }
        let made = Self { document: document.to_owned(), is_strict, state: RefCell::default() };
        made.read(usize::MAX);
        // What is there may be wrong: then the one before.
        made.read(usize::MAX);
        Ok(made)
    }

    /// What is in force; `None` before there was a document that could be read.
    pub(crate) fn get(&self) -> Option<Rc<Flags>> {
        self.read(PART);
        self.state.borrow().current.clone()
    }

    /// Whether what is in force is what will be in the next request.
    pub(crate) fn is_settled(&self) -> bool {
        self.state.borrow().loading.is_none()
    }

    fn read(&self, count: usize) {
        let version = documents::version(&self.document).unwrap_or(0);
        let mut state = self.state.borrow_mut();
        if version != state.version
            && let Some(document) = documents::get(&self.document)
        {
            state.version = document.version;
            self.begin(&mut state, document);
        }
        let Some((version, mut loading)) = state.loading.take() else { return };
        if !loading.advance(count) {
            state.loading = Some((version, loading));
            return;
        }
        match loading.finish() {
            Ok((_, faults)) if self.is_strict && !faults.is_empty() => {
                self.refuse(&mut state, version, &told(faults));
            }
            Err(faults) => self.refuse(&mut state, version, &told(faults)),
            Ok((flags, faults)) => {
                (state.current, state.current_version) = (Some(Rc::new(flags)), version);
                documents::accept(&self.document, version);
                if !faults.is_empty() {
                    documents::doubt(&self.document, version, &told(faults));
                }
            }
        }
    }

    fn begin(&self, state: &mut State, document: Document) {
        let mut content = document.content;
        if content.starts_with(BYTE_ORDER_MARK) {
            content.iter_mut().take(BYTE_ORDER_MARK.len()).for_each(|byte| *byte = b' ');
        }
        let text = String::from_utf8(content).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let fault = documents::Fault::at(at..at, "this is not UTF-8");
            vec![fault.help("save the file as UTF-8")]
        });
        match text.and_then(|text| Loading::new(text).map_err(told)) {
            Ok(loading) => state.loading = Some((document.version, loading)),
            Err(faults) => self.refuse(state, document.version, &faults),
        }
    }

    /// What is in force stays. Where another instance has read a later version without a fault, that is read: an instance
    /// that begins while the document is wrong has none, and all shall have the same.
    fn refuse(&self, state: &mut State, version: u64, faults: &[documents::Fault]) {
        documents::refuse(&self.document, version, faults);
        state.loading = None;
        let accepted = documents::accepted(&self.document);
        let later = accepted.filter(|it| it.version > state.current_version.max(state.tried));
        if let Some(document) = later {
            state.tried = document.version;
            self.begin(state, document);
        }
    }
}

fn told(faults: Vec<Fault>) -> Vec<documents::Fault> {
    let told = faults.into_iter().map(|Fault { path, place, message, help, .. }| {
        let message = if path.is_empty() { message } else { format!("{path}: {message}") };
        documents::Fault { place: Some(place), message, help }
    });
    told.collect()
}
