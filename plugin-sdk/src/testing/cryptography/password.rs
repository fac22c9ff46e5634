//! Verification of password hashes.

use argon2::{Argon2, PasswordHash, PasswordVerifier};

use crate::password::PasswordError;

/// 256 MiB, in the KiB that argon2 counts.
const MEMORY: u32 = 256 * 1024;
const PASSES: u32 = 16;
const BCRYPT_COST: u32 = 14;

pub(crate) fn verify_password(hash: &str, password: &str) -> Result<bool, PasswordError> {
    if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix)) {
        let cost = hash.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
        if cost.is_none_or(|cost| cost > BCRYPT_COST) {
            return Err(PasswordError::Unsupported);
        }
        return bcrypt::verify(password, hash).map_err(|_| PasswordError::Unsupported);
    }
    let mut hash = PasswordHash::new(hash).map_err(|_| PasswordError::Unsupported)?;
    // Strings from before there was another version do not name theirs.
    hash.version.get_or_insert(16);
    let parameter = |name| hash.params.get_decimal(name);
    if !hash.algorithm.as_str().starts_with("argon2")
        || hash.hash.is_none()
        || parameter("m").is_none_or(|memory| memory > MEMORY)
        || parameter("t").is_none_or(|passes| passes > PASSES)
    {
        return Err(PasswordError::Unsupported);
    }
    Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_right_password_from_a_wrong_one() {
        let hash = bcrypt::hash("open sesame", 4).unwrap();
        assert_eq!(verify_password(&hash, "open sesame"), Ok(true));
        assert_eq!(verify_password(&hash, "open barley"), Ok(false));
        // The test vector of the reference implementation: argon2id, version 19, m=256, t=2, p=1.
        let hash =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert_eq!(verify_password(hash, "password"), Ok(true));
        assert_eq!(verify_password(hash, "Password"), Ok(false));
    }

    #[test]
    fn takes_a_string_without_a_version_for_one_of_version_16() {
        // The test vector of the reference implementation: argon2i, version 16, m=256, t=2, p=1.
        let hash = "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY";
        assert_eq!(verify_password(hash, "password"), Ok(true));
        let named = hash.replace("$m=", "$v=16$m=");
        assert_eq!(verify_password(&named, "password"), Ok(true));
        let other = hash.replace("$m=", "$v=19$m=");
        assert_eq!(verify_password(&other, "password"), Ok(false));
    }

    #[test]
    fn refuses_hashes_that_ask_for_too_much_or_are_none() {
        let hash = "$argon2id$v=19$m=262145,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert_eq!(verify_password(hash, "password"), Err(PasswordError::Unsupported));
        assert_eq!(verify_password("password", "password"), Err(PasswordError::Unsupported));
    }
}
