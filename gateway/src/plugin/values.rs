//! Values of declared fields and attributes into the memory of a guest.
//!
//! Owns the layout of `list<option<list<u8>>>` and `list<option<string>>` in the canonical ABI,
//! which the constant below holds against that of the derived type. The derived way asks the guest
//! for memory even for an empty list, and looks the memory up again for each word that it writes.
#![expect(unsafe_code, reason = "the traits of wasmtime that say how a type is written are unsafe")]

use std::mem::MaybeUninit;

use smallvec::SmallVec;
use wasmtime::component::__internal::wasmtime_environ::component::StringEncoding;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentType, Lower};
use wasmtime::{ValRaw, error::Result};

/// A byte that says whether there is one, and from the fourth on a pointer and a length.
const ELEMENT: usize = 12;
const ALIGNMENT: u32 = 4;

const _: () = {
    assert!(<Option<&[u8]> as ComponentType>::SIZE32 == ELEMENT);
    assert!(<Option<&[u8]> as ComponentType>::ALIGN32 == ALIGNMENT);
    assert!(<Option<&str> as ComponentType>::SIZE32 == ELEMENT);
};

/// What can be in such a list.
pub(crate) trait Value: Lower {
    /// Whether these bytes are those of the guest too, no matter what its encoding of strings.
    const IS_BINARY: bool;

    fn bytes(&self) -> &[u8];
}

impl Value for &[u8] {
    const IS_BINARY: bool = true;

    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Value for &str {
    const IS_BINARY: bool = false;

    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// The values by position; absent ones are `None`.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a, T>(pub(crate) &'a [Option<T>]);

// SAFETY: both the lowered form and the type check are those of a list of the derived type.
unsafe impl<T: Value> ComponentType for Values<'_, T> {
    type Lower = <[Option<T>] as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        <[Option<T>] as ComponentType>::typecheck(ty, types)
    }
}

// SAFETY: `dst` is written whole, and memory through checked slices of what the guest gave.
unsafe impl<T: Value> Lower for Values<'_, T> {
    fn linear_lower_to_flat<U>(
        &self,
        cx: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; 2]>,
    ) -> Result<()> {
        if !T::IS_BINARY && !is_utf8(cx) {
            return self.0.linear_lower_to_flat(cx, ty, dst);
        }
        let list = self.write(cx)?;
        dst.write([ValRaw::i64(list as i64), ValRaw::i64(self.0.len() as i64)]);
        Ok(())
    }

    fn linear_lower_to_memory<U>(
        &self,
        cx: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        if !T::IS_BINARY && !is_utf8(cx) {
            return self.0.linear_lower_to_memory(cx, ty, offset);
        }
        let list = self.write(cx)?;
        write_pair(&mut cx.as_slice_mut()[offset..], list, self.0.len());
        Ok(())
    }
}

impl<T: Value> Values<'_, T> {
    /// Writes the list, and returns where.
    fn write<U>(&self, cx: &mut LowerContext<'_, U>) -> Result<usize> {
        if self.0.is_empty() {
            return Ok(ALIGNMENT as usize);
        }
        let size = self.0.len() * ELEMENT;
        let list = cx.realloc(0, 0, ALIGNMENT, size)?;
        let mut places = SmallVec::<[usize; 8]>::with_capacity(self.0.len());
        for value in self.0 {
            let bytes = value.as_ref().map_or(&[][..], Value::bytes);
            if bytes.is_empty() {
                places.push(1);
                continue;
            }
            let place = cx.realloc(0, 0, 1, bytes.len())?;
            cx.as_slice_mut()[place..place + bytes.len()].copy_from_slice(bytes);
            places.push(place);
        }
        let elements = cx.as_slice_mut()[list..list + size].chunks_exact_mut(ELEMENT);
        for ((element, value), place) in elements.zip(self.0).zip(places) {
            element[..4].copy_from_slice(&u32::from(value.is_some()).to_le_bytes());
            write_pair(&mut element[4..], place, value.as_ref().map_or(0, |it| it.bytes().len()));
        }
        Ok(list)
    }
}

fn is_utf8<U>(cx: &LowerContext<'_, U>) -> bool {
    matches!(cx.options().string_encoding, StringEncoding::Utf8)
}

/// A pointer and a length; both are within a memory of 32 bits.
fn write_pair(bytes: &mut [u8], pointer: usize, length: usize) {
    bytes[..4].copy_from_slice(&(pointer as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&(length as u32).to_le_bytes());
}
