//! What arrives with a hook: texts, and lists of values by position.
//!
//! Owns the two forms that they have: in the block of memory in which the gateway lays arguments down (see
//! `wit/arguments.wit`), where they are good for as long as the hook runs, or in memory of their own. Must not know what
//! they mean.

use std::borrow::Cow;
use std::fmt;

/// A text of the request line.
pub type Text = Cow<'static, str>;

/// An element of `list<option<list<u8>>>`, as the canonical ABI has it: the case, the address, the length.
pub(crate) type Record = [u32; 3];

/// Values by position, each of which may be missing.
pub struct Values(Form);

enum Form {
    /// In the block. Its life is said to be longer than it is: nothing that holds it outlives the hook.
    #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "tests have no such block"))]
    InPlace(&'static [Record]),
    Owned(Vec<Option<Vec<u8>>>),
}

impl Values {
    /// The values behind records that the gateway has laid down.
    ///
    /// # Safety
    /// The records and what they point to stay as they are for as long as these values are used.
    #[cfg(target_family = "wasm")]
    #[expect(unsafe_code, reason = "see above")]
    pub(crate) const unsafe fn in_place(records: &'static [Record]) -> Self {
        Self(Form::InPlace(records))
    }

    /// Whether there are none, not even missing ones.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.0 {
            Form::InPlace(records) => records.is_empty(),
            Form::Owned(values) => values.is_empty(),
        }
    }

    /// The value at a position, if it is there.
    pub(crate) fn get(&self, position: usize) -> Option<&[u8]> {
        match &self.0 {
            Form::InPlace(records) => records.get(position).and_then(bytes),
            Form::Owned(values) => values.get(position)?.as_deref(),
        }
    }

    /// The same of a list of texts.
    #[expect(
        unsafe_code,
        reason = "strings are UTF-8 by the canonical ABI, and `set` takes texts only"
    )]
    pub(crate) fn text(&self, position: usize) -> Option<&str> {
        // SAFETY: see the reason above; `get` is not called for texts elsewhere.
        self.get(position).map(|value| unsafe { std::str::from_utf8_unchecked(value) })
    }

    /// Puts a text at a position, if the list is so long.
    pub(crate) fn set(&mut self, position: usize, text: &str) {
        if let Form::InPlace(records) = self.0 {
            let owned = records.iter().map(|record| bytes(record).map(<[u8]>::to_vec)).collect();
            self.0 = Form::Owned(owned);
        }
        if let Form::Owned(values) = &mut self.0
            && let Some(value) = values.get_mut(position)
        {
            *value = Some(text.as_bytes().to_vec());
        }
    }
}

#[expect(unsafe_code, reason = "records point to memory")]
fn bytes(&[case, address, length]: &Record) -> Option<&'static [u8]> {
    // SAFETY: only `Values::in_place` makes values of records, whose caller promises that they are good.
    (case & 0xff == 1).then(|| unsafe {
        std::slice::from_raw_parts(address as usize as *const u8, length as usize)
    })
}

impl Default for Values {
    fn default() -> Self {
        Self(Form::Owned(Vec::new()))
    }
}

impl From<Vec<Option<Vec<u8>>>> for Values {
    fn from(values: Vec<Option<Vec<u8>>>) -> Self {
        Self(Form::Owned(values))
    }
}

impl From<Vec<Option<String>>> for Values {
    fn from(values: Vec<Option<String>>) -> Self {
        Self(Form::Owned(values.into_iter().map(|value| value.map(String::into_bytes)).collect()))
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match &self.0 {
            Form::InPlace(records) => records.len(),
            Form::Owned(values) => values.len(),
        };
        formatter.debug_list().entries((0..count).map(|position| self.get(position))).finish()
    }
}
