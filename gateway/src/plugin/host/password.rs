//! `gateway:plugin/password`: password hashes, verified on other threads while the hook waits.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::Semaphore;
use wasmtime::component::LinkerInstance;

use super::{Context, HostState};
use crate::plugin::bindings::PasswordError;

/// Verifications that wait for a thread at most; what comes on top is told `busy`.
const MAX_WAITING: usize = 256;
/// The most memory that a hash may ask for, in KiB, and the most passes.
const MAX_MEMORY: u32 = 256 << 10;
const MAX_PASSES: u32 = 16;
/// The most work that a bcrypt hash may ask for: about a second.
const MAX_BCRYPT_COST: u32 = 14;

/// Half of the cores at once: the workers need theirs.
static THREADS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores.div_ceil(2))
});
static WAITING: Semaphore = Semaphore::const_new(MAX_WAITING);

pub(super) fn link(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        "verify",
        |mut store: Context<'_>, (hash, password): (String, String)| {
            Box::new(async move {
                store.data_mut().budget.pause();
                let verdict = verify(hash, password).await;
                // The epoch went on while the hook waited, and waiting is not computing.
                let look = store.data_mut().budget.resume();
                store.set_epoch_deadline(look);
                Ok((verdict,))
            })
        },
    )
}

/// For a plugin whose interest promises that it never waits.
pub(super) fn link_refusing(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "verify",
        |_: Context<'_>,
         (_, _): (String, String)|
         -> wasmtime::Result<(Result<bool, PasswordError>,)> {
            wasmtime::bail!("it called `password.verify`, although its interest says `never-waits`")
        },
    )
}

async fn verify(hash: String, password: String) -> Result<bool, PasswordError> {
    let _waiting = WAITING.try_acquire().map_err(|_| PasswordError::Busy)?;
    let _thread = THREADS.acquire().await.map_err(|_| PasswordError::Busy)?;
    let verified = tokio::task::spawn_blocking(move || compare(&hash, password.as_bytes())).await;
    verified.unwrap_or(Err(PasswordError::Busy))
}

fn compare(hash: &str, password: &[u8]) -> Result<bool, PasswordError> {
    if hash.starts_with("$2") {
        let cost = hash.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
        if cost.is_none_or(|cost| cost > MAX_BCRYPT_COST) {
            return Err(PasswordError::Unsupported);
        }
        return bcrypt::verify(password, hash).map_err(|_| PasswordError::Unsupported);
    }
    let hash = PasswordHash::new(hash).map_err(|_| PasswordError::Unsupported)?;
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
    fn refuses_a_hash_that_would_take_the_machine() {
        let huge = "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(compare(huge, b""), Err(PasswordError::Unsupported));
        let slow = "$2b$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";
        assert_eq!(compare(slow, b""), Err(PasswordError::Unsupported));
        assert_eq!(compare("plain text", b"plain text"), Err(PasswordError::Unsupported));
    }
}
