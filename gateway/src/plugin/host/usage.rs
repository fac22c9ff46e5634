//! `gateway:plugin/usage`: numbers of the plugin's own, added to the usage of the exchange.

use super::functions::Functions;
use super::{Context, HostState};
use crate::usage::check_name;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("add", |mut store: Context<'_>, (name, amount): (String, i64)| {
        store.data_mut().add_usage(&name, amount)
    })?;
    type Amounts = Vec<(String, i64)>;
    linker.func_wrap("add-all", |mut store: Context<'_>, (amounts,): (Amounts,)| {
        let state = store.data_mut();
        amounts.into_iter().try_for_each(|(name, amount)| state.add_usage(&name, amount))
    })?;
    // Nothing, wherever it is asked for what is done again: not at the end, or at the end where nothing was added.
    linker.same_each_time("added", |store: Context<'_>, (): ()| Ok((store.data().added_usage(),)))
}

impl HostState {
    /// What was added to the exchange so far, where it has ended.
    fn added_usage(&self) -> Vec<(String, i64)> {
        let amounts = self.heads.as_ref().and_then(|heads| heads.facts.amounts.as_deref());
        let usage = &self.identity.state.usage;
        let named = |(number, amount): &(u8, i64)| {
            usage.counter_name(*number).map(|name| (name.to_string(), *amount))
        };
        amounts.into_iter().flatten().filter_map(named).collect()
    }

    fn add_usage(&mut self, name: &str, amount: i64) -> wasmtime::Result<()> {
        if self.heads.is_none() {
            wasmtime::bail!("it broke the contract: it added to usage outside of an exchange");
        }
        check_name(name).map_err(|why| {
            wasmtime::format_err!("it broke the contract: the name of usage {why}")
        })?;
        let usage = &self.identity.state.usage;
        if !usage.is_recording() {
            return Ok(());
        }
        let may_be_new = self.usage.as_ref().is_none_or(|amounts| !amounts.is_full());
        let number = usage.counter(name, may_be_new);
        let added = number.is_some_and(|it| self.usage.get_or_insert_default().add(it, amount));
        if !added {
            usage.amounts_dropped(&self.identity.name, 1);
        }
        Ok(())
    }
}
