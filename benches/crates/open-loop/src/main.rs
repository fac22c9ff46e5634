//! Sends HTTP/1.1 requests at a constant rate, no matter what the answers do, and measures each from the
//! moment at which it was to be sent. A request that finds all connections busy waits for one, and
//! its waiting counts: nothing is left out because the proxy was slow.
//!
//!     open-loop --rate REQUESTS_A_SECOND --seconds N --connections N --address IP:PORT --path PATH
//!         --service IP:PORT
//!
//! It is the service behind the proxy too. All is done by one thread that never sleeps, so that what
//! is measured is the proxy, and not how long the load's core takes to wake and to switch between a
//! client and a service. Prints one JSON object.

mod client;
mod figures;
mod service;

use client::Client;
use figures::Figures;
use service::Service;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// What is asked for on the command line.
pub(crate) struct Arguments {
    rate: f64,
    time: Duration,
    connections: usize,
    address: SocketAddr,
    path: String,
    service: SocketAddr,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(figures) => {
            println!("{}", figures.json());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("open-loop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Figures, Box<dyn Error>> {
    let mut service = Service::listen(arguments.service)?;
    let mut client = Client::connect(arguments)?;
    client.run(&mut service)?;
    Ok(client.into_figures(service.accepted()))
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let of = |name: &str| {
        let at = given.iter().position(|each| each == name);
        let value = at.and_then(|at| given.get(at + 1));
        value.cloned().ok_or_else(|| format!("{name} is missing"))
    };
    let rate: f64 = of("--rate")?.parse()?;
    if !(1.0..=1e6).contains(&rate) {
        return Err("--rate is from 1 to 1000000".into());
    }
    Ok(Arguments {
        rate,
        time: Duration::from_secs_f64(of("--seconds")?.parse()?),
        connections: of("--connections")?.parse()?,
        address: of("--address")?.parse()?,
        path: of("--path")?,
        service: of("--service")?.parse()?,
    })
}
