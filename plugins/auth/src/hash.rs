//! Notations of password hashes.
//!
//! Owns which of them the gateway verifies, in what form it wants them, and what is reported about the
//! others. A hash that gets past this can be verified: nobody is to learn at a login that it cannot.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gateway_plugin_sdk::digest;

/// What the gateway's `password` interface bears: bcrypt's cost, KiB of memory, passes.
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 4..=14;
const MAX_MEMORY: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
/// And bytes of an argon2 hash's salt and of the hash itself.
const SALT: std::ops::RangeInclusive<usize> = 8..=48;
const TAG: std::ops::RangeInclusive<usize> = 10..=64;

/// bcrypt's own base64.
const DIGITS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A hash that the gateway verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hash {
    /// A PHC string of argon2, or a bcrypt hash.
    pub(crate) text: String,
    /// Whether it is one of the password's SHA-256 digest, in hexadecimal digits (Django).
    digested: bool,
}

impl Hash {
    /// Reads a hash of the user of this name.
    ///
    /// # Errors
    /// Says whose hash it is, what is wrong, and what to do. Never repeats it.
    pub(crate) fn read(text: &str, user: &str) -> Result<Self, String> {
        read(text.trim_start_matches('\u{feff}').trim()).map_err(|Wrong { what, cost }| {
            let user = shown(user);
            let remedy = format!("`htpasswd -nBC {cost} {user}` makes one (behind the colon)");
            format!("the hash of the user `{user}` {what}; {remedy}")
        })
    }

    /// What the gateway is to compare with.
    pub(crate) fn prepared<'p>(&self, password: &'p str) -> std::borrow::Cow<'p, str> {
        if !self.digested {
            return password.into();
        }
        let digits = digest::sha256(password.as_bytes()).map(|byte| format!("{byte:02x}"));
        digits.concat().into()
    }
}

/// A user's name in a message.
pub(crate) fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}

/// What is wrong, and the cost of bcrypt to take instead.
struct Wrong {
    what: String,
    cost: u32,
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { what: what.into(), cost: 12 })
}

fn read(text: &str) -> Result<Hash, Wrong> {
    if let Some((name, rest)) = text.split_once(':')
        && !name.contains('$')
        && (rest.starts_with('$') || rest.starts_with('{'))
        && !["pbkdf2", "scrypt"].contains(&name)
    {
        return wrong("is a whole line of an htpasswd file: leave out the name and the colon");
    }
    let (text, digested) = without_prefix(text)?;
    let parts: Vec<&str> = text.split('$').collect();
    let text = match parts[..] {
        ["", "2a" | "2b" | "2y", cost, rest] => bcrypt(parts[1], cost, rest)?,
        ["", "2a" | "2b" | "2y", ..] => return wrong(NO_BCRYPT),
        ["", "argon2id" | "argon2i" | "argon2d", ref rest @ ..] => argon2(parts[1], rest)?,
        _ => return wrong(named(text)),
    };
    Ok(Hash { text, digested })
}

/// Takes away what frameworks put in front of a hash. The rest, and whether it is a hash of the
/// password's digest.
fn without_prefix(text: &str) -> Result<(&str, bool), Wrong> {
    // Django.
    let django =
        [("bcrypt$", "$2", false), ("bcrypt_sha256$", "$2", true), ("argon2", "$argon2", false)];
    for (prefix, next, digested) in django {
        if let Some(rest) = text.strip_prefix(prefix).filter(|rest| rest.starts_with(next)) {
            return Ok((rest, digested));
        }
    }
    // Spring Security, Dovecot, LDAP.
    let Some((scheme, rest)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Ok((text, false));
    };
    let scheme = scheme.to_ascii_lowercase();
    match scheme.split('@').next().unwrap_or_default() {
        "bcrypt" | "blf-crypt" | "crypt" | "argon2" | "argon2i" | "argon2id" => Ok((rest, false)),
        "noop" | "plain" | "cleartext" => wrong("is the password itself (`{noop}`)"),
        "sha" | "sha1" => {
            wrong("is an unsalted SHA-1 digest (`{SHA}`), which the gateway does not verify")
        }
        "ssha" | "sha256" | "ssha256" | "sha512" | "ssha512" | "md5" | "smd5" | "ldap" | "md4"
        | "sha-1" | "sha-256" => wrong(
            "is a digest that is computed fast (`{SSHA}` and its like), which the gateway does not verify",
        ),
        "pbkdf2" => wrong("is a PBKDF2 hash (`{pbkdf2}`), which the gateway does not verify"),
        "scrypt" => wrong("is an scrypt hash (`{scrypt}`), which the gateway does not verify"),
        _ => wrong("has a prefix in braces that is not known"),
    }
}

/// The name of a hash that the gateway does not verify.
fn named(text: &str) -> String {
    let not = "which the gateway does not verify";
    let known: [(&[&str], &str); 18] = [
        (&["$apr1$"], "is an MD5 hash as Apache makes it (`$apr1$`, the default of `htpasswd`)"),
        (&["$1$"], "is an MD5 hash of crypt (`$1$`)"),
        (&["$5$"], "is a SHA-256 hash of crypt (`$5$`)"),
        (&["$6$"], "is a SHA-512 hash of crypt (`$6$`)"),
        (&["$y$"], "is a yescrypt hash (`$y$`)"),
        (&["$gy$"], "is a gost-yescrypt hash (`$gy$`)"),
        (&["$2$"], "is a bcrypt hash of the first version (`$2$`)"),
        (&["$2x$"], "is a bcrypt hash of a faulty version (`$2x$`)"),
        (&["$bcrypt-sha256$"], "is a bcrypt hash as passlib makes it (`$bcrypt-sha256$`)"),
        (&["$7$", "$scrypt$"], "is an scrypt hash"),
        (
            &["scrypt:", "scrypt$"],
            "is an scrypt hash as Werkzeug (`scrypt:`) or Django (`scrypt$`) makes it",
        ),
        (
            &["pbkdf2:", "pbkdf2_"],
            "is a PBKDF2 hash as Werkzeug (`pbkdf2:`) or Django (`pbkdf2_sha256$`) makes it",
        ),
        (&["$pbkdf2"], "is a PBKDF2 hash (`$pbkdf2-`)"),
        (&["$P$", "$H$"], "is a hash of phpass (`$P$`)"),
        (&["$sha1$", "md5$", "sha1$", "$S$"], "is a digest of an older framework"),
        (&["SCRAM-SHA-256$"], "is a SCRAM secret of PostgreSQL"),
        (&["*"], "is a hash of MySQL"),
        (&["!"], "says that the account is locked"),
    ];
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
    if let Some((_, name)) = known.iter().find(|(prefixes, _)| begins(prefixes)) {
        return format!("{name}, {not}");
    }
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && [32, 40, 56, 64, 96, 128].contains(&text.len()) {
        return format!("looks like a bare digest, {not}");
    }
    if text.len() == 13 && text.bytes().all(|byte| DIGITS.contains(&byte)) {
        return format!("looks like a DES hash of crypt, {not}");
    }
    "is neither an argon2 hash (`$argon2id$...`) nor a bcrypt hash (`$2b$...`)".to_owned()
}

const NO_BCRYPT: &str = "is no whole bcrypt hash: `$2b$`, two digits, `$`, 53 letters";

/// A cost, then 22 digits of salt and 31 of hash.
fn bcrypt(version: &str, cost: &str, rest: &str) -> Result<String, Wrong> {
    let number = number(cost).filter(|_| cost.len() == 2);
    let (Some(number), Some((salt, hash))) = (number, rest.split_at_checked(22)) else {
        return wrong(NO_BCRYPT);
    };
    // 16 and 23 bytes leave four and two bits of their last digit unused. Some tools set them; the
    // gateway takes only zeros.
    let (Some(salt), Some(hash)) = (whole(salt, 0b11_0000), whole(hash, 0b11_1100)) else {
        return wrong(NO_BCRYPT);
    };
    if hash.len() != 31 {
        return wrong(NO_BCRYPT);
    }
    if !BCRYPT_COST.contains(&number) {
        let what = format!("asks for a bcrypt cost of {number}, and the gateway verifies 4 to 14");
        return Err(Wrong { what, cost: 14 });
    }
    Ok(format!("${version}${cost}${salt}{hash}"))
}

/// Digits of bcrypt, the last of which keeps only these bits.
fn whole(digits: &str, mask: usize) -> Option<String> {
    let values: Option<Vec<usize>> =
        digits.bytes().map(|byte| DIGITS.iter().position(|digit| *digit == byte)).collect();
    let mut values = values?;
    *values.last_mut()? &= mask;
    Some(values.into_iter().map(|value| char::from(DIGITS[value])).collect())
}

/// Version, parameters, salt and hash of a PHC string.
fn argon2(variant: &str, parts: &[&str]) -> Result<String, Wrong> {
    const MALFORMED: &str = "is no whole argon2 hash: `$argon2id$v=19$m=...,t=...,p=...$` with \
                             salt and hash in base64 without padding";
    let (version, rest) = match parts {
        [version, rest @ ..] if version.starts_with("v=") => (*version, rest),
        // The notation of before there was another version (1.0 of the reference implementation).
        rest => ("v=16", rest),
    };
    let [parameters, salt, tag] = *rest else { return wrong(MALFORMED) };
    if !matches!(version, "v=19" | "v=16") {
        return wrong("is an argon2 hash of a version that is neither 19 nor 16");
    }
    let (Some(salt_length), Some(tag_length)) = (decoded(salt), decoded(tag)) else {
        return wrong(MALFORMED);
    };
    let mut found = [None; 3];
    for parameter in parameters.split(',') {
        let Some((name, value)) = parameter.split_once('=') else { return wrong(MALFORMED) };
        let Some(at) = ["m", "t", "p"].iter().position(|known| *known == name) else {
            return wrong(
                "is an argon2 hash with a parameter besides `m`, `t` and `p`, which the gateway does not verify",
            );
        };
        let plain = value == "0" || !value.starts_with('0');
        let Some(value) = number(value).filter(|_| plain && found[at].is_none()) else {
            return wrong(MALFORMED);
        };
        found[at] = Some(value);
    }
    let [Some(memory), Some(passes @ 1..), Some(lanes @ 1..)] = found else {
        return wrong(MALFORMED);
    };
    if memory > MAX_MEMORY || passes > MAX_PASSES {
        return wrong(format!(
            "is an argon2 hash that asks for {memory} KiB (`m`) and {passes} passes (`t`), and the \
             gateway verifies at most 262144 KiB and 16 passes"
        ));
    }
    if u64::from(memory) < 8 * u64::from(lanes) {
        return wrong("is an argon2 hash with less than 8 KiB of memory (`m`) for each lane (`p`)");
    }
    for (name, length, range) in [("salt", salt_length, SALT), ("tag", tag_length, TAG)] {
        if !range.contains(&length) {
            return wrong(format!(
                "is an argon2 hash with a {name} of {length} bytes, and the gateway verifies {} to {}",
                range.start(),
                range.end()
            ));
        }
    }
    Ok(format!("${variant}${version}${parameters}${salt}${tag}"))
}

/// How many bytes a text of base64 holds.
fn decoded(text: &str) -> Option<usize> {
    STANDARD_NO_PAD.decode(text).ok().map(|bytes| bytes.len())
}

/// Digits alone: `parse` would take a sign too.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2b$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";
    const ARGON2: &str = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";

    fn text(hash: &str) -> String {
        Hash::read(hash, "ada").unwrap_or_else(|error| panic!("{hash}: {error}")).text
    }

    fn error(hash: &str) -> String {
        let error = Hash::read(hash, "ada").expect_err(hash);
        assert!(error.starts_with("the hash of the user `ada` "), "{error}");
        assert!(error.contains("`htpasswd -nBC 1"), "{error}");
        error
    }

    #[test]
    fn reads_what_other_tools_put_around_a_hash() {
        for prefix in ["", "{bcrypt}", "{CRYPT}", "{BLF-CRYPT}", "bcrypt$", "\u{feff}", " "] {
            assert_eq!(text(&format!("{prefix}{BCRYPT}\r\n")), BCRYPT, "{prefix}");
        }
        for prefix in ["", "{argon2}", "{argon2@SpringSecurity_v5_8}", "{ARGON2ID}", "argon2"] {
            assert_eq!(text(&format!("{prefix}{ARGON2}")), ARGON2, "{prefix}");
        }
        let digested = Hash::read(&format!("bcrypt_sha256${BCRYPT}"), "ada").unwrap();
        assert_eq!(digested.text, BCRYPT);
        assert_eq!(digested.prepared("x").len(), 64);
        assert_eq!(Hash::read(BCRYPT, "ada").unwrap().prepared("x"), "x");
    }

    #[test]
    fn a_phc_string_without_a_version_is_of_version_16() {
        let old = ARGON2.replace("$v=19", "");
        assert_eq!(text(&old), ARGON2.replace("v=19", "v=16"));
    }

    #[test]
    fn clears_bits_that_belong_to_no_byte() {
        // `O` and `u` are the last digits of salt and hash; the next ones differ in unused bits.
        let odd = BCRYPT.replace("ZyOF", "ZyPF").replace("VU3u", "VU3v");
        assert_ne!(odd, BCRYPT);
        assert_eq!(text(&odd), BCRYPT);
    }

    #[test]
    fn names_the_user_the_bound_and_the_remedy() {
        for (hash, part) in [
            (
                BCRYPT.replace("$12$", "$15$"),
                "a bcrypt cost of 15, and the gateway verifies 4 to 14",
            ),
            (BCRYPT.replace("$12$", "$03$"), "a bcrypt cost of 3"),
            (ARGON2.replace("65536", "2097152"), "asks for 2097152 KiB"),
            (ARGON2.replace("t=3", "t=17"), "17 passes"),
            (ARGON2.replace("p=4", "p=8193"), "8 KiB of memory (`m`) for each lane"),
            (ARGON2.replace("c29tZXNhbHQ", "c2FsdA"), "a salt of 4 bytes"),
            (ARGON2.replace("c29tZXNhbHQ", &"c2Fs".repeat(17)), "a salt of 51 bytes"),
            (ARGON2.replace("aGFzaGhhc2hoYXNoaGFzaA", "aGFzaGhhc2g"), "a tag of 8 bytes"),
            (ARGON2.replace("aGFzaGhhc2hoYXNoaGFzaA", &"aGFz".repeat(22)), "a tag of 66 bytes"),
            (ARGON2.replace("v=19", "v=20"), "a version that is neither 19 nor 16"),
            (ARGON2.replace("p=4", "p=4,keyid=AA"), "a parameter besides"),
            (ARGON2.replace("p=4", "p=04"), "no whole argon2 hash"),
            (ARGON2.replace("p=4", "p=4,p=4"), "no whole argon2 hash"),
        ] {
            assert!(error(&hash).contains(part), "{}", error(&hash));
        }
        assert!(error(&BCRYPT.replace("$12$", "$15$")).contains("-nBC 14 ada"));
    }

    #[test]
    fn names_what_it_does_not_verify() {
        for (hash, part) in [
            ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "`$apr1$`"),
            ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", "`$1$`"),
            ("$5$salt$x", "`$5$`"),
            ("$6$salt$x", "`$6$`"),
            ("{CRYPT}$6$salt$x", "`$6$`"),
            ("$y$j9T$salt$x", "a yescrypt hash (`$y$`)"),
            ("$gy$j9T$salt$x", "a gost-yescrypt hash (`$gy$`)"),
            ("$2$12$x", "the first version (`$2$`)"),
            ("$2x$12$x", "a faulty version (`$2x$`)"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("{SSHA}x", "computed fast"),
            ("{noop}secret", "the password itself"),
            ("{pbkdf2@SpringSecurity_v5_8}00", "PBKDF2"),
            ("{scrypt}$e0801$x", "scrypt"),
            ("pbkdf2_sha256$870000$salt$x=", "PBKDF2"),
            ("pbkdf2:sha256:1000000$salt$00", "PBKDF2"),
            ("scrypt:32768:8:1$salt$00", "scrypt"),
            ("scrypt$16384$salt$8$1$x", "scrypt"),
            ("$2x$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u", "faulty version"),
            ("rqXexS6ZhobKA", "DES"),
            ("5f4dcc3b5aa765d61d8327deb882cf99", "a bare digest"),
            ("ada:$2y$05$x", "a whole line of an htpasswd file"),
            ("{x}y", "not known"),
            ("password", "neither an argon2 hash"),
        ] {
            assert!(error(hash).contains(part), "{}", error(hash));
        }
    }
}
