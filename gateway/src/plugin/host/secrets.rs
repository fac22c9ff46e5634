//! `gateway:plugin/secrets`: the secrets that the plugin was granted.

use std::borrow::Cow;

use super::functions::Functions;
use super::{Context, Identity};

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("get", |store: Context<'_>, (name,): (String,)| {
        let secrets = &store.data().identity.secrets;
        let secret = secrets.iter().find(|secret| secret.name == name);
        Ok((secret.map(|secret| secret.value.clone()),))
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
