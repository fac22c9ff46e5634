//! The change of a request, out of the memory of a guest.
//!
//! Owns the layout of `hooks.request-change` in the canonical ABI, which the constants below hold against that of the
//! derived type: that one looks the memory up again for each of its parts, and works out where they are while it
//! reads. What does not lie inside of the memory fails the call, as it does for every other type.
#![expect(unsafe_code, reason = "the traits of wasmtime that say how a type is read are unsafe")]

use wasmtime::component::__internal::{InterfaceType, LiftContext};
use wasmtime::component::{ComponentType, Lift};
use wasmtime::{bail, error::Result};

use super::bindings::{BodyMode, RequestChange, RequestChangeByParts};
use super::edits::{Attributes, Edits, Guest};

/// Where its parts are.
const METHOD: usize = 0;
const PATH: usize = 12;
const QUERY: usize = 24;
const FIELDS: usize = 36;
const ATTRIBUTES: usize = 44;
const RESPONSE_FIELDS: usize = 52;
const UPSTREAM: usize = 60;
const REQUEST_BODY: usize = 72;
const RESPONSE_BODY: usize = 96;
const CONTEXT: usize = 120;
const REUSE_FOR: usize = 136;
const SIZE: usize = 152;

const _: () = {
    assert!(RequestChange::SIZE32 == SIZE && RequestChange::ALIGN32 == 8);
    let text = <Option<String> as ComponentType>::SIZE32;
    let list = <Edits as ComponentType>::SIZE32;
    let mode = <Option<BodyMode> as ComponentType>::SIZE32;
    assert!(PATH == METHOD + text && QUERY == PATH + text && FIELDS == QUERY + text);
    assert!(ATTRIBUTES == FIELDS + list && RESPONSE_FIELDS == ATTRIBUTES + list);
    assert!(UPSTREAM == RESPONSE_FIELDS + list && REQUEST_BODY == UPSTREAM + text);
    assert!(<Option<BodyMode> as ComponentType>::ALIGN32 == 8);
    assert!(RESPONSE_BODY == REQUEST_BODY + mode && CONTEXT == RESPONSE_BODY + mode);
    assert!(<Option<Vec<u8>> as ComponentType>::SIZE32 == text);
    assert!(REUSE_FOR == (CONTEXT + text).next_multiple_of(8));
    assert!(SIZE == REUSE_FOR + <Option<u64> as ComponentType>::SIZE32);
};

// SAFETY: every byte is read through a checked slice of the guest's memory.
unsafe impl Lift for RequestChange {
    fn linear_lift_from_flat(
        _: &mut LiftContext<'_>,
        _: InterfaceType,
        _: &Self::Lower,
    ) -> Result<Self> {
        bail!("a `request-change` is returned in memory")
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> Result<Self> {
        let Some(mut guest) = Guest::of(cx) else {
            return RequestChangeByParts::linear_lift_from_memory(cx, ty, bytes).map(Self::from);
        };
        let guest = &mut guest;
        let Ok(bytes) = <&[u8; SIZE]>::try_from(bytes) else { bail!("no `request-change`") };
        Ok(Self {
            method: text(guest, &bytes[METHOD..PATH])?,
            path: text(guest, &bytes[PATH..QUERY])?,
            query: text(guest, &bytes[QUERY..FIELDS])?,
            fields: Edits::read(guest, &bytes[FIELDS..ATTRIBUTES])?,
            attributes: Attributes::read(guest, &bytes[ATTRIBUTES..RESPONSE_FIELDS])?,
            response_fields: Edits::read(guest, &bytes[RESPONSE_FIELDS..UPSTREAM])?,
            upstream: text(guest, &bytes[UPSTREAM..REQUEST_BODY])?,
            request_body: mode(&bytes[REQUEST_BODY..RESPONSE_BODY])?,
            response_body: mode(&bytes[RESPONSE_BODY..CONTEXT])?,
            context: match is_there(bytes[CONTEXT])? {
                false => None,
                true => Some(guest.block(&bytes[CONTEXT + 4..CONTEXT + 12])?.to_vec()),
            },
            reuse_for: is_there(bytes[REUSE_FOR])?.then(|| number(&bytes[REUSE_FOR + 8..])),
        })
    }
}

impl From<RequestChangeByParts> for RequestChange {
    fn from(parts: RequestChangeByParts) -> Self {
        let RequestChangeByParts {
            method,
            path,
            query,
            fields,
            attributes,
            response_fields,
            upstream,
            request_body,
            response_body,
            context,
            reuse_for,
        } = parts;
        Self {
            method,
            path,
            query,
            fields,
            attributes,
            response_fields,
            upstream,
            request_body,
            response_body,
            context,
            reuse_for,
        }
    }
}

/// `option`: whether there is one.
#[inline]
fn is_there(case: u8) -> Result<bool> {
    match case {
        0 => Ok(false),
        1 => Ok(true),
        _ => bail!("invalid case of an option: {case}"),
    }
}

/// `option<string>`
#[inline]
fn text(guest: &mut Guest<'_, '_>, bytes: &[u8]) -> Result<Option<String>> {
    match is_there(bytes[0])? {
        false => Ok(None),
        true => Ok(Some(guest.text(&bytes[4..12])?.to_owned())),
    }
}

/// `option<body-mode>`
#[inline]
fn mode(bytes: &[u8]) -> Result<Option<BodyMode>> {
    if !is_there(bytes[0])? {
        return Ok(None);
    }
    Ok(Some(match bytes[8] {
        0 => BodyMode::None,
        1 => BodyMode::Buffered(number(&bytes[16..])),
        2 => BodyMode::Chunks,
        case => bail!("invalid case of `body-mode`: {case}"),
    }))
}

/// A number of eight bytes.
#[inline]
fn number(bytes: &[u8]) -> u64 {
    let bytes = bytes.first_chunk();
    u64::from_le_bytes(*bytes.unwrap_or(&[0; 8]))
}
