//! Where host functions are put, and what a call of one says about the hook that made it.
//!
//! Owns that a hook which called anything counts as one that reached out, whose change is not made
//! again: a new function cannot forget to say so. Those whose result is the same each time for the
//! same arguments are put with [`Functions::same_each_time`]; a test names them all.

use wasmtime::component::{ComponentNamedList, Lift, LinkerInstance, Lower, ResourceType};
use wasmtime::{Result, StoreContextMut};

use super::{Context, HostState};

/// The functions of one interface.
pub(super) struct Functions<'a, 'b> {
    linker: &'a mut LinkerInstance<'b, HostState>,
    /// What a call does to the state before anything else.
    mark: fn(&HostState),
    /// The functions whose result is the same each time.
    #[cfg(test)]
    pub(super) same: Vec<String>,
}

impl<'a, 'b> Functions<'a, 'b> {
    /// Functions for one hook: another one is not concerned.
    pub(super) fn new(linker: &'a mut LinkerInstance<'b, HostState>) -> Self {
        Self::marking(linker, HostState::reaches_out)
    }

    /// Functions whose results runtimes keep for as long as an instance lives, so that they may decide
    /// in any later hook.
    pub(super) fn lasting(&mut self) -> Functions<'_, 'b> {
        Functions::marking(self.linker, HostState::keeps_what_it_got)
    }

    /// Functions of the limiter that may be answered at once or not.
    pub(super) fn of_limiter(&mut self) -> Functions<'_, 'b> {
        Functions::marking(self.linker, HostState::reaches_limiter)
    }

    fn marking(linker: &'a mut LinkerInstance<'b, HostState>, mark: fn(&HostState)) -> Self {
        Self {
            linker,
            mark,
            #[cfg(test)]
            same: Vec::new(),
        }
    }

    /// Puts a function.
    pub(super) fn func_wrap<F, Params, Return>(&mut self, name: &str, function: F) -> Result<()>
    where
        F: Fn(Context<'_>, Params) -> Result<Return> + Send + Sync + 'static,
        Params: ComponentNamedList + Lift + 'static,
        Return: ComponentNamedList + Lower + 'static,
    {
        let mark = self.mark;
        self.linker.func_wrap(name, move |store: Context<'_>, params: Params| {
            mark(store.data());
            function(store, params)
        })
    }

    /// Puts a function whose result depends on its arguments alone, or for whose change with the time
    /// the plugin answers when it says for how long a change holds.
    pub(super) fn same_each_time<F, Params, Return>(
        &mut self,
        name: &str,
        function: F,
    ) -> Result<()>
    where
        F: Fn(Context<'_>, Params) -> Result<Return> + Send + Sync + 'static,
        Params: ComponentNamedList + Lift + 'static,
        Return: ComponentNamedList + Lower + 'static,
    {
        #[cfg(test)]
        self.same.push(name.to_owned());
        self.linker.func_wrap(name, function)
    }

    /// Puts a function that waits. No change of a hook that called one is made again.
    pub(super) fn func_wrap_async<Params, Return, F>(
        &mut self,
        name: &str,
        function: F,
    ) -> Result<()>
    where
        F: Fn(Context<'_>, Params) -> Box<dyn Future<Output = Result<Return>> + Send + '_>
            + Send
            + Sync
            + 'static,
        Params: ComponentNamedList + Lift + 'static,
        Return: ComponentNamedList + Lower + 'static,
    {
        let mark = self.mark;
        self.linker.func_wrap_async(name, move |store: Context<'_>, params: Params| {
            mark(store.data());
            function(store, params)
        })
    }

    /// Puts a resource.
    pub(super) fn resource(
        &mut self,
        name: &str,
        ty: ResourceType,
        end: impl Fn(StoreContextMut<'_, HostState>, u32) -> Result<()> + Send + Sync + 'static,
    ) -> Result<()> {
        self.linker.resource(name, ty, end)
    }

    /// Puts a function of any type that fails with these words.
    pub(super) fn absent(&mut self, name: &str, message: String) -> Result<()> {
        self.linker.func_new(name, move |_, _, _, _| Err(wasmtime::Error::msg(message.clone())))
    }
}
