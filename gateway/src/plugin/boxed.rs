//! Large records from a guest, in a box.
//!
//! Owns nothing but the box: outcomes of hooks pass through many hands, in wasmtime and here, and
//! each would copy the whole record.
#![expect(unsafe_code, reason = "the traits of wasmtime that say how a type is read are unsafe")]

use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext};
use wasmtime::component::{ComponentType, Lift};
use wasmtime::error::Result;

/// See the module.
#[derive(Debug)]
pub(crate) struct Boxed<T>(pub(crate) Box<T>);

// SAFETY: all of it is the inner type's.
unsafe impl<T: ComponentType> ComponentType for Boxed<T> {
    type Lower = T::Lower;

    const ABI: CanonicalAbiInfo = T::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        T::typecheck(ty, types)
    }
}

// SAFETY: as above.
unsafe impl<T: Lift> Lift for Boxed<T> {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        src: &Self::Lower,
    ) -> Result<Self> {
        Ok(Self(Box::new(T::linear_lift_from_flat(cx, ty, src)?)))
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> Result<Self> {
        Ok(Self(Box::new(T::linear_lift_from_memory(cx, ty, bytes)?)))
    }
}
