//! `password` and `signature`.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `signature.algorithm`
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Algorithm {
    #[component(name = "hs256")]
    Hs256,
    #[component(name = "hs384")]
    Hs384,
    #[component(name = "hs512")]
    Hs512,
    #[component(name = "rs256")]
    Rs256,
    #[component(name = "rs384")]
    Rs384,
    #[component(name = "rs512")]
    Rs512,
    #[component(name = "ps256")]
    Ps256,
    #[component(name = "ps384")]
    Ps384,
    #[component(name = "ps512")]
    Ps512,
    #[component(name = "es256")]
    Es256,
    #[component(name = "es384")]
    Es384,
    #[component(name = "es512")]
    Es512,
    #[component(name = "eddsa")]
    Eddsa,
}

/// `signature.key-material`
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum KeyMaterial {
    #[component(name = "secret")]
    Secret(Vec<u8>),
    #[component(name = "pem")]
    Pem(String),
    #[component(name = "jwk")]
    Jwk(String),
}

/// `password.password-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum PasswordError {
    #[component(name = "unsupported")]
    Unsupported,
    #[component(name = "busy")]
    Busy,
}
