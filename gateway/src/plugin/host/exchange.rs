//! `gateway:plugin/exchange`: both heads of the current exchange, to read, and the context to keep.

use super::functions::Functions;
use super::{Context, HostState};
use crate::heads::{RequestHead, ResponseHead};
use crate::plugin::bindings::FieldOut;
use http::{HeaderMap, HeaderName};

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("request-method", |store: Context<'_>, (): ()| {
        Ok((store.data().request().map_or(String::new(), |head| head.method.as_str().to_owned()),))
    })?;
    linker.func_wrap("request-path", |store: Context<'_>, (): ()| {
        Ok((store.data().request().map_or(String::new(), |head| head.target.path().to_owned()),))
    })?;
    linker.func_wrap("request-query", |store: Context<'_>, (): ()| {
        let query = store.data().request().and_then(|head| head.target.query());
        Ok((query.map(str::to_owned),))
    })?;
    linker.func_wrap("request-field", |store: Context<'_>, (name,): (String,)| {
        Ok((lines(store.data().request().map(|head| &head.headers), &name),))
    })?;
    linker.func_wrap("request-fields", |store: Context<'_>, (): ()| {
        Ok((all(store.data().request().map(|head| &head.headers)),))
    })?;
    linker.func_wrap("response-status", |store: Context<'_>, (): ()| {
        Ok((store.data().response().map(|head| head.status.as_u16()),))
    })?;
    linker.func_wrap("response-field", |store: Context<'_>, (name,): (String,)| {
        Ok((lines(store.data().response().map(|head| &head.headers), &name),))
    })?;
    linker.func_wrap("response-fields", |store: Context<'_>, (): ()| {
        Ok((all(store.data().response().map(|head| &head.headers)),))
    })?;
    linker.func_wrap("keep-context", |mut store: Context<'_>, (context,): (Vec<u8>,)| {
        store.data_mut().context = Some(context);
        Ok(())
    })
}

impl HostState {
    fn request(&self) -> Option<&RequestHead> {
        self.heads.as_ref().map(|heads| &heads.request)
    }

    fn response(&self) -> Option<&ResponseHead> {
        self.heads.as_ref().and_then(|heads| heads.response.as_ref())
    }
}

fn lines(headers: Option<&HeaderMap>, name: &str) -> Vec<Vec<u8>> {
    let (Some(headers), Ok(name)) = (headers, HeaderName::try_from(name)) else {
        // A name that cannot be is in no head.
        return Vec::new();
    };
    headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
}

fn all(headers: Option<&HeaderMap>) -> Vec<FieldOut> {
    let field = |(name, value): (&HeaderName, &http::HeaderValue)| FieldOut {
        name: name.as_str().to_owned(),
        value: value.as_bytes().to_vec(),
    };
    headers.map_or(Vec::new(), |headers| headers.iter().map(field).collect())
}
