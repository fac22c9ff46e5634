//! A gateway with one route and no plugins, to be measured: `plain_proxy LISTEN UPSTREAM`.

use gateway::Gateway;
use gateway_tests::Setup;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().and_then(|arg| arg.parse().ok()).expect("LISTEN UPSTREAM");
    let listen = next();
    let setup = Setup::proxy(next()).listen(|listener| listener.address = listen);
    let gateway = Gateway::bind(setup.config).expect("the address is free");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.expect("a runtime").block_on(gateway.run(std::future::pending()));
    ended.expect("no worker fails");
}
