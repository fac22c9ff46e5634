//! Documents of native tests: those that the test gave, and what a refresh brings.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::documents::{Document, Fault, Refreshed};

type Source = Rc<dyn Fn() -> Option<Vec<u8>>>;

/// The documents that a plugin was granted.
#[derive(Default)]
pub(crate) struct Documents(RefCell<BTreeMap<String, State>>);

#[derive(Default)]
struct State {
    version: u64,
    content: Option<Vec<u8>>,
    /// What the plugin has found right last.
    accepted: Option<Document>,
    /// What the plugin has found wrong last, and in which version.
    faults: Vec<Fault>,
    reported: u64,
    /// What a fetch finds.
    source: Option<Source>,
    refreshes: usize,
}

impl State {
    fn set(&mut self, content: Vec<u8>) -> bool {
        let is_new = self.content.as_ref() != Some(&content);
        if is_new {
            self.version += 1;
            self.content = Some(content);
        }
        is_new
    }
}

impl Documents {
    /// Grants a document, or gives it another content.
    pub(crate) fn set(&self, name: &str, content: Vec<u8>) {
        self.0.borrow_mut().entry(name.to_owned()).or_default().set(content);
    }

    /// Grants a document, and says what a fetch finds.
    pub(crate) fn serve(&self, name: &str, source: impl Fn() -> Option<Vec<u8>> + 'static) {
        self.0.borrow_mut().entry(name.to_owned()).or_default().source = Some(Rc::new(source));
    }

    pub(crate) fn version(&self, name: &str) -> Option<u64> {
        self.0.borrow().get(name).map(|state| state.version)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Document> {
        let documents = self.0.borrow();
        let state = documents.get(name)?;
        let content = state.content.clone()?;
        Some(Document { version: state.version, content, age: std::time::Duration::ZERO })
    }

    pub(crate) fn accept(&self, name: &str, version: u64) {
        if let Some(document) = self.get(name).filter(|document| document.version == version)
            && let Some(state) = self.0.borrow_mut().get_mut(name)
        {
            state.accepted = Some(document);
        }
    }

    /// Notes what is wrong in a version. Returns what the log says of it: nothing where that was said.
    pub(crate) fn report(
        &self,
        name: &str,
        version: u64,
        is_refused: bool,
        faults: &[Fault],
    ) -> Option<String> {
        let mut documents = self.0.borrow_mut();
        let state = documents.get_mut(name)?;
        if state.reported == version && state.faults == faults {
            return None;
        }
        (state.reported, state.faults) = (version, faults.to_vec());
        let outcome = match is_refused {
            true => "cannot be read",
            false => "is taken, although something in it is wrong",
        };
        let content = state.content.as_deref().unwrap_or_default();
        let told: Vec<String> = faults.iter().map(|fault| told(fault, content)).collect();
        Some(format!("the document {name:?} {outcome}: {}", told.join("; ")))
    }

    /// What the plugin has found wrong last.
    pub(crate) fn faults(&self, name: &str) -> Vec<Fault> {
        self.0.borrow().get(name).map(|state| state.faults.clone()).unwrap_or_default()
    }

    pub(crate) fn accepted(&self, name: &str) -> Option<Document> {
        self.0.borrow().get(name)?.accepted.clone()
    }

    pub(crate) fn refresh(&self, name: &str) -> Refreshed {
        let source = {
            let mut documents = self.0.borrow_mut();
            let Some(state) = documents.get_mut(name) else { return Refreshed::NotGranted };
            state.refreshes += 1;
            state.source.clone()
        };
        let found = match source {
            Some(source) => source(),
            // What the test gave is what there is.
            None => return Refreshed::Unchanged,
        };
        let Some(content) = found else { return Refreshed::Failed };
        let mut documents = self.0.borrow_mut();
        let state = documents.entry(name.to_owned()).or_default();
        if state.set(content) { Refreshed::Changed } else { Refreshed::Unchanged }
    }

    pub(crate) fn refreshes(&self, name: &str) -> usize {
        self.0.borrow().get(name).map_or(0, |state| state.refreshes)
    }
}

/// A fault in one line, with the place as people count.
fn told(fault: &Fault, content: &[u8]) -> String {
    let place = fault.place.as_ref().map(|place| {
        let before = String::from_utf8_lossy(&content[..place.start.min(content.len())]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: ")
    });
    let help = fault.help.as_ref().map(|help| format!("; {help}"));
    format!("{}{}{}", place.unwrap_or_default(), fault.message, help.unwrap_or_default())
}
