//! `gateway:plugin/attributes`: names and texts that go with the exchange.

use super::functions::Functions;
use super::{Context, HostState};
use crate::heads::{AttributeRefused, check_attribute};
use crate::plugin::bindings::AttributeError;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("get", |store: Context<'_>, (name,): (String,)| {
        Ok((store.data().attribute(&name),))
    })?;
    linker.func_wrap("set", |mut store: Context<'_>, (name, value): (String, String)| {
        Ok((store.data_mut().set_attribute(name, value),))
    })?;
    type Named = Vec<(String, String)>;
    linker.func_wrap("set-all", |mut store: Context<'_>, (attributes,): (Named,)| {
        let state = store.data_mut();
        let mut each = attributes.into_iter().map(|(name, value)| state.set_attribute(name, value));
        Ok((each.try_for_each(|set| set),))
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
        let before = self.heads.as_ref().map_or(0, |heads| heads.attributes.len());
        let checked = check_attribute(&name, &value, before + self.attributes.len());
        checked.map_err(|refused| match refused {
            AttributeRefused::Reserved => AttributeError::Reserved,
            AttributeRefused::TooLarge => AttributeError::TooLarge,
        })?;
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, former)) => *former = value,
            None => self.attributes.push((name, value)),
        }
        Ok(())
    }
}
