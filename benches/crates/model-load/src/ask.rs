//! Whole answers, one after the other on each connection, and the time to the first event of streams.

use std::error::Error;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::connection::{Connection, find, whole};
use crate::{Arguments, quantile, request};

/// Asks on each connection again when the answer is there.
pub(crate) fn ask(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let asked = request(arguments, false);
    let mut connections = Vec::new();
    for index in 0..arguments.connections {
        let mut connection = Connection::to(arguments.address)?;
        connection.send(&asked)?;
        epoll::add(&poll, &connection.stream, EventData::new_u64(index as u64), EventFlags::IN)?;
        connections.push((connection, Instant::now()));
    }
    let (began, mut times) = (Instant::now(), Vec::new());
    let mut events = Vec::with_capacity(1024);
    while began.elapsed() < arguments.time {
        let wait = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let (connection, since) = &mut connections[usize::try_from(event.data.u64())?];
            let is_open = connection.take();
            let Some(length) = whole(&connection.read) else {
                if is_open {
                    continue;
                }
                return Err("a connection ended before its answer".into());
            };
            if !connection.read.starts_with(b"HTTP/1.1 200") {
                return Err(String::from_utf8_lossy(&connection.read).into_owned().into());
            }
            connection.read.drain(..length);
            times.push(u64::try_from(since.elapsed().as_nanos())?);
            *since = Instant::now();
            connection.send(&asked)?;
        }
    }
    times.sort_unstable();
    println!(
        "{{\"answers\":{},\"seconds\":{:.3},\"ms\":{{\"p50\":{:.3},\"p99\":{:.3}}}}}",
        times.len(),
        began.elapsed().as_secs_f64(),
        quantile(&times, 0.5),
        quantile(&times, 0.99)
    );
    Ok(())
}

/// The time to the first event of streams that come one after the other, each on a connection that is open.
pub(crate) fn first(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let asked = request(arguments, true);
    let mut times = Vec::new();
    for _ in 0..arguments.count {
        let mut connection = Connection::to(arguments.address)?;
        // Who waits leaves the core to the provider.
        connection.stream.set_nonblocking(false)?;
        connection.stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let patience = Instant::now() + Duration::from_secs(10);
        let began = Instant::now();
        connection.send(&asked)?;
        while find(&connection.read, b"\"content\":\"").is_none() {
            if !connection.take() || Instant::now() > patience {
                let came = String::from_utf8_lossy(&connection.read).into_owned();
                return Err(format!("there is no first event, but {came:?}").into());
            }
        }
        times.push(u64::try_from(began.elapsed().as_nanos())?);
        drop(connection);
        std::thread::sleep(Duration::from_millis(2));
    }
    times.sort_unstable();
    println!(
        "{{\"streams\":{},\"ms\":{{\"p50\":{:.3},\"p99\":{:.3}}}}}",
        times.len(),
        quantile(&times, 0.5),
        quantile(&times, 0.99)
    );
    Ok(())
}
