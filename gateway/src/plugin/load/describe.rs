//! What a component says about itself.
//!
//! Owns the one call that asks for it. Must not decide anything by the answer.

use crate::plugin::bindings::Description;
use crate::plugin::instance::{Describe, Instance};
use crate::plugin::{Failure, Plugin};

/// What the component says about itself, which is logged too. One that fails to is reported in the
/// log: it may serve nevertheless.
pub(super) async fn describe(plugin: &Plugin) -> Option<Description> {
    let described = async {
        let mut instance = Instance::new(plugin).await?;
        Ok::<_, Failure>(instance.call::<Describe>(plugin, None, ()).await?.results.0)
    };
    match described.await {
        Ok(description) => {
            let Description { name, version, sdk, config_schema } = &description;
            tracing::debug!(plugin = %plugin.name, component = name, version, sdk,
                has_schema = !config_schema.is_empty(), waits = plugin.waits, "plugin described");
            Some(description)
        }
        Err(failure) => {
            tracing::warn!(plugin = %plugin.name,
                "the plugin does not describe itself: {failure}");
            None
        }
    }
}
