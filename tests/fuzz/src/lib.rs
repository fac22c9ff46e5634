//! Runs a property over inputs that are made from seeds.
//!
//! Owns how inputs are made: each seed as it is, then seeds with a few edits, for as long as the
//! budget lasts. A target is an ordinary test, so `cargo test` runs each for a tenth of a second;
//! `ARBTEST_BUDGET_MS=60000` gives each a minute. Every run draws the same sequence, so that a failure is
//! due to what was changed; `GATEWAY_FUZZ_START=random`, or a number, begins elsewhere and so looks for
//! what nobody has seen. An input that once failed is kept as a seed. Must not know what the inputs mean.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fmt, fs, thread};

use arbtest::arbitrary::{Result, Unstructured};

/// Edits of one input, at most.
const MAX_EDITS: usize = 6;

/// Bytes of one input, at most.
const MAX_INPUT: usize = 64 << 10;

/// Random bytes that the first inputs are drawn from.
const MIN_RANDOM: u32 = 32;

/// How often that grows by a quarter, to about 64 KiB.
const MAX_STEPS: u32 = 34;

/// The inputs of one target.
#[derive(Debug)]
pub struct Target<'t> {
    seeds: Vec<Vec<u8>>,
    tokens: &'t [&'t str],
}

impl<'t> Target<'t> {
    /// A target whose seeds are the files of a folder. `tokens` are texts that mean something to
    /// what is tested, and are put into inputs.
    ///
    /// # Panics
    /// When the folder cannot be read or holds no file.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>, tokens: &'t [&'t str]) -> Self {
        let folder = folder.as_ref();
        let entries = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("the seeds in {}: {error}", folder.display()));
        let mut paths: Vec<_> =
            entries.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.retain(|path| path.is_file());
        // The same order on every file system, so that the seed of a failure means the same input.
        paths.sort();
        let seeds: Vec<_> =
            paths.iter().map(|path| fs::read(path).expect("a readable seed")).collect();
        assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
        Self { seeds, tokens }
    }

    /// Calls the property with each seed, and then with edited ones until the time is over. The
    /// property fails by a panic, and the input is printed then.
    pub fn check(&self, mut property: impl FnMut(&[u8])) {
        for seed in &self.seeds {
            run(&mut property, seed);
        }
        let mut property = |random: &mut Unstructured<'_>| {
            // Where the random bytes run out, the input is no input.
            if let Ok(input) = self.draw(random) {
                run(&mut property, &input);
            }
            Ok(())
        };
        // Of a failure that is looked into: arbtest reads it.
        if env::var_os("ARBTEST_SEED").is_some() {
            return arbtest::arbtest(property).run();
        }
        let (began, budget) = (Instant::now(), budget());
        let mut numbers = Numbers(start());
        let mut count = 0;
        while began.elapsed() < budget {
            let size = sizes(count);
            let seed = (numbers.next() << 32) | u64::from(size);
            arbtest::arbtest(&mut property).seed(seed).run();
            count += 1;
        }
    }

    fn draw(&self, random: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let mut input = random.choose(&self.seeds)?.clone();
        for _ in 0..random.int_in_range(1..=MAX_EDITS)? {
            self.edit(&mut input, random)?;
        }
        input.truncate(MAX_INPUT);
        Ok(input)
    }

    fn edit(&self, input: &mut Vec<u8>, random: &mut Unstructured<'_>) -> Result<()> {
        let at = random.int_in_range(0..=input.len())?;
        let end = random.int_in_range(at..=input.len().min(at + 32))?;
        match random.int_in_range(0..=6)? {
            0 => drop(input.drain(at..end)),
            1 => input.truncate(at),
            2 => insert(input, at, &[random.arbitrary()?]),
            3 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.arbitrary()?;
                }
            }
            4 => {
                let repeated = input[at..end].repeat(random.int_in_range(1..=8)?);
                insert(input, at, &repeated);
            }
            5 => {
                let other = random.choose(&self.seeds)?;
                let from = random.int_in_range(0..=other.len())?;
                let to = random.int_in_range(from..=other.len())?;
                insert(input, at, &other[from..to]);
            }
            _ if self.tokens.is_empty() => {}
            _ => {
                let token = random.choose(self.tokens)?.as_bytes();
                input.splice(at..end, token.iter().copied());
            }
        }
        Ok(())
    }
}

/// How long a target is tried.
fn budget() -> Duration {
    let milliseconds = env::var("ARBTEST_BUDGET_MS").ok().and_then(|value| value.parse().ok());
    Duration::from_millis(milliseconds.unwrap_or(100))
}

/// What the sequence of inputs begins with.
fn start() -> u64 {
    match env::var("GATEWAY_FUZZ_START").as_deref() {
        Err(_) => 0,
        Ok("random") => {
            let start = RandomState::new().hash_one(0) >> 32;
            eprintln!("GATEWAY_FUZZ_START={start}");
            start
        }
        Ok(number) => number.parse().expect("`random` or a number in GATEWAY_FUZZ_START"),
    }
}

/// Random bytes of the input with this number: few at first, so that simple inputs come first.
fn sizes(count: u32) -> u32 {
    let steps = (count / 3).min(MAX_STEPS);
    (0..steps).fold(MIN_RANDOM, |size, _| size * 5 / 4)
}

/// Numbers that look random, from any start (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

fn run(property: &mut impl FnMut(&[u8]), input: &[u8]) {
    let shown = Shown(input);
    property(shown.0);
}

/// An input that is printed if the property fails on it.
struct Shown<'i>(&'i [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "b\"{}\"", self.0.escape_ascii())
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the input that failed, to be kept as a seed: {self}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_seeds_come_first_and_then_what_is_made_from_them() {
        let folder = std::env::temp_dir().join(format!("gateway-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("b"), "second").unwrap();
        fs::write(folder.join("a"), "first").unwrap();
        let inputs = RefCell::new(Vec::new());
        Target::new(&folder, &["token"]).check(|input| inputs.borrow_mut().push(input.to_vec()));
        fs::remove_dir_all(&folder).unwrap();
        let inputs = inputs.into_inner();
        assert_eq!(inputs[..2], [b"first".to_vec(), b"second".to_vec()]);
        let others: HashSet<_> = inputs[2..].iter().collect();
        assert!(others.len() > 50, "{}", others.len());
        assert!(others.iter().any(|input| input.windows(5).any(|part| part == b"token")));
    }

    #[test]
    #[should_panic(expected = "no seeds")]
    fn a_folder_without_seeds_is_an_error() {
        let folder =
            std::env::temp_dir().join(format!("gateway-fuzz-empty-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let made = std::panic::catch_unwind(|| Target::new(&folder, &[]).seeds.len());
        fs::remove_dir_all(&folder).unwrap();
        made.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}
