//! `gateway:plugin/secrets`: the secrets that the plugin was granted.

// One file for both, so that a test signs as the gateway does.
#[path = "../../../../plugin-sdk/src/testing/cryptography/private_key.rs"]
mod private_key;

use std::borrow::Cow;

use wasmtime::component::WasmList;

use super::functions::Functions;
use super::{Context, Identity};

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("get", |store: Context<'_>, (name,): (String,)| {
        let secrets = &store.data().identity.secrets;
        let secret = secrets.iter().find(|secret| secret.name == name);
        Ok((secret.map(|secret| secret.value.clone()),))
    })?;
    type Sign = (String, String, WasmList<u8>);
    linker.func_wrap("sign", |store: Context<'_>, (name, algorithm, message): Sign| {
        let secrets = &store.data().identity.secrets;
        let signed = match secrets.iter().find(|secret| secret.name == name) {
            Some(key) => private_key::sign(&key.value, &algorithm, message.as_le_slice(&store)),
            None => Err("the plugin was not granted a secret of this name".to_owned()),
        };
        Ok((signed,))
    })
}

/// Shorter ones keep no secret, and their letters are in many words.
const MIN_HIDDEN: usize = 4;

impl Identity {
    /// The plugin's words with its secrets taken out: a name stands for each.
    pub(in crate::plugin) fn without_secrets<'a>(&self, words: &'a str) -> Cow<'a, str> {
        let mut shown = Cow::Borrowed(words);
        for secret in &self.secrets {
            if secret.value.len() >= MIN_HIDDEN && shown.contains(&*secret.value) {
                let name = format!("<secret {}>", secret.name);
                shown = Cow::Owned(shown.replace(&*secret.value, &name));
            }
        }
        shown
    }
}
