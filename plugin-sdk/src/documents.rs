//! Documents that the gateway keeps current in the background: keys, lists, tables, flags. The
//! configured plugin is granted them one by one, by `documents = ["NAME"]`.
//!
//! [`version`] costs next to nothing. So a hook asks for it, and reads the document with [`get`] only
//! where it is another one than that of which the instance keeps what it made:
//! [`Parsed`] does both. What a plugin allows to be made again
//! ([`Request::reuse_for`](crate::Request::reuse_for)) is forgotten once a document that it was granted
//! has changed.
//!
//! ```
//! use gateway_plugin_sdk::documents::Parsed;
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Deny {
//!     addresses: Parsed<Vec<String>>,
//! }
//!
//! fn lines(content: &[u8]) -> Result<Vec<String>, String> {
//!     let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
//!     Ok(text.lines().map(str::to_owned).collect())
//! }
//!
//! impl Plugin for Deny {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self { addresses: Parsed::new("denied", lines)? })
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request().attribute("client.address")
//!     }
//!
//!     fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
//!         let address = request.attribute("client.address").unwrap_or_default().to_owned();
//!         match self.addresses.get().is_some_and(|denied| denied.contains(&address)) {
//!             true => Outcome::respond(Response::forbidden("not from here")),
//!             false => Outcome::Next,
//!         }
//!     }
//! }
//!
//! let harness = Harness::<Deny>::prepare().document("denied", "10.0.0.1\n").configure(NoConfig {});
//! let harness = harness.unwrap();
//! let from = |address| harness.request(testing::request().attribute("client.address", address));
//! assert_eq!(from("10.0.0.1").answer().unwrap().status(), 403);
//! harness.set_document("denied", "10.0.0.2\n");
//! assert!(from("10.0.0.1").answer().is_none());
//! ```

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use crate::limiter::nanoseconds;
use crate::{ConfigError, host};

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which version it is: each new content has a higher one.
    pub version: u64,
    /// What it says.
    pub content: Vec<u8>,
    /// How long ago it was last known to be what its source has.
    pub age: Duration,
}

/// Something wrong in a document.
///
/// ```
/// use gateway_plugin_sdk::documents::Fault;
///
/// let fault = Fault::at(7..12, "there is no variant \"onn\"").help("did you mean \"on\"?");
/// assert_eq!(fault.place, Some(7..12));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The bytes of the content that are wrong, of which the gateway shows the line if the document is a file. `None`: the document as
    /// a whole, or a place that nobody shall be shown, such as one with a key.
    pub place: Option<Range<usize>>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What can be done about it, shown as `help:`.
    pub help: Option<String>,
}

impl Fault {
    /// A fault of the document as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), help: None }
    }

    /// A fault of these bytes of the content.
    pub fn at(place: Range<usize>, message: impl Into<String>) -> Self {
        Self { place: Some(place), ..Self::new(message) }
    }

    /// Says what can be done about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// All that is wrong in a document: what a [`Parsed`] is refused with. A text is one fault of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl From<Vec<Fault>> for Faults {
    fn from(faults: Vec<Fault>) -> Self {
        Self(faults)
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl From<String> for Faults {
    fn from(message: String) -> Self {
        Fault::new(message).into()
    }
}

/// Gathers what is wrong in a document: the first faults, and of the others their number. A document may have as many faults
/// as lines, and the memory of an instance has no room for them.
///
/// ```
/// use gateway_plugin_sdk::documents::{Fault, FirstFaults};
///
/// let mut faults = FirstFaults::new(2);
/// for line in 0..10 {
///     faults.push(|| Fault::at(line..line, "this is wrong"));
/// }
/// let told: Vec<_> = faults.finish().into_iter().map(|fault| fault.message).collect();
/// assert_eq!(told, ["this is wrong", "this is wrong", "and 8 more, from here on"]);
/// ```
#[derive(Debug)]
pub struct FirstFaults {
    kept: Vec<Fault>,
    most: usize,
    /// Where the first begins that is not kept, and how many they are.
    others: Option<(Option<Range<usize>>, usize)>,
}

/// Bytes of the words of one fault.
const MAX_WORDS: usize = 500;

impl FirstFaults {
    /// Gathers so many.
    pub fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, others: None }
    }

    /// Takes a fault. It is made only if it is kept, or the first that is not.
    pub fn push(&mut self, fault: impl FnOnce() -> Fault) {
        if let Some((_, count)) = &mut self.others {
            *count += 1;
        } else if self.kept.len() < self.most {
            let mut fault = fault();
            fault.message.truncate(fault.message.floor_char_boundary(MAX_WORDS));
            self.kept.push(fault);
        } else {
            self.others = Some((fault().place, 1));
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.others.is_none()
    }

    /// The first, and one that says how many more there are.
    pub fn finish(mut self) -> Vec<Fault> {
        if let Some((place, count)) = self.others {
            let from = if place.is_some() { ", from here on" } else { "" };
            self.kept.push(Fault { place, ..Fault::new(format!("and {count} more{from}")) });
        }
        self.kept
    }
}

/// What came of asking for a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// There is a new version.
    Changed,
    /// It was fetched, and is what it was.
    Unchanged,
    /// It could not be fetched.
    Failed,
    /// It was asked for too short a time ago, and nothing new came of it.
    TooSoon,
    /// The time to wait is over, and the fetch goes on.
    Pending,
    /// The plugin was not granted a document of this name.
    NotGranted,
}

/// The version of a document, 0 while there is none; `None` if the plugin was not granted it.
pub fn version(name: &str) -> Option<u64> {
    host::document_version(name)
}

/// A document; `None` while there is none, or if the plugin was not granted it.
pub fn get(name: &str) -> Option<Document> {
    host::document(name)
}

/// Says that this version was read and nothing is wrong with it: the gateway keeps it for [`accepted`].
pub fn accept(name: &str, version: u64) {
    host::accept_document(name, version);
}

/// The last version that an instance of this configured plugin has [accepted](accept), whatever the document says by now. For
/// an instance that begins while the document is wrong, after a reload too.
pub fn accepted(name: &str) -> Option<Document> {
    host::accepted_document(name)
}

/// Says what is wrong in this version, and that it is refused: what was made of an earlier one stays in force. Each instance may say so; the
/// gateway tells it once, in the log, and `gateway check` tells what was said of a file in `configure`.
pub fn refuse(name: &str, version: u64, faults: &[Fault]) {
    host::report_document(name, version, true, faults);
}

/// As [`refuse`], of a version that is taken all the same.
pub fn doubt(name: &str, version: u64, faults: &[Fault]) {
    host::report_document(name, version, false, faults);
}

/// Has a document fetched now, and waits for that for so long, 10 s at most. All that ask meanwhile
/// share one fetch, and after one that brought nothing new there is none for a while: so a plugin may
/// ask because of what a client sent.
pub fn refresh(name: &str, wait: Duration) -> Refreshed {
    host::refresh_document(name, nanoseconds(wait))
}

type Parse<T> = Box<dyn Fn(&[u8]) -> Result<T, Faults>>;

/// What an instance made of a document, kept for as long as the document is the same.
pub struct Parsed<T> {
    name: String,
    parse: Parse<T>,
    kept: RefCell<Kept<T>>,
}

struct Kept<T> {
    /// The version that was looked at last.
    version: u64,
    /// What is in force, and the version of which it was made.
    current: Option<(u64, Rc<T>)>,
}

impl<T> Parsed<T> {
    /// A document of this name. What is there is read at once: there is more time for that than in a hook. One that `parse`
    /// refuses is [noted](refuse), and what was made of the one before stays in force; an instance that begins meanwhile
    /// takes that too.
    ///
    /// # Errors
    /// If the plugin was not granted it.
    pub fn new<E: Into<Faults>>(
        name: impl Into<String>,
        parse: impl Fn(&[u8]) -> Result<T, E> + 'static,
    ) -> Result<Self, ConfigError> {
        let name = name.into();
        if version(&name).is_none() {
            let message = format!("needs `documents = [\"{name}\"]` beside `component`");
            return Err(ConfigError::new(message));
        }
        let parse = Box::new(move |content: &[u8]| parse(content).map_err(Into::into));
        let parsed = Self { name, parse, kept: RefCell::new(Kept { version: 0, current: None }) };
        let _nothing_yet = parsed.get();
        Ok(parsed)
    }

    /// What was made of the newest document that could be read; `None` before there is one.
    pub fn get(&self) -> Option<Rc<T>> {
        let version = self.version();
        let mut kept = self.kept.borrow_mut();
        if version != kept.version
            && let Some(document) = get(&self.name)
        {
            kept.version = document.version;
            match (self.parse)(&document.content) {
                Ok(parsed) => {
                    kept.current = Some((document.version, Rc::new(parsed)));
                    accept(&self.name, document.version);
                }
                Err(Faults(faults)) => {
                    refuse(&self.name, document.version, &faults);
                    self.take_accepted(&mut kept);
                }
            }
        }
        kept.current.as_ref().map(|(_, parsed)| Rc::clone(parsed))
    }

    /// What another instance has read without a fault, if that is later than what is in force.
    fn take_accepted(&self, kept: &mut Kept<T>) {
        let in_force = kept.current.as_ref().map_or(0, |(version, _)| *version);
        let later = accepted(&self.name).filter(|document| document.version > in_force);
        if let Some(document) = later
            && let Ok(parsed) = (self.parse)(&document.content)
        {
            kept.current = Some((document.version, Rc::new(parsed)));
        }
    }

    /// The version of the document, 0 while there is none.
    pub fn version(&self) -> u64 {
        version(&self.name).unwrap_or(0)
    }

    /// Has the document fetched now; see [`refresh`].
    pub fn refresh(&self, wait: Duration) -> Refreshed {
        refresh(&self.name, wait)
    }
}

impl<T> fmt::Debug for Parsed<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Parsed").field("name", &self.name).finish_non_exhaustive()
    }
}
