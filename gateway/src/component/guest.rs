//! What a component can reach: WASI without files, sockets and network, and by `wasi:http` the
//! upstreams that it was granted.
//!
//! Owns the data of a store, and the bounds on what a guest can make the host hold.

use std::sync::Arc;

use http::Request;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::meter::Meter;
use super::outgoing::{Closing, OutgoingRequests, Sent};
use super::output::Output;
use crate::config::HttpComponent;
use crate::plugin::MemoryLimit;

/// Data that one call may hand to the host.
const HOSTCALL_FUEL: usize = 1 << 20;
/// Host resources that a guest may hold, and bytes of one set of fields. Bodies count themselves.
const MAX_RESOURCES: usize = 1_000;
const MAX_FIELDS: usize = 64 << 10;
/// Random bytes of one call.
const MAX_RANDOM: u64 = 64 << 10;
/// Bytes of a response body that one write hands over; up to two such pieces wait for the client.
const CHUNK: usize = 64 << 10;

/// The data of a store.
pub(super) struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: Hooks,
    /// The memory that it may have, and what it asked for.
    pub(super) memory: MemoryLimit,
    /// What it writes.
    pub(super) output: Arc<Output>,
}

/// A store for one request.
pub(super) fn store(
    engine: &Engine,
    config: &HttpComponent,
    output: Arc<Output>,
    outgoing: OutgoingRequests,
    meter: &Arc<Meter>,
) -> Store<Guest> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.envs(&config.environment);
    wasi.stdout(output.stdout()).stderr(output.stderr());
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.max_random_size(MAX_RANDOM);
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(MAX_FIELDS);
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_RESOURCES);
    let guest = Guest {
        wasi: wasi.build(),
        http,
        table,
        hooks: Hooks(outgoing),
        memory: MemoryLimit::new(config.memory),
        output,
    };
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.memory);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    store.set_epoch_deadline(1);
    let meter = Arc::clone(meter);
    store.epoch_deadline_callback(move |_| Ok(meter.look()));
    store
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// What the gateway decides of `wasi:http`.
struct Hooks(OutgoingRequests);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Closing,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        self.0.send(request, options)
    }

    /// The target's own is written where the target is known.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}
