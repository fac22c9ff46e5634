//! Arguments of hooks, laid down in a block of the guest's memory that it keeps for them.
//!
//! Owns how the head of a message and its context lie in that block (`wit/arguments.wit`), and nothing of what
//! they mean. Without a block, or where they do not fit, they go the derived way, which asks the guest for memory list
//! by list: each time a call, which costs more than what is written.
#![expect(unsafe_code, reason = "the traits of wasmtime that say how a type is written are unsafe")]

use std::mem::MaybeUninit;

use wasmtime::component::__internal::wasmtime_environ::component::StringEncoding;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentType, Lift, Lower};
use wasmtime::{ValRaw, error::Result};

use super::bindings::{RequestHead, ResponseHead};
use super::values::Value;

/// The instance in which a plugin says where its block is, but for its version.
pub(super) const ARGUMENTS: &str = "gateway:plugin/arguments@";
/// And its function.
pub(super) const BLOCK: &str = "block";

/// Larger blocks are not used to their end.
const MAX_BLOCK: u32 = 64 << 10;

/// `arguments.memory-block`
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(record)]
pub(crate) struct MemoryBlock {
    address: u32,
    length: u32,
}

impl MemoryBlock {
    /// The block, if it can be one. Whether it lies in the memory is looked at with each call.
    pub(super) fn checked(self) -> Option<Self> {
        let is_sound = self.address != 0
            && self.address.is_multiple_of(8)
            && self.address.checked_add(self.length).is_some();
        is_sound.then_some(Self { length: self.length.min(MAX_BLOCK), ..self })
    }

    /// Takes so many bytes from its beginning, and what aligns the rest.
    fn take(&mut self, bytes: usize) -> Option<Self> {
        let wanted = u32::try_from(bytes).ok()?.checked_next_multiple_of(8)?;
        let length = self.length.checked_sub(wanted)?;
        let taken = Self { address: self.address, length: wanted };
        *self = Self { address: self.address + wanted, length };
        Some(taken)
    }
}

/// An argument that may be laid down in the block of the instance that is called.
#[derive(Clone, Copy)]
pub(crate) struct InPlace<T> {
    value: T,
    block: Option<MemoryBlock>,
}

impl<T> From<T> for InPlace<T> {
    fn from(value: T) -> Self {
        Self { value, block: None }
    }
}

impl<T: LaidDown> InPlace<T> {
    /// Gives it a part of the block.
    pub(super) fn place(&mut self, block: &mut MemoryBlock) {
        self.block = block.take(self.value.size());
    }
}

/// What can be laid down.
pub(crate) trait LaidDown: Lower {
    /// The words that it is passed in.
    const WORDS: usize;

    /// The bytes that it takes, besides those words.
    fn size(&self) -> usize;

    fn lay_down(&self, to: &mut Writer<'_>);
}

/// Words of an argument, and the part of the block that they point into.
pub(crate) struct Writer<'a> {
    words: &'a mut [MaybeUninit<ValRaw>],
    memory: &'a mut [u8],
    /// Where that part begins.
    address: u32,
    /// Bytes that are written.
    used: usize,
}

impl Writer<'_> {
    fn word(&mut self, word: u32) {
        let Some((first, rest)) = std::mem::take(&mut self.words).split_first_mut() else {
            unreachable!("`WORDS` counts them")
        };
        first.write(ValRaw::u32(word));
        self.words = rest;
    }

    /// Copies bytes, and says where to.
    fn copy(&mut self, bytes: &[u8]) -> u32 {
        let at = self.used;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
        self.address + at as u32
    }

    fn block(&mut self, bytes: &[u8]) {
        let address = self.copy(bytes);
        self.word(address);
        self.word(bytes.len() as u32);
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            None => (0..3).for_each(|_| self.word(0)),
            Some(text) => {
                self.word(1);
                self.block(text.as_bytes());
            }
        }
    }

    /// Room for a list of elements, to be taken before anything that is not aligned.
    fn list<T>(&mut self, values: &[Option<T>]) -> usize {
        let at = self.used;
        self.used += values.len() * ELEMENT;
        at
    }

    /// The elements of a list, and the words that say where it is.
    fn values<T: Value>(&mut self, list: usize, values: &[Option<T>]) {
        for (index, value) in values.iter().enumerate() {
            let (address, length) = match value {
                None => (0, 0),
                Some(value) => (self.copy(value.bytes()), value.bytes().len() as u32),
            };
            let element = &mut self.memory[list + index * ELEMENT..][..ELEMENT];
            element[..4].copy_from_slice(&u32::from(value.is_some()).to_le_bytes());
            element[4..8].copy_from_slice(&address.to_le_bytes());
            element[8..].copy_from_slice(&length.to_le_bytes());
        }
        self.word(self.address + list as u32);
        self.word(values.len() as u32);
    }
}

/// An element of `list<option<list<u8>>>`; `values.rs` holds it against the derived type.
const ELEMENT: usize = 12;

fn size_of_list<T: Value>(values: &[Option<T>]) -> usize {
    let bytes = values.iter().flatten().map(|value| value.bytes().len());
    values.len() * ELEMENT + bytes.sum::<usize>()
}

impl LaidDown for RequestHead<'_> {
    const WORDS: usize = 13;

    fn size(&self) -> usize {
        let texts = [self.method, self.path, self.query];
        texts.iter().flatten().map(|text| text.len()).sum::<usize>()
            + size_of_list(self.fields.0)
            + size_of_list(self.attributes.0)
    }

    fn lay_down(&self, to: &mut Writer<'_>) {
        let (fields, attributes) = (to.list(self.fields.0), to.list(self.attributes.0));
        to.optional(self.method);
        to.optional(self.path);
        to.optional(self.query);
        to.values(fields, self.fields.0);
        to.values(attributes, self.attributes.0);
    }
}

impl LaidDown for ResponseHead<'_> {
    const WORDS: usize = 3;

    fn size(&self) -> usize {
        size_of_list(self.fields.0)
    }

    fn lay_down(&self, to: &mut Writer<'_>) {
        let fields = to.list(self.fields.0);
        to.word(self.status.into());
        to.values(fields, self.fields.0);
    }
}

/// A context.
impl LaidDown for &[u8] {
    const WORDS: usize = 2;

    fn size(&self) -> usize {
        self.len()
    }

    fn lay_down(&self, to: &mut Writer<'_>) {
        to.block(self);
    }
}

// SAFETY: both the lowered form and the type check are those of the inner type.
unsafe impl<T: LaidDown> ComponentType for InPlace<T> {
    type Lower = T::Lower;

    const ABI: CanonicalAbiInfo = T::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        T::typecheck(ty, types)
    }
}

// SAFETY: `dst` is written whole, as the assertion holds, and memory through a checked slice of it.
unsafe impl<T: LaidDown> Lower for InPlace<T> {
    fn linear_lower_to_flat<U>(
        &self,
        cx: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<T::Lower>,
    ) -> Result<()> {
        const {
            assert!(size_of::<T::Lower>() == T::WORDS * size_of::<ValRaw>());
            assert!(align_of::<T::Lower>() == align_of::<ValRaw>());
        }
        let Some(MemoryBlock { address, length }) = self.block else {
            return self.value.linear_lower_to_flat(cx, ty, dst);
        };
        let is_utf8 = matches!(cx.options().string_encoding, StringEncoding::Utf8);
        let memory = cx.as_slice_mut().get_mut(address as usize..(address + length) as usize);
        let Some(memory) = memory.filter(|_| is_utf8) else {
            return self.value.linear_lower_to_flat(cx, ty, dst);
        };
        // SAFETY: the lowered form of each type is a sequence of such words, as wasmtime itself relies on, and so many
        // by the assertion above.
        let words = unsafe {
            std::slice::from_raw_parts_mut(dst.as_mut_ptr().cast::<MaybeUninit<ValRaw>>(), T::WORDS)
        };
        let mut writer = Writer { words, memory, address, used: 0 };
        self.value.lay_down(&mut writer);
        assert!(writer.words.is_empty(), "`WORDS` counts them");
        Ok(())
    }

    fn linear_lower_to_memory<U>(
        &self,
        cx: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        self.value.linear_lower_to_memory(cx, ty, offset)
    }
}
