//! `gateway:plugin/signature`: keys that verify signatures, with native code.

mod key;
// One file for both, so that a test judges a key as the gateway does.
#[path = "../../../../plugin-sdk/src/testing/cryptography/public_key.rs"]
mod public_key;

use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceType, WasmList};

use self::key::{Family, VerifyingKey};
use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::{Algorithm, KeyMaterial};

/// Keys that one instance may hold.
const MAX_KEYS: usize = 1_000;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    let drop_key = |mut store: StoreContextMut<'_, HostState>, index| {
        let key = Resource::<VerifyingKey>::new_own(index);
        store.data().changes_handles();
        store.data_mut().table.delete(key)?;
        store.data_mut().keys = store.data().keys.saturating_sub(1);
        Ok(())
    };
    linker.resource("verifying-key", ResourceType::host::<VerifyingKey>(), drop_key)?;
    linker.same_each_time(
        "[static]verifying-key.parse",
        |mut store: Context<'_>, (algorithm, material): (Algorithm, KeyMaterial)| {
            Ok((store.data_mut().parse_key(Ok(Family::of(algorithm)), &material)?,))
        },
    )?;
    linker.same_each_time(
        "[static]verifying-key.parse-named",
        |mut store: Context<'_>, (algorithm, material): (String, KeyMaterial)| {
            Ok((store.data_mut().parse_key(Family::named(&algorithm), &material)?,))
        },
    )?;
    type Verify = (Resource<VerifyingKey>, WasmList<u8>, WasmList<u8>);
    linker.same_each_time(
        "[method]verifying-key.verify",
        |store: Context<'_>, (key, message, signature): Verify| {
            let (message, signature) = (message.as_le_slice(&store), signature.as_le_slice(&store));
            Ok((store.data().table.get(&key)?.verify(message, signature),))
        },
    )
}

impl HostState {
    fn parse_key(
        &mut self,
        family: Result<Family, String>,
        material: &KeyMaterial,
    ) -> wasmtime::Result<Result<Resource<VerifyingKey>, String>> {
        if self.keys >= MAX_KEYS {
            return Ok(Err(format!("the plugin holds {MAX_KEYS} keys already")));
        }
        match family.and_then(|family| VerifyingKey::parse(&family, material)) {
            Ok(key) => {
                self.keys += 1;
                self.changes_handles();
                Ok(Ok(self.table.push(key)?))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}
