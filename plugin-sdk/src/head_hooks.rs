//! `on-request` and `on-response` across the border by hand: nearly every call is one of them.
//!
//! Owns how their arguments are taken over and how their outcomes are laid out in memory, by the
//! canonical ABI. The code that is generated for the other hooks copies each list into a new block
//! and needs a second call, after which it gives everything back; here arguments are read where the gateway has laid
//! them down ([`block`]), and the outcome is kept as the
//! plugin made it, the gateway reads it where it is, and it is dropped when the next hook
//! begins. Must not know what the hooks do.
#![expect(unsafe_code, reason = "arguments and outcomes cross the border as addresses")]

use std::cell::{RefCell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::slice;

use crate::arrived::{Record, Text, Values};
use crate::wire::{
    BodyMode, Decision, Field, FieldEdit, NewAttribute, RequestChange, RequestHead, Response,
    ResponseChange, ResponseHead,
};

/// The hooks that are exported here.
pub trait HeadHooks {
    /// Serves `on-request`.
    fn on_request(head: RequestHead) -> Decision<RequestChange>;

    /// Serves `on-response`.
    fn on_response(head: ResponseHead, context: &[u8]) -> Decision<ResponseChange>;
}

thread_local! {
    static KEPT: RefCell<ManuallyDrop<Kept>> =
        const { RefCell::new(ManuallyDrop::new(Kept::nothing())) };
}

/// Drops the outcome that the gateway has read by now: a hook begins.
pub(crate) fn forget_outcome() {
    KEPT.with_borrow_mut(|kept| kept.outcome = Outcome::None);
}

/// An outcome, and the records that point into it.
struct Kept {
    outcome: Outcome,
    layout: Layout,
    edits: Vec<EditRecord>,
    response_edits: Vec<EditRecord>,
    pairs: Vec<PairRecord>,
}

enum Outcome {
    None,
    Request(Decision<RequestChange>),
    Response(Decision<ResponseChange>),
}

/// `request-outcome` or `response-outcome`, in words of four bytes: the case, four bytes of
/// padding, and from the third word on its content.
#[repr(align(8))]
struct Layout([u32; 40]);

/// `field-edit`: the case, then the addresses and lengths of the name and of the value.
type EditRecord = [u32; 5];
/// `field` and `attribute`: the addresses and lengths of the name and of the value.
type PairRecord = [u32; 4];

impl Kept {
    const fn nothing() -> Self {
        Self {
            outcome: Outcome::None,
            layout: Layout([0; 40]),
            edits: Vec::new(),
            response_edits: Vec::new(),
            pairs: Vec::new(),
        }
    }

    /// Lays the outcome out and says where it is.
    fn lay_out(&mut self) -> *mut u8 {
        let Self { outcome, layout: Layout(words), edits, response_edits, pairs } = self;
        match outcome {
            Outcome::None
            | Outcome::Request(Decision::Next)
            | Outcome::Response(Decision::Next) => words[0] = 0,
            Outcome::Request(Decision::Change(change)) => {
                words[0] = 1;
                words[2..5].copy_from_slice(&optional(change.method.as_deref()));
                words[5..8].copy_from_slice(&optional(change.path.as_deref()));
                words[8..11].copy_from_slice(&optional(change.query.as_deref()));
                words[11..13].copy_from_slice(&edit_records(edits, &change.fields));
                words[13..15].copy_from_slice(&pair_records(pairs, &change.attributes));
                let response_fields = edit_records(response_edits, &change.response_fields);
                words[15..17].copy_from_slice(&response_fields);
                words[17..20].copy_from_slice(&optional(change.upstream.as_deref()));
                words[20..26].copy_from_slice(&optional_mode(change.request_body));
                words[26..32].copy_from_slice(&optional_mode(change.response_body));
                words[32..35].copy_from_slice(&optional(change.context.as_deref()));
                words[36..40].copy_from_slice(&optional_number(change.reuse_for));
            }
            Outcome::Response(Decision::Change(change)) => {
                words[0] = 1;
                words[2] = change.status.map_or(0, |status| 1 | u32::from(status) << 16);
                words[3..5].copy_from_slice(&edit_records(edits, &change.fields));
                words[6..12].copy_from_slice(&optional_mode(change.response_body));
                words[12..15].copy_from_slice(&optional(change.context.as_deref()));
            }
            Outcome::Request(Decision::Respond(answer))
            | Outcome::Response(Decision::Respond(answer)) => {
                let Response { status, fields, body } = answer;
                words[0] = 2;
                words[2] = u32::from(*status);
                words[3..5].copy_from_slice(&pair_records(pairs, fields));
                words[5..7].copy_from_slice(&bytes(body));
            }
        }
        words.as_mut_ptr().cast()
    }
}

/// The address and the length of a block of bytes.
fn bytes(bytes: impl AsRef<[u8]>) -> [u32; 2] {
    list(bytes.as_ref())
}

fn list<T>(items: &[T]) -> [u32; 2] {
    [items.as_ptr() as usize as u32, items.len() as u32]
}

/// `option` of a string or of a block of bytes.
fn optional<T: AsRef<[u8]> + ?Sized>(bytes: Option<&T>) -> [u32; 3] {
    bytes.map_or([0; 3], |bytes| {
        let [address, length] = self::bytes(bytes);
        [1, address, length]
    })
}

/// `option<u64>`: a case, padding, and the number.
fn optional_number(number: Option<u64>) -> [u32; 4] {
    number.map_or([0; 4], |number| [1, 0, number as u32, (number >> 32) as u32])
}

/// `option<body-mode>`: a case, padding, the case of the mode, padding, and the limit.
fn optional_mode(mode: Option<BodyMode>) -> [u32; 6] {
    match mode {
        None => [0; 6],
        Some(BodyMode::None) => [1, 0, 0, 0, 0, 0],
        Some(BodyMode::Buffered(limit)) => [1, 0, 1, 0, limit as u32, (limit >> 32) as u32],
        Some(BodyMode::Chunks) => [1, 0, 2, 0, 0, 0],
    }
}

fn edit_records(records: &mut Vec<EditRecord>, edits: &[FieldEdit]) -> [u32; 2] {
    let record = |edit: &FieldEdit| {
        let (case, name, value) = match edit {
            FieldEdit::Set(field) => (0, &field.name, &*field.value),
            FieldEdit::Append(field) => (1, &field.name, &*field.value),
            FieldEdit::Remove(name) => (2, name, &[][..]),
        };
        let ([name, name_length], [value, value_length]) = (bytes(name), bytes(value));
        [case, name, name_length, value, value_length]
    };
    records.clear();
    records.extend(edits.iter().map(record));
    list(records)
}

fn pair_records<T: Pair>(records: &mut Vec<PairRecord>, pairs: &[T]) -> [u32; 2] {
    let record = |pair: &T| {
        let (name, value) = pair.name_and_value();
        let ([name, name_length], [value, value_length]) = (bytes(name), bytes(value));
        [name, name_length, value, value_length]
    };
    records.clear();
    records.extend(pairs.iter().map(record));
    list(records)
}

trait Pair {
    fn name_and_value(&self) -> (&str, &[u8]);
}

impl Pair for Field {
    fn name_and_value(&self) -> (&str, &[u8]) {
        (&self.name, &self.value)
    }
}

impl Pair for NewAttribute {
    fn name_and_value(&self) -> (&str, &[u8]) {
        (&self.name, self.value.as_bytes())
    }
}

/// Keeps an outcome and says where it is laid out.
#[inline(always)]
fn keep(outcome: Outcome) -> *mut u8 {
    KEPT.with_borrow_mut(|kept| {
        kept.outcome = outcome;
        kept.lay_out()
    })
}

/// Where the gateway lays down what a hook is called with, if all of it fits; see `wit/arguments.wit`.
#[repr(align(8))]
struct Block(UnsafeCell<[u8; 4096]>);

// SAFETY: a component has one thread.
unsafe impl Sync for Block {}

static BLOCK: Block = Block(UnsafeCell::new([0; 4096]));

/// Serves `arguments.block`.
pub fn block() -> crate::bindings::exports::gateway::plugin::arguments::MemoryBlock {
    crate::bindings::exports::gateway::plugin::arguments::MemoryBlock {
        address: BLOCK.0.get() as usize as u32,
        length: size_of::<Block>() as u32,
    }
}

/// Whether something was laid down there, so that it is not to be given back.
fn is_in_place(address: *const u8) -> bool {
    (address as usize).wrapping_sub(BLOCK.0.get() as usize) < size_of::<Block>()
}

/// A list in the arguments of a hook: its block is this component's from now on.
///
/// # Safety
/// The block was made by `cabi_realloc` for so many elements, and nobody else has it.
unsafe fn owned<T>(address: *mut u8, length: usize) -> Vec<T> {
    // SAFETY: the caller's promise; `cabi_realloc` is the global allocator.
    unsafe { Vec::from_raw_parts(address.cast(), length, length) }
}

/// # Safety
/// As [`owned`], if the case says that there is one, or it lies in the block and stays there.
#[inline(always)]
unsafe fn optional_text(case: i32, address: *mut u8, length: usize) -> Option<Text> {
    // SAFETY: the caller's promise, and strings are UTF-8 by the canonical ABI.
    (case == 1).then(|| unsafe {
        if is_in_place(address) {
            let bytes = slice::from_raw_parts(address.cast_const(), length);
            Text::Borrowed(str::from_utf8_unchecked(bytes))
        } else {
            Text::Owned(String::from_utf8_unchecked(owned(address, length)))
        }
    })
}

/// `list<option<list<u8>>>`, or of strings.
///
/// # Safety
/// As [`optional_text`], for the list and for each element: all of them lie in the block, or none.
#[inline(always)]
unsafe fn values(address: *mut u8, length: usize) -> Values {
    if is_in_place(address) {
        // SAFETY: the caller's promise.
        return unsafe {
            Values::in_place(slice::from_raw_parts(address.cast_const().cast(), length))
        };
    }
    // SAFETY: the caller's promise.
    unsafe { handed_over(address, length) }
}

/// The same where the gateway had blocks made.
///
/// # Safety
/// As [`values`].
#[cold]
unsafe fn handed_over(address: *mut u8, length: usize) -> Values {
    // SAFETY: the caller's promise.
    let records: Vec<Record> = unsafe { owned(address, length) };
    let element = |[case, address, length]: Record| {
        // SAFETY: the caller's promise for the element.
        (case & 0xff == 1).then(|| unsafe { owned(address as usize as *mut u8, length as usize) })
    };
    records.into_iter().map(element).collect::<Vec<Option<Vec<u8>>>>().into()
}

/// The export `on-request`; see `wit/hooks.wit`.
///
/// # Safety
/// Called by the gateway, by the canonical ABI.
#[doc(hidden)]
#[expect(clippy::too_many_arguments, reason = "a flattened record")]
pub unsafe fn _export_on_request_cabi<T: HeadHooks>(
    method: i32,
    method_address: *mut u8,
    method_length: usize,
    path: i32,
    path_address: *mut u8,
    path_length: usize,
    query: i32,
    query_address: *mut u8,
    query_length: usize,
    fields: *mut u8,
    fields_length: usize,
    attributes: *mut u8,
    attributes_length: usize,
) -> *mut u8 {
    // SAFETY: the gateway has laid all down in the block, where it stays until the hook returns, or hands blocks over
    // that it had made by `cabi_realloc`; texts are in UTF-8.
    let head = unsafe {
        RequestHead {
            method: optional_text(method, method_address, method_length),
            path: optional_text(path, path_address, path_length),
            query: optional_text(query, query_address, query_length),
            fields: values(fields, fields_length),
            attributes: values(attributes, attributes_length),
        }
    };
    keep(Outcome::Request(T::on_request(head)))
}

/// The export `on-response`; see `wit/hooks.wit`.
///
/// # Safety
/// Called by the gateway, by the canonical ABI.
#[doc(hidden)]
pub unsafe fn _export_on_response_cabi<T: HeadHooks>(
    status: i32,
    fields: *mut u8,
    fields_length: usize,
    context: *mut u8,
    context_length: usize,
) -> *mut u8 {
    // SAFETY: as in `_export_on_request_cabi`.
    let head =
        ResponseHead { status: status as u16, fields: unsafe { values(fields, fields_length) } };
    let outcome = if is_in_place(context) {
        // SAFETY: as above.
        T::on_response(head, unsafe { slice::from_raw_parts(context.cast_const(), context_length) })
    } else {
        // SAFETY: as above.
        T::on_response(head, &unsafe { owned::<u8>(context, context_length) })
    };
    keep(Outcome::Response(outcome))
}

/// Where the generated `export_hooks!` looks for the functions of the hooks: those of this module,
/// and the generated ones for the rest.
#[doc(hidden)]
pub mod exports {
    pub mod gateway {
        pub mod plugin {
            pub mod hooks {
                pub use crate::__export_hooks_cabi as __export_gateway_plugin_hooks_0_1_0_cabi;
                pub use crate::bindings::exports::gateway::plugin::hooks::*;
                pub use crate::head_hooks::{_export_on_request_cabi, _export_on_response_cabi};
            }

            pub mod arguments {
                pub use crate::bindings::exports::gateway::plugin::arguments::*;
            }
        }
    }
}

/// The exported functions, by the names of the canonical ABI.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hooks_cabi {
    ($type:ident with_types_in $($path:tt)*) => {
        const _: () = {
            $crate::__export_hooks_cabi!(@ $type ($($path)*) "gateway:plugin/hooks@0.1.0" {
                "#describe" _export_describe_cabi() after __post_return_describe;
                "#configure" _export_configure_cabi(a: *mut u8, b: usize)
                    after __post_return_configure;
                "#on-request" _export_on_request_cabi(
                    a: i32, b: *mut u8, c: usize, d: i32, e: *mut u8, f: usize, g: i32,
                    h: *mut u8, i: usize, j: *mut u8, k: usize, l: *mut u8, m: usize
                );
                "#on-request-body" _export_on_request_body_cabi(
                    a: *mut u8, b: usize, c: *mut u8, d: usize
                ) after __post_return_on_request_body;
                "#on-request-chunk" _export_on_request_chunk_cabi(
                    a: *mut u8, b: usize, c: i32, d: *mut u8, e: usize
                ) after __post_return_on_request_chunk;
                "#on-response" _export_on_response_cabi(
                    a: i32, b: *mut u8, c: usize, d: *mut u8, e: usize
                );
                "#on-response-body" _export_on_response_body_cabi(
                    a: *mut u8, b: usize, c: *mut u8, d: usize
                ) after __post_return_on_response_body;
                "#on-response-chunk" _export_on_response_chunk_cabi(
                    a: *mut u8, b: usize, c: i32, d: *mut u8, e: usize
                ) after __post_return_on_response_chunk;
            });

            #[unsafe(export_name = "gateway:plugin/hooks@0.1.0#on-complete")]
            unsafe extern "C" fn on_complete(
                a: i32, b: i32, c: i32, d: *mut u8, e: usize, f: i64, g: i64, h: i64, i: i64,
                j: *mut u8, k: usize,
            ) {
                unsafe { $($path)*::_export_on_complete_cabi::<$type>(a, b, c, d, e, f, g, h, i, j, k) }
            }
        };
    };
    (@ $type:ident $path:tt $interface:literal { $(
        $name:literal $function:ident($($argument:ident: $kind:ty),*) $(after $post:ident)?;
    )* }) => {
        $($crate::__export_hooks_cabi!(
            @function $type $path $interface $name $function($($argument: $kind),*)
        );)*
        $($($crate::__export_hooks_cabi!(@post $type $path $interface $name $post);)?)*
    };
    (@function $type:ident ($($path:tt)*) $interface:literal $name:literal
        $function:ident($($argument:ident: $kind:ty),*)
    ) => {
        const _: () = {
            #[unsafe(export_name = ::core::concat!($interface, $name))]
            unsafe extern "C" fn hook($($argument: $kind),*) -> *mut u8 {
                unsafe { $($path)*::$function::<$type>($($argument),*) }
            }
        };
    };
    (@post $type:ident ($($path:tt)*) $interface:literal $name:literal $post:ident) => {
        const _: () = {
            #[unsafe(export_name = ::core::concat!("cabi_post_", $interface, $name))]
            unsafe extern "C" fn post_return(outcome: *mut u8) {
                unsafe { $($path)*::$post::<$type>(outcome) }
            }
        };
    };
}
