//! What the limiter costs when all workers charge at once, and how long a configuration takes to be
//! read and checked: `cargo bench --bench state`.

#[path = "../src/allocator.rs"]
mod allocator;

use std::fmt::Write as _;
use std::sync::LazyLock;

use divan::Bencher;
use gateway::bench::Limiter;
use gateway::config::{self, Known, Source};
use gateway::route::Table;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() {
    divan::main();
}

const THREADS: [usize; 3] = [1, 2, 4];

/// All threads charge one bucket.
#[divan::bench(threads = THREADS)]
fn charge_one_bucket(bencher: Bencher<'_, '_>) {
    static LIMITER: LazyLock<Limiter> = LazyLock::new(Limiter::default);
    bencher.bench(|| assert!(LIMITER.charge("rate/1000/consumer:acme")));
}

/// Each charge goes to another one of 10,000 buckets.
#[divan::bench(threads = THREADS)]
fn charge_many_buckets(bencher: Bencher<'_, '_>) {
    static LIMITER: LazyLock<Limiter> = LazyLock::new(Limiter::default);
    static KEYS: LazyLock<Vec<String>> =
        LazyLock::new(|| (0..10_000).map(|key| format!("rate/1000/consumer:{key}")).collect());
    let next = std::sync::atomic::AtomicUsize::new(0);
    bencher.bench(|| {
        let next = next.fetch_add(7_919, std::sync::atomic::Ordering::Relaxed);
        assert!(LIMITER.charge(&KEYS[next % KEYS.len()]));
    });
}

/// From the text to checked routes.
#[divan::bench(args = [10, 1_000, 10_000])]
fn read_configuration(bencher: Bencher<'_, '_>, routes: usize) {
    let text = configuration(routes);
    bencher.bench(|| read(&text));
}

/// From checked routes to the table that requests are matched with.
#[divan::bench(args = [10, 1_000, 10_000])]
fn build_table(bencher: Bencher<'_, '_>, routes: usize) {
    let loaded = read(&configuration(routes));
    bencher.bench(|| Table::build(&loaded.config, config::ListenerId(0)));
}

fn read(text: &str) -> config::Loaded {
    let source = Source::new("gateway.toml", text);
    config::read(source, &|_| None, &Known { built_in: &[] }).expect("a valid configuration")
}

fn configuration(routes: usize) -> String {
    let mut text = String::from(
        "[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:8080\"\n\n\
         [upstreams.service]\ntargets = [\"http://127.0.0.1:9000\"]\n",
    );
    for route in 0..routes {
        let _infallible = write!(
            text,
            "\n[[routes]]\nname = \"r{route}\"\nhosts = [\"api.example.com\"]\n\
             paths = [\"/team-{}/service-{}/items-{route}/{{id}}\"]\nmethods = [\"GET\", \"PUT\"]\n\
             upstream = \"service\"\n",
            route % 10,
            route % 100,
        );
    }
    text
}
