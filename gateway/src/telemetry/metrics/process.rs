//! What the system says about the process and its workers, as a part of the page.
//!
//! Read from `/proc` by whoever asks; no worker does anything for it. What cannot be read has no line.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::Kind;
use super::text::{head, line, number};

/// Writes the families that every process exports, under the names that the client libraries of
/// Prometheus use.
pub(super) fn write(page: &mut String) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "the format has floating-point numbers")]
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 * 1e-9;
    let name = "process_cpu_seconds_total";
    head(page, name, Kind::Counter, "Processor time of the process.");
    line(page, name, &[], number(cpu));
    if let Some((virtual_size, resident)) = memory() {
        let name = "process_resident_memory_bytes";
        head(page, name, Kind::Gauge, "Memory of the process that is in use.");
        line(page, name, &[], resident);
        let name = "process_virtual_memory_bytes";
        head(page, name, Kind::Gauge, "Addresses that the process has reserved.");
        line(page, name, &[], virtual_size);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        let name = "process_open_fds";
        head(page, name, Kind::Gauge, "Open file descriptors.");
        line(page, name, &[], descriptors.count());
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        let name = "process_max_fds";
        head(page, name, Kind::Gauge, "File descriptors that the process may have.");
        line(page, name, &[], most);
    }
}

/// Virtual size and resident size in bytes.
pub(super) fn memory() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(':')?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some((kibibytes("VmSize")? << 10, kibibytes("VmRSS")? << 10))
}

/// Writes how long each worker computed; `workers` are their threads.
pub(super) fn write_workers(page: &mut String, workers: &[i32]) {
    let times: Vec<_> = workers.iter().map(|thread| computed(*thread)).collect();
    if times.iter().all(Option::is_none) {
        return;
    }
    let name = "gateway_worker_cpu_seconds_total";
    let help = "Processor time of each worker: its rate is the share of a core that it uses.";
    head(page, name, Kind::Counter, help);
    for (index, time) in times.into_iter().enumerate() {
        if let Some(time) = time {
            line(page, name, &[("worker", &index.to_string())], number(time));
        }
    }
}

/// Seconds that a thread of this process computed.
pub(super) fn computed(thread: i32) -> Option<f64> {
    // 0 is that of a worker that has ended.
    let thread = Some(thread).filter(|thread| *thread != 0)?;
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let nanos: u64 = text.split(' ').next()?.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "the format has floating-point numbers")]
    Some(nanos as f64 * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_its_thread_computes() {
        let (virtual_size, resident) = memory().expect("Linux says it");
        assert!(resident > 1 << 20 && virtual_size >= resident, "{virtual_size} {resident}");
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let before = computed(thread).expect("Linux says it");
        let mut sum = 0_u64;
        while computed(thread).expect("Linux says it") <= before {
            sum = (0..100_000).fold(sum, u64::wrapping_add);
        }
        let mut page = String::new();
        write(&mut page);
        write_workers(&mut page, &[thread, -1]);
        assert!(page.contains("\nprocess_resident_memory_bytes "), "{page}");
        assert!(page.contains("\ngateway_worker_cpu_seconds_total{worker=\"0\"} "), "{page}");
        assert!(!page.contains("worker=\"1\""), "{page}");
    }
}
