//! Many streams at once: how late their events are.

use std::error::Error;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::connection::{Connection, find};
use crate::{Arguments, now, quantile, request};

const MARK: &[u8] = b"\"content\":\" ";
/// How long the streams run before anything is counted, once all are open.
const SETTLES: Duration = Duration::from_secs(2);
/// The time between two streams that are opened.
const EACH: Duration = Duration::from_millis(1);

pub(crate) fn hold(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let asked = request(arguments, true);
    let mut connections = Vec::new();
    let mut events = Vec::with_capacity(1024);
    let (mut lags, mut count, mut open) = (Vec::new(), 0_u64, 0_usize);
    let mut begins: Option<Instant> = None;
    let (begun, patience) = (Instant::now(), Instant::now() + Duration::from_secs(60));
    loop {
        // Not all at once: nobody's clients come in one millisecond.
        while connections.len() < arguments.connections
            && begun.elapsed() > EACH * u32::try_from(connections.len())?
        {
            let mut connection = Connection::to(arguments.address)?;
            connection.send(&asked)?;
            let token = EventData::new_u64(connections.len() as u64);
            epoll::add(&poll, &connection.stream, token, EventFlags::IN)?;
            connections.push((connection, false));
        }
        let is_counting = begins.is_some_and(|begins| begins <= Instant::now());
        if begins.is_some_and(|begins| Instant::now() >= begins + arguments.time) {
            break;
        }
        if begins.is_none() && open == arguments.connections {
            begins = Some(Instant::now() + SETTLES);
        }
        if begins.is_none() && Instant::now() > patience {
            return Err(format!("only {open} of {} streams came", arguments.connections).into());
        }
        let wait = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let (connection, has_come) = &mut connections[usize::try_from(event.data.u64())?];
            if !connection.take() {
                return Err(format!("a stream ended: {}", shown(&connection.read)).into());
            }
            let seen = now();
            let mut from = 0;
            while let Some(at) = find(&connection.read[from..], MARK) {
                let digits = from + at + MARK.len();
                let Some(end) = find(&connection.read[digits..], b"\"") else { break };
                let due = std::str::from_utf8(&connection.read[digits..digits + end]);
                if !std::mem::replace(has_come, true) {
                    open += 1;
                }
                if is_counting {
                    count += 1;
                    if let Ok(due) = due.unwrap_or_default().parse::<u64>() {
                        lags.push(seen.saturating_sub(due));
                    }
                }
                from = digits + end;
            }
            let keep = connection.read.len().saturating_sub(MARK.len() + 24).max(from);
            connection.read.drain(..keep);
        }
    }
    lags.sort_unstable();
    println!(
        "{{\"streams\":{open},\"events\":{count},\"seconds\":{},\"lag_ms\":{{\"p50\":{:.2},\"p99\":{:.2},\"max\":{:.2}}}}}",
        arguments.time.as_secs_f64(),
        quantile(&lags, 0.5),
        quantile(&lags, 0.99),
        quantile(&lags, 1.0)
    );
    Ok(())
}

fn shown(read: &[u8]) -> String {
    String::from_utf8_lossy(&read[..read.len().min(300)]).into_owned()
}
