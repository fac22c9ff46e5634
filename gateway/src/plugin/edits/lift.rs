//! Edits and attributes out of the memory of a guest.
//!
//! Owns the layout of `list<field-edit>` and `list<attribute>` in the canonical ABI, which the
//! constants below hold against that of the derived types. What does not lie inside the guest's
//! memory fails the call, as it does for every other type.
#![expect(unsafe_code, reason = "the traits of wasmtime that say how a type is read are unsafe")]

use wasmtime::component::__internal::wasmtime_environ::component::StringEncoding;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext};
use wasmtime::component::{ComponentType, Lift};
use wasmtime::{ValRaw, bail, error::Result};

use super::{
    Attribute, Attributes, Edit, Edits, Failure, attribute, edit, field_name, field_value,
};
use crate::plugin::bindings;

/// A variant: the case, then from the fourth byte on two pointers with lengths (or one).
const FIELD_EDIT: usize = 20;
/// A record of two strings.
const ATTRIBUTE: usize = 16;
const ALIGNMENT: usize = 4;

const _: () = {
    assert!(<bindings::FieldEdit as ComponentType>::SIZE32 == FIELD_EDIT);
    assert!(<bindings::FieldEdit as ComponentType>::ALIGN32 as usize == ALIGNMENT);
    assert!(<bindings::Attribute as ComponentType>::SIZE32 == ATTRIBUTE);
    assert!(<bindings::Attribute as ComponentType>::ALIGN32 as usize == ALIGNMENT);
};

/// Reads a list of elements of this size; without copying if texts are in UTF-8, as they nearly
/// always are, and otherwise through the derived type.
macro_rules! lifted_list {
    ($list:ty, $element:ty, $size:expr, $read:expr, $slow:expr) => {
        // SAFETY: both the lowered form and the type check are those of a list of the derived type.
        unsafe impl ComponentType for $list {
            type Lower = <[$element] as ComponentType>::Lower;

            const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;

            fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
                <[$element] as ComponentType>::typecheck(ty, types)
            }
        }

        // SAFETY: every byte is read through a checked slice of the guest's memory.
        unsafe impl Lift for $list {
            fn linear_lift_from_flat(
                cx: &mut LiftContext<'_>,
                ty: InterfaceType,
                src: &[ValRaw; 2],
            ) -> Result<Self> {
                let mut pair = [0; 8];
                pair[..4].copy_from_slice(&src[0].get_u32().to_le_bytes());
                pair[4..].copy_from_slice(&src[1].get_u32().to_le_bytes());
                Self::linear_lift_from_memory(cx, ty, &pair)
            }

            fn linear_lift_from_memory(
                cx: &mut LiftContext<'_>,
                ty: InterfaceType,
                bytes: &[u8],
            ) -> Result<Self> {
                if let Some(mut guest) = Guest::of(cx) {
                    return Self::read(&mut guest, bytes);
                }
                let list = <Vec<$element> as Lift>::linear_lift_from_memory(cx, ty, bytes)?;
                let read: Result<_, Failure> = list.iter().map($slow).collect();
                Ok(Self(read.map_err(Box::new)))
            }
        }

        impl $list {
            /// Reads the list of this pointer and length.
            pub(in crate::plugin) fn read(guest: &mut Guest<'_, '_>, pair: &[u8]) -> Result<Self> {
                let list = guest.elements(pair, $size)?;
                if list.is_empty() {
                    return Ok(Self(Ok(Vec::new())));
                }
                let mut read = Vec::with_capacity(list.len() / $size);
                for element in list.chunks_exact($size) {
                    match $read(guest, element)? {
                        Ok(element) => read.push(element),
                        Err(breach) => return Ok(Self(Err(breach.into()))),
                    }
                }
                Ok(Self(Ok(read)))
            }
        }
    };
}

lifted_list!(Edits, bindings::FieldEdit, FIELD_EDIT, read_edit, edit);
lifted_list!(Attributes, bindings::Attribute, ATTRIBUTE, read_attribute, |it| {
    attribute(&it.name, &it.value)
});

fn read_edit(guest: &mut Guest<'_, '_>, bytes: &[u8]) -> Result<Result<Edit, Failure>> {
    let name = guest.block(&bytes[4..12])?;
    let case = bytes[0];
    let name = match field_name(name) {
        Ok(name) => name,
        Err(breach) => return Ok(Err(breach)),
    };
    if case == 2 {
        return Ok(Ok(Edit::Remove(name)));
    }
    let value = match field_value(&name, guest.block(&bytes[12..20])?) {
        Ok(value) => value,
        Err(breach) => return Ok(Err(breach)),
    };
    match case {
        0 => Ok(Ok(Edit::Set(name, value))),
        1 => Ok(Ok(Edit::Append(name, value))),
        _ => bail!("invalid case of `field-edit`: {case}"),
    }
}

fn read_attribute(guest: &mut Guest<'_, '_>, bytes: &[u8]) -> Result<Result<Attribute, Failure>> {
    let name = guest.text(&bytes[..8])?;
    let value = guest.text(&bytes[8..16])?;
    Ok(attribute(name, value))
}

/// A guest whose texts are in UTF-8, and its memory, which is looked up once.
pub(in crate::plugin) struct Guest<'a, 'b> {
    context: &'b mut LiftContext<'a>,
    memory: &'a [u8],
}

impl<'a, 'b> Guest<'a, 'b> {
    /// `None` where its texts are in another encoding.
    pub(in crate::plugin) fn of(context: &'b mut LiftContext<'a>) -> Option<Self> {
        let is_utf8 = matches!(context.options().string_encoding, StringEncoding::Utf8);
        let memory = context.memory();
        is_utf8.then_some(Self { context, memory })
    }

    /// The bytes of a list, by its pointer and length.
    fn elements(&mut self, pair: &[u8], size: usize) -> Result<&'a [u8]> {
        let (pointer, length) = pointer_and_length(pair)?;
        if !pointer.is_multiple_of(ALIGNMENT) {
            bail!("list pointer is not aligned");
        }
        match length.checked_mul(size) {
            Some(bytes) => self.bytes(pointer, bytes),
            None => bail!("list pointer/length out of bounds of memory"),
        }
    }

    /// The bytes of a string or of a `list<u8>`, by its pointer and length.
    pub(in crate::plugin) fn block(&mut self, pair: &[u8]) -> Result<&'a [u8]> {
        let (pointer, length) = pointer_and_length(pair)?;
        self.bytes(pointer, length)
    }

    /// A string, by its pointer and length.
    pub(in crate::plugin) fn text(&mut self, pair: &[u8]) -> Result<&'a str> {
        Ok(std::str::from_utf8(self.block(pair)?)?)
    }

    /// What is read costs fuel, so that a guest cannot hand over the same bytes a million times.
    fn bytes(&mut self, pointer: usize, length: usize) -> Result<&'a [u8]> {
        self.context.consume_fuel(length)?;
        let end = pointer.checked_add(length);
        match end.and_then(|end| self.memory.get(pointer..end)) {
            Some(bytes) => Ok(bytes),
            None => bail!("pointer/length out of bounds of memory"),
        }
    }
}

#[inline]
fn pointer_and_length(pair: &[u8]) -> Result<(usize, usize)> {
    let Ok(&[a, b, c, d, e, f, g, h]) = <&[u8; 8]>::try_from(pair) else {
        bail!("no pointer and length")
    };
    let (pointer, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    Ok((pointer as usize, length as usize))
}
