//! `gateway:plugin/password`: password hashes, verified on other threads while the hook waits.

mod threads;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;

use self::threads::Threads;
use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::PasswordError;

/// Verifications that wait for a thread, at most.
const MAX_WAITING: usize = 256;
/// How long one waits for a thread, at most.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The most memory that a hash may ask for, in KiB, and the most passes.
const MAX_MEMORY: u32 = 256 << 10;
const MAX_PASSES: u32 = 16;
/// The most work that a bcrypt hash may ask for: about a second.
const MAX_BCRYPT_COST: u32 = 14;

/// Half of the cores at once: the workers need theirs. Apart from the threads of the runtimes, on
/// which names are looked up: neither waits for the other.
static THREADS: LazyLock<Arc<Threads>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Threads::new("password", cores.div_ceil(2), MAX_WAITING)
});

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        "verify",
        |mut store: Context<'_>, (hash, password): (String, String)| {
            Box::new(async move {
                let client = store.data().client();
                store.data_mut().budget.pause();
                let verdict = verify(client, hash, password).await;
                // The epoch went on while the hook waited, and waiting is not computing.
                let look = store.data_mut().budget.resume();
                store.set_epoch_deadline(look);
                Ok((verdict,))
            })
        },
    )
}

/// For a plugin whose interest promises that it never waits.
pub(super) fn link_refusing(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "verify",
        |_: Context<'_>,
         (_, _): (String, String)|
         -> wasmtime::Result<(Result<bool, PasswordError>,)> {
            wasmtime::bail!("it called `password.verify`, although its interest says `never-waits`")
        },
    )
}

/// Who asks, as far as that is known before a password is verified: the client's address. A
/// consumer is only claimed then, and a claim costs nothing. `None` outside of an exchange.
type Client = Option<IpAddr>;

impl HostState {
    fn client(&self) -> Client {
        self.heads.as_ref().map(|heads| match heads.facts.client {
            // A subscriber commonly has a whole /64 (RFC 6177).
            IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
                let network = u128::from(address) & (u128::MAX << 64);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        })
    }
}

async fn verify(client: Client, hash: String, password: String) -> Result<bool, PasswordError> {
    let verified = THREADS.run(client, move || compare(&hash, password.as_bytes()));
    let verified = verified.map_err(|threads::Busy| PasswordError::Busy)?;
    // One that has begun is as good as done: only the wait for a thread is bounded.
    match verified.within(MAX_WAIT).await {
        Ok(verdict) => verdict,
        Err(threads::Busy) => Err(PasswordError::Busy),
    }
}

fn compare(hash: &str, password: &[u8]) -> Result<bool, PasswordError> {
    if hash.starts_with("$2") {
        let cost = hash.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
        if cost.is_none_or(|cost| cost > MAX_BCRYPT_COST) {
            return Err(PasswordError::Unsupported);
        }
        return bcrypt::verify(password, hash).map_err(|_| PasswordError::Unsupported);
    }
    let mut hash = PasswordHash::new(hash).map_err(|_| PasswordError::Unsupported)?;
    // Strings from before there was another version do not name theirs.
    hash.version.get_or_insert(16);
    let asked = |name| hash.params.get_decimal(name);
    if asked("m").is_none_or(|memory| memory > MAX_MEMORY)
        || asked("t").is_none_or(|passes| passes > MAX_PASSES)
    {
        return Err(PasswordError::Unsupported);
    }
    use argon2::password_hash::Error;
    match Argon2::default().verify_password(password, &hash) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(PasswordError::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher;

    use super::*;

    #[test]
    fn verifies_argon2_and_bcrypt() {
        let cheap = argon2::Params::new(64, 1, 1, None).expect("valid");
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cheap);
        let hash = argon2.hash_password(b"hunter42").expect("hashes").to_string();
        assert_eq!(compare(&hash, b"hunter42"), Ok(true));
        assert_eq!(compare(&hash, b"hunter43"), Ok(false));
        let hash = bcrypt::hash(b"hunter42", 4).expect("hashes");
        assert_eq!(compare(&hash, b"hunter42"), Ok(true));
        assert_eq!(compare(&hash, b"hunter43"), Ok(false));
    }

    #[test]
    fn takes_a_string_without_a_version_for_one_of_version_16() {
        // The test vector of the reference implementation: argon2i, version 16, m=256, t=2, p=1.
        let hash = "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY";
        assert_eq!(compare(hash, b"password"), Ok(true));
        assert_eq!(compare(&hash.replace("$m=", "$v=16$m="), b"password"), Ok(true));
        assert_eq!(compare(&hash.replace("$m=", "$v=19$m="), b"password"), Ok(false));
    }

    #[test]
    fn refuses_a_hash_that_would_take_the_machine() {
        let huge = "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(compare(huge, b""), Err(PasswordError::Unsupported));
        let slow = "$2b$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";
        assert_eq!(compare(slow, b""), Err(PasswordError::Unsupported));
        assert_eq!(compare("plain text", b"plain text"), Err(PasswordError::Unsupported));
    }
}
