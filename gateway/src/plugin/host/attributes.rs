//! `gateway:plugin/attributes`: names and texts that go with the exchange.

use wasmtime::component::LinkerInstance;

use super::{Context, HostState};
use crate::heads::is_reserved;
use crate::plugin::bindings::AttributeError;

const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 8 << 10;
const MAX_COUNT: usize = 128;

pub(super) fn link(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.func_wrap("get", |store: Context<'_>, (name,): (String,)| {
        Ok((store.data().attribute(&name),))
    })?;
    linker.func_wrap("set", |mut store: Context<'_>, (name, value): (String, String)| {
        Ok((store.data_mut().set_attribute(name, value),))
    })
}

impl HostState {
    fn attribute(&self, name: &str) -> Option<String> {
        if let Some((_, value)) = self.attributes.iter().find(|(known, _)| known == name) {
            return Some(value.clone());
        }
        Some(self.heads.as_ref()?.attribute(name)?.into_owned())
    }

    fn set_attribute(&mut self, name: String, value: String) -> Result<(), AttributeError> {
        if is_reserved(&name) {
            return Err(AttributeError::Reserved);
        }
        let before = self.heads.as_ref().map_or(0, |heads| heads.attributes.len());
        let count = before + self.attributes.len();
        if name.is_empty() || name.len() > MAX_NAME || value.len() > MAX_VALUE || count >= MAX_COUNT
        {
            return Err(AttributeError::TooLarge);
        }
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, former)) => *former = value,
            None => self.attributes.push((name, value)),
        }
        Ok(())
    }
}
