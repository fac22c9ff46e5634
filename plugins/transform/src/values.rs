//! The values that templates are filled in with, for one exchange.
//!
//! Owns reading them from a request or a response, and carrying those that a later hook needs.
//! Each is read once, before the plugin changes anything, so that the order of edits does not
//! matter to what a template sees.

use gateway_plugin_sdk::prelude::*;

use crate::template::{Direction, Origin, Reference, References};

/// One value for each reference of the configuration, as far as they were read.
#[derive(Debug, Default)]
pub(crate) struct Values {
    slots: Vec<Option<String>>,
}

impl Values {
    #[cfg(test)]
    pub(crate) fn of(slots: Vec<Option<String>>) -> Self {
        Self { slots }
    }

    /// The value of the reference with this index.
    pub(crate) fn value(&self, index: usize) -> Option<&str> {
        self.slots.get(index)?.as_deref()
    }
}

impl Values {
    /// Reads these references from a request.
    pub(crate) fn of_request(table: &[Reference], wanted: &[usize], request: &Request) -> Self {
        let mut values = Self::default();
        for &index in wanted {
            let value = table.get(index).and_then(|reference| match reference {
                Reference::Method => Some(request.method().to_owned()),
                Reference::Path => Some(request.path().to_owned()),
                Reference::Query => request.query().map(str::to_owned),
                Reference::QueryParameter(name) => {
                    request.query().and_then(|query| crate::query::parameter(query, name))
                }
                Reference::RequestHeader(name) => request.header(name).map(str::to_owned),
                Reference::Attribute(name) => request.attribute(name).map(str::to_owned),
                Reference::Status | Reference::ResponseHeader(_) => None,
            });
            values.put(index, value);
        }
        values
    }

    /// Adds what these references mean in a response. Those of the request must have been
    /// carried.
    pub(crate) fn add_response(
        &mut self,
        table: &[Reference],
        wanted: &[usize],
        response: &ResponseHead,
    ) {
        for &index in wanted {
            let value = table.get(index).and_then(|reference| match reference {
                Reference::Attribute(name) => response.attribute(name).map(str::to_owned),
                Reference::Status => Some(response.status().to_string()),
                Reference::ResponseHeader(name) => response.header(name).map(str::to_owned),
                Reference::Method
                | Reference::Path
                | Reference::Query
                | Reference::QueryParameter(_)
                | Reference::RequestHeader(_) => None,
            });
            self.put(index, value);
        }
    }

    /// Copies these values for a later hook.
    pub(crate) fn carry(&self, indices: &[usize]) -> Vec<Option<String>> {
        indices.iter().map(|&index| self.value(index).map(str::to_owned)).collect()
    }

    /// The values that [`carry`](Self::carry) copied.
    pub(crate) fn carried(indices: &[usize], carried: &[Option<String>]) -> Self {
        let mut values = Self::default();
        for (&index, value) in indices.iter().zip(carried) {
            values.put(index, value.clone());
        }
        values
    }

    fn put(&mut self, index: usize, value: Option<String>) {
        if self.slots.len() <= index {
            self.slots.resize(index + 1, None);
        }
        self.slots[index] = value;
    }
}

/// Which references are read in which hook, and which are carried on.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Read in `on_request`.
    pub(crate) request_reads: Vec<usize>,
    /// Carried from `on_request` to the hooks of the response.
    pub(crate) carried: Vec<usize>,
    /// Read in `on_response`.
    pub(crate) response_reads: Vec<usize>,
}

impl Plan {
    pub(crate) fn new(references: &References, table: &[Reference]) -> Self {
        let in_response = references.used(Direction::Response).iter().copied();
        let (carried, response_reads): (Vec<usize>, Vec<usize>) =
            in_response.partition(|&index| table[index].origin() == Origin::Request);
        let mut request_reads = references.used(Direction::Request).to_vec();
        request_reads.extend(
            carried.iter().filter(|index| !references.used(Direction::Request).contains(index)),
        );
        Self { request_reads, carried, response_reads }
    }
}
