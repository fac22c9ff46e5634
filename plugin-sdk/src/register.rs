//! The macro that makes a crate a plugin.

/// Makes the crate a plugin: exports what the gateway calls. Once in a crate, at its top level.
///
/// The plugin's name and version are those of the crate. On native targets the macro only checks
/// that the type is a plugin, so that the crate links into tests.
///
/// ```
/// use gateway_plugin_sdk::prelude::*;
///
/// struct Nothing;
///
/// impl Plugin for Nothing {
///     type Config = NoConfig;
///     type Context = ();
///
///     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
///         Ok(Self)
///     }
///
///     fn interest(&self) -> Interest {
///         Interest::new()
///     }
/// }
///
/// register_plugin!(Nothing);
/// ```
#[macro_export]
macro_rules! register_plugin {
    ($plugin:ty) => {
        const _: () = {
            const fn is_plugin<P: $crate::Plugin>() {}
            is_plugin::<$plugin>();
        };

        #[cfg(target_family = "wasm")]
        $crate::__export_plugin!($plugin);
    };
}
