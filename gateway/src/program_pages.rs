//! Pages of the program that only its start has used.
//!
//! To read a configuration and to load plugins goes through two thirds of the program, which requests do not go
//! through again. The kernel keeps these pages mapped, and counts them for the process, until memory is short. Owns that they are
//! unmapped. What is needed once more comes from the cache of the system, some microseconds for 64 KiB.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::time::Duration;

/// In which workers begin, and make instances of plugins.
const MOMENT: Duration = Duration::from_secs(1);

/// Unmaps it once a start or a reload is over, which goes on for a moment where requests are served.
pub(crate) fn forget_soon() {
    let later = || {
        std::thread::sleep(MOMENT);
        forget();
    };
    let _only_takes_memory_without = std::thread::Builder::new().name("pages".into()).spawn(later);
}

/// Unmaps what is as it is in the program's file.
pub(crate) fn forget() {
    // Where this cannot be read, nothing is unmapped.
    for range in unchanged().unwrap_or_default() {
        unmap(range);
    }
}

/// The mappings of the program's file in which no page is of this process alone. What the start has relocated is, and so is
/// a page of code in which a debugger has a breakpoint: it would be lost.
fn unchanged() -> io::Result<Vec<Range<usize>>> {
    let program = std::env::current_exe()?;
    let program = program.to_str().unwrap_or_default();
    let mut found = Vec::new();
    let mut current = None;
    let mut was_seen = false;
    for line in BufReader::new(File::open("/proc/self/smaps")?).lines() {
        let line = line?;
        if let Some(range) = range(&line) {
            let is_programs = line.split_ascii_whitespace().nth(5) == Some(program);
            // They follow each other, and thousands of others follow them.
            if was_seen && !is_programs {
                break;
            }
            was_seen |= is_programs;
            current = is_programs.then_some(range);
        } else if let Some(own) = line.strip_prefix("Anonymous:")
            && own.trim() == "0 kB"
        {
            found.extend(current.take());
        }
    }
    Ok(found)
}

/// The addresses in the first line of a mapping.
fn range(line: &str) -> Option<Range<usize>> {
    let (from, to) = line.split_ascii_whitespace().next()?.split_once('-')?;
    Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
}

#[expect(unsafe_code, reason = "the kernel is told of addresses")]
fn unmap(range: Range<usize>) {
    let address = std::ptr::without_provenance_mut(range.start);
    // SAFETY: no page of it is different from the file that it is mapped from, and the kernel maps a page again when it is
    // touched.
    unsafe { libc::madvise(address, range.len(), libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the program that are mapped.
    fn mapped() -> usize {
        let program = std::env::current_exe().expect("it has a name");
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("it can be read");
        let mut is_programs = false;
        let mut total = 0;
        for line in smaps.lines() {
            if range(line).is_some() {
                is_programs = line.ends_with(program.to_str().expect("it is text"));
            } else if let Some(resident) = line.strip_prefix("Rss:").filter(|_| is_programs) {
                let kilobytes: usize =
                    resident.trim_end_matches("kB").trim().parse().expect("a number");
                total += kilobytes << 10;
            }
        }
        total
    }

    #[test]
    fn what_the_start_used_is_unmapped_and_comes_back() {
        let ranges = unchanged().expect("it can be read");
        let here = mapped as fn() -> usize as usize;
        assert!(
            ranges.iter().any(|range| range.contains(&here)),
            "{here:x} is in none of {ranges:x?}"
        );
        // Something that is written to is in none.
        static WRITTEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
        WRITTEN.store(2, std::sync::atomic::Ordering::Relaxed);
        let written = std::ptr::from_ref(&WRITTEN).addr();
        let ranges = unchanged().expect("it can be read");
        assert!(!ranges.iter().any(|range| range.contains(&written)));

        // All of its code, as a start that has used everything.
        let mut sum = 0_usize;
        for range in ranges {
            for page in range.step_by(4096) {
                let page = std::ptr::with_exposed_provenance::<u8>(page);
                sum += usize::from(read(page));
            }
        }
        let before = mapped();
        forget();
        let after = mapped();
        assert!(after < before / 4 * 3, "{before} bytes were mapped, and {after} are ({sum})");
        assert_eq!(WRITTEN.load(std::sync::atomic::Ordering::Relaxed), 2);
    }

    #[expect(unsafe_code, reason = "a page is touched by its address")]
    fn read(page: *const u8) -> u8 {
        // SAFETY: the program's own file is mapped there, to be read.
        unsafe { page.read_volatile() }
    }
}
