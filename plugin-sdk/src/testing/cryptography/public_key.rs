//! Public keys as people have them: in PEM under any label, or in a certificate.
//!
//! Owns which sections are read, by which command the others become one, and which RSA keys are too
//! weak to trust. Error texts never repeat the material. The gateway compiles this file too, so that a
//! test judges a key as the gateway does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What an algorithm needs of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An RSA key; whether for RSASSA-PSS.
    Rsa { pss: bool },
    /// A key on the curve of this name.
    Curve(&'static str),
    /// A key for Ed25519.
    Ed25519,
}

/// The public key of a PEM text, in DER: `SubjectPublicKeyInfo`, or `RSAPublicKey` for RSA.
pub(crate) fn from_pem(text: &str, wanted: Wanted) -> Result<Vec<u8>, String> {
    let section = only_section(text)?;
    let (label, der) = (section.label, section.der);
    let malformed = || format!("the section `{label}` does not hold what it says");
    let info = match label {
        "PUBLIC KEY" => der,
        "RSA PUBLIC KEY" => {
            let (n, e) = rsa_numbers(&der).ok_or_else(malformed)?;
            fits(Kind::Rsa, wanted)?;
            check_rsa(n, e)?;
            return Ok(der);
        }
        _ => info_of_certificate(&der).ok_or_else(malformed)?.to_vec(),
    };
    let (kind, key) = kind_of(&info).ok_or_else(malformed)?;
    fits(kind, wanted)?;
    match kind {
        Kind::Rsa | Kind::RsaPss => {
            let (n, e) = rsa_numbers(key).ok_or_else(malformed)?;
            check_rsa(n, e)?;
            Ok(key.to_vec())
        }
        Kind::Curve(_) | Kind::Ed25519 | Kind::Other(_) => Ok(info),
    }
}

/// Refuses RSA keys that do not protect what they sign.
pub(crate) fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), String> {
    let bits = bits(n);
    let strong = "`openssl genrsa 3072` makes a good one";
    if !(2048..=8192).contains(&bits) {
        return Err(format!(
            "the RSA key has {bits} bits, and 2048 to 8192 are taken (RFC 7518 section 3.3); {strong}"
        ));
    }
    if is_even(n) {
        return Err("the RSA key is none: its modulus is even".to_owned());
    }
    match self::bits(e) {
        0 | 1 => {
            return Err(format!(
                "the RSA key has the exponent {}, by which anybody can sign; {strong}",
                self::bits(e)
            ));
        }
        _ if is_even(e) => {
            return Err(format!("the RSA key has an even exponent, so it is none; {strong}"));
        }
        34.. => return Err("the exponent of the RSA key has more than 33 bits".to_owned()),
        _ => {}
    }
    if is_roca(n) {
        return Err(format!(
            "the RSA key was made by a faulty generator (ROCA, CVE-2017-15361), and its private \
             half can be computed from it; {strong}"
        ));
    }
    Ok(())
}

/// A section of a PEM text (RFC 7468).
struct Section<'t> {
    label: &'t str,
    der: Vec<u8>,
}

/// The one section with a public key. Its lines may have lost their ends, as those of a variable of the
/// environment do: borders count wherever they are (RFC 7468 section 3 lets parsers be lax).
fn only_section(text: &str) -> Result<Section<'_>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let labels: Vec<&str> = borders(text, BEGIN).map(|(label, _)| label).collect();
    if let Some(error) = labels.iter().find_map(|label| explained(label, text)) {
        return Err(error);
    }
    let Some((label, rest)) = borders(text, BEGIN).next() else { return Err(no_section(text)) };
    if labels.len() > 1 {
        let all: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        return Err(format!(
            "the text holds {} sections ({}), and only one key can be meant: give each by itself",
            all.len(),
            all.join(", ")
        ));
    }
    let Some((end, _)) = rest.split_once(&format!("{END}{label}-----")) else {
        return Err(format!("the section `{label}` has no line `{END}{label}-----`"));
    };
    if end.contains("\\n") {
        return Err(format!(
            "the section `{label}` has `\\n` written out where its lines should end: `printf '%b' \
             \"$PEM\"` writes real line ends"
        ));
    }
    let body: String = end.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(body).map_err(|_| format!("the section `{label}` is not base64"))?;
    Ok(Section { label, der })
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// The label of each border of this kind, and what is behind it.
fn borders<'t>(text: &'t str, kind: &'static str) -> impl Iterator<Item = (&'t str, &'t str)> {
    text.match_indices(kind).filter_map(move |(at, _)| label(&text[at + kind.len()..]))
}

/// The label that a border goes on with, and what is behind it. Everything that is longer, or has other
/// characters than labels have, may be the key itself, which nobody is to read in a message.
fn label(rest: &str) -> Option<(&str, &str)> {
    let (label, behind) = rest.split_once("-----")?;
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    let is_label = (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(fits);
    is_label.then_some((label, behind))
}

/// The longest label that there is has 23 characters; a line of base64 has 64.
const MAX_LABEL: usize = 40;

/// Why a section is none with a public key, and how it becomes one.
fn explained(label: &str, text: &str) -> Option<String> {
    let encrypted = label.starts_with("ENCRYPTED") || text.contains("Proc-Type: 4,ENCRYPTED");
    let what = if encrypted { "an encrypted private key" } else { "a private key" };
    Some(match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" | "X509 CERTIFICATE" => return None,
        "TRUSTED CERTIFICATE" => format!(
            "the text holds a certificate with what OpenSSL adds to it (`{label}`): `openssl x509 -in \
             FILE -out NEW.pem` makes a plain certificate of it"
        ),
        "OPENSSH PRIVATE KEY" => format!(
            "the text holds {what} (`{label}`), which does not belong here: `ssh-keygen -y -f FILE > \
             NEW.pub` writes its public half, and {FROM_OPENSSH}"
        ),
        _ if label.ends_with("PRIVATE KEY") => format!(
            "the text holds {what} (`{label}`), which does not belong here: `openssl pkey -in FILE \
             -pubout` writes its public half"
        ),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => format!(
            "the text holds a request for a certificate (`{label}`): `openssl req -in FILE -noout \
             -pubkey` writes its key"
        ),
        "PKCS7" | "CMS" => format!(
            "the text holds certificates in a container (`{label}`): `openssl pkcs7 -in FILE \
             -print_certs` writes them, of which one is the key's"
        ),
        "EC PARAMETERS" => return text.contains("PRIVATE KEY-----").then(|| {
            format!(
                "the text holds {what}, which does not belong here: `openssl pkey -in FILE -pubout` \
                 writes its public half"
            )
        }).or_else(|| Some("the text holds the parameters of a curve and no key".to_owned())),
        _ => format!(
            "the text holds a section `{label}`, which is neither `PUBLIC KEY` nor `RSA PUBLIC KEY` nor \
             `CERTIFICATE`"
        ),
    })
}

/// `ssh-keygen` writes no Ed25519 key in a form of others; the key is the last 32 bytes of its own form,
/// and twelve bytes in front of them make a `SubjectPublicKeyInfo` (RFC 8410 section 4).
const FROM_OPENSSH: &str = "`ssh-keygen -e -m PKCS8 -f NEW.pub` turns that into a `PUBLIC KEY`, but for \
     Ed25519: `(printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'; cut -d' ' -f2 \
     NEW.pub | base64 -d | tail -c32) | openssl pkey -pubin -inform DER`";

fn no_section(text: &str) -> String {
    if text.contains(BEGIN) {
        return "the text holds a line that begins with `-----BEGIN` and is no border of a section: one \
                ends with five `-` behind a name in capital letters"
            .to_owned();
    }
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.trim().starts_with(prefix));
    if begins(&["ssh-", "ecdsa-sha2-", "sk-", "---- BEGIN SSH2"]) {
        return format!("the text is a key of OpenSSH: {FROM_OPENSSH}")
            .replace("NEW.pub", "FILE")
            .replace("turns that into", "turns it into");
    }
    if begins(&["{"]) {
        return "the text is JSON and no PEM: a JSON Web Key goes into `jwk`".to_owned();
    }
    "the text holds no `-----BEGIN PUBLIC KEY-----` section".to_owned()
}

/// What a `SubjectPublicKeyInfo` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    RsaPss,
    Curve(&'static str),
    Ed25519,
    Other(&'static str),
}

fn fits(kind: Kind, wanted: Wanted) -> Result<(), String> {
    let is = match (kind, wanted) {
        (Kind::Rsa, Wanted::Rsa { .. }) | (Kind::RsaPss, Wanted::Rsa { pss: true }) => {
            return Ok(());
        }
        (Kind::Curve(curve), Wanted::Curve(other)) if curve == other => return Ok(()),
        (Kind::Ed25519, Wanted::Ed25519) => return Ok(()),
        (Kind::Rsa, _) => "an RSA key".to_owned(),
        (Kind::RsaPss, _) => "an RSA key for RSASSA-PSS alone".to_owned(),
        (Kind::Curve(curve), _) => format!("a key on the curve {curve}"),
        (Kind::Ed25519, _) => "a key for Ed25519".to_owned(),
        (Kind::Other(name), _) => name.to_owned(),
    };
    let needs = match wanted {
        Wanted::Rsa { pss: false } => "an RSA key for PKCS #1 v1.5".to_owned(),
        Wanted::Rsa { pss: true } => "an RSA key".to_owned(),
        Wanted::Curve(curve) => format!("a key on the curve {curve}"),
        Wanted::Ed25519 => "a key for Ed25519".to_owned(),
    };
    Err(format!("the text holds {is}, and this algorithm needs {needs}"))
}

/// Object identifiers, in DER (RFC 3279, RFC 5480, RFC 8410, SEC 2).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const CURVES: [(&[u8], &str); 4] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "P-256"),
    (&[0x2b, 0x81, 4, 0, 34], "P-384"),
    (&[0x2b, 0x81, 4, 0, 35], "P-521"),
    (&[0x2b, 0x81, 4, 0, 10], "secp256k1"),
];
const OTHERS: [(&[u8], &str); 5] = [
    (&[0x2b, 0x65, 110], "a key for X25519, which signs nothing"),
    (&[0x2b, 0x65, 111], "a key for X448, which signs nothing"),
    (&[0x2b, 0x65, 113], "a key for Ed448"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1], "a key for DSA"),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 3, 1],
        "a key for Diffie-Hellman, which signs nothing",
    ),
];
const ED25519: &[u8] = &[0x2b, 0x65, 112];
/// RFC 5480 section 2.1.1 forbids them.
const EXPLICIT: &str = "a key whose curve is written out instead of named (`openssl ec -pubin -in FILE \
                        -param_enc named_curve` names it)";

/// The tags of DER that are met here.
const INTEGER: u8 = 2;
const BITS: u8 = 3;
const OBJECT: u8 = 6;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// What a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7) is for, and its key.
fn kind_of(info: &[u8]) -> Option<(Kind, &[u8])> {
    let (info, _) = expect(info, SEQUENCE)?;
    let (algorithm, rest) = expect(info, SEQUENCE)?;
    let (object, parameters) = expect(algorithm, OBJECT)?;
    let (bits, _) = expect(rest, BITS)?;
    let key = bits.strip_prefix(&[0])?;
    let named = |list: &[(&[u8], &'static str)], object: &[u8]| {
        list.iter().find(|(known, _)| *known == object).map(|(_, name)| *name)
    };
    let kind = match object {
        RSA => Kind::Rsa,
        RSA_PSS => Kind::RsaPss,
        ED25519 => Kind::Ed25519,
        EC => match expect(parameters, OBJECT).and_then(|(curve, _)| named(&CURVES, curve)) {
            Some(curve) => Kind::Curve(curve),
            None if expect(parameters, SEQUENCE).is_some() => Kind::Other(EXPLICIT),
            None => Kind::Other("a key on a curve that is not supported"),
        },
        other => Kind::Other(named(&OTHERS, other).unwrap_or("a key of a kind that is not known")),
    };
    Some((kind, key))
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn rsa_numbers(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (numbers, _) = expect(key, SEQUENCE)?;
    let (n, rest) = expect(numbers, INTEGER)?;
    let (e, _) = expect(rest, INTEGER)?;
    Some((n, e))
}

/// The `SubjectPublicKeyInfo` of a certificate (RFC 5280 section 4.1). Who signed it and for which
/// time says nothing here: it is the configuration that trusts the key.
fn info_of_certificate(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, behind)) = expect(rest, VERSION) {
        rest = behind;
    }
    // Serial number, signature algorithm, issuer, validity, subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        rest = expect(rest, tag)?.1;
    }
    let (_, behind) = expect(rest, SEQUENCE)?;
    rest.get(..rest.len() - behind.len())
}

/// The content of a value of this tag, and what is behind it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ ..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    if *first != tag { None } else { rest.split_at_checked(length) }
}

/// A number without leading zeros: some tools write one in front of a JWK's `n`, which RFC 7518 section
/// 2 forbids and which changes nothing.
pub(crate) fn digits(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    &number[first..]
}

/// How many bits a number has, without leading zeros.
fn bits(number: &[u8]) -> usize {
    let digits = digits(number);
    digits.first().map_or(0, |digit| digits.len() * 8 - digit.leading_zeros() as usize)
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|byte| byte % 2 == 0)
}

/// The largest prime whose powers the generator of ROCA used for keys of 2048 bits ("The Return of
/// Coppersmith's Attack", section 2.1).
const LARGEST: u32 = 701;

/// Whether a modulus is, by each of these primes, a power of 65537: less than one of 2^160 good ones is.
fn is_roca(n: &[u8]) -> bool {
    let is_prime = |number: u32| {
        (2..number).take_while(|f| f * f <= number).all(|f| !number.is_multiple_of(f))
    };
    (3..=LARGEST).filter(|number| is_prime(*number)).all(|prime| {
        let left = n.iter().fold(0, |left, byte| (left << 8 | u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| {
            Some(power * (65_537 % prime) % prime).filter(|next| *next != 1)
        });
        powers.take(LARGEST as usize).any(|power| power == left)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    fn error(text: &str) -> String {
        from_pem(text, Wanted::Rsa { pss: false }).expect_err("refused")
    }

    /// A number of 2048 bits that is a power of 65537 by each prime up to 701. It has no two prime
    /// factors of any use; nobody's key is touched by it.
    fn marked() -> Vec<u8> {
        // Little-endian digits of the product of the primes, then multiples of it until it is long.
        let mut product = vec![1_u8];
        let multiply = |number: &mut Vec<u8>, by: u32| {
            let mut carry = 0;
            for digit in number.iter_mut() {
                carry += u32::from(*digit) * by;
                *digit = (carry & 0xff) as u8;
                carry >>= 8;
            }
            while carry > 0 {
                number.push((carry & 0xff) as u8);
                carry >>= 8;
            }
        };
        let primes =
            (2..=LARGEST).filter(|n| (2..*n).take_while(|f| f * f <= *n).all(|f| n % f != 0));
        primes.for_each(|prime| multiply(&mut product, prime));
        // A multiple of the product, plus one, is the power 0 by each of them.
        while product.len() < 256 {
            multiply(&mut product, 256);
        }
        let top = product.last().expect("digits").leading_zeros();
        multiply(&mut product, 1 << top);
        product[0] += 1;
        product.reverse();
        product
    }

    #[test]
    fn refuses_rsa_keys_by_their_numbers() {
        let good = [&[0xc1][..], &[0x5a; 254], &[0x8b]].concat();
        assert_eq!(check_rsa(&good, &[1, 0, 1]), Ok(()));
        assert_eq!(check_rsa(&good, &[3]), Ok(()));
        for (n, e, part) in [
            (&good[128..], &[1, 0, 1][..], "bits, and 2048 to 8192"),
            (&good, &[1], "the exponent 1"),
            (&good, &[0, 0], "the exponent 0"),
            (&good, &[1, 0], "an even exponent"),
            (&good, &[1, 0, 0, 0, 0, 0, 1], "more than 33 bits"),
            (&[&good[..255], &[0x8a]].concat(), &[1, 0, 1], "modulus is even"),
            (&marked(), &[1, 0, 1], "ROCA"),
        ] {
            let error = check_rsa(n, e).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(bits(&marked()), 2048);
    }

    #[test]
    fn names_what_is_no_public_key_and_the_command_that_makes_one() {
        for (text, parts) in [
            (pem("RSA PRIVATE KEY", b"x"), ["a private key", "openssl pkey -in FILE -pubout"]),
            (pem("EC PRIVATE KEY", b"x"), ["a private key", "openssl pkey"]),
            (pem("ENCRYPTED PRIVATE KEY", b"x"), ["an encrypted private key", "openssl pkey"]),
            (
                pem("OPENSSH PRIVATE KEY", b"x"),
                ["a private key", "ssh-keygen -y -f FILE > NEW.pub"],
            ),
            (pem("TRUSTED CERTIFICATE", b"x"), ["TRUSTED CERTIFICATE", "openssl x509 -in FILE"]),
            (pem("CERTIFICATE REQUEST", b"x"), ["a request for a certificate", "openssl req"]),
            (pem("PGP PUBLIC KEY BLOCK", b"x"), ["PGP PUBLIC KEY BLOCK", "neither"]),
            ("ssh-ed25519 AAAA me".to_owned(), ["OpenSSH", "ssh-keygen -e"]),
            ("{\"kty\":\"RSA\"}".to_owned(), ["JSON", "`jwk`"]),
            ("nothing".to_owned(), ["no `-----BEGIN", "PUBLIC KEY"]),
            (pem("PUBLIC KEY", b"x"), ["PUBLIC KEY", "does not hold what it says"]),
            (pem("CERTIFICATE", b"x"), ["CERTIFICATE", "does not hold what it says"]),
            (pem("PUBLIC KEY", b"x").replace("-----END", "-----"), ["has no line", "END"]),
            (pem("PUBLIC KEY", b"x").replace('\n', "\\n"), ["`\\n` written out", "printf '%b'"]),
            (pem("PUBLIC KEY", b"x").replace("eA==", "%"), ["not base64", "PUBLIC KEY"]),
            (pem("PUBLIC KEY", b"x").repeat(2), ["2 sections", "each by itself"]),
        ] {
            let error = error(&text);
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        assert!(error(old).contains("an encrypted private key"));
    }

    #[test]
    fn shows_nothing_of_a_key_whose_lines_have_lost_their_ends() {
        let secret = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "PUBLIC KEY", "OPENSSH PRIVATE KEY", "X"] {
            let lines = format!("-----BEGIN {label}-----\n{secret}\n-----END {label}-----\n");
            for (ends, with) in
                [("\n", ""), ("\n", " "), ("\n", "\r"), ("\n", "\\n"), ("-----\n", "")]
            {
                let text = lines.replace(ends, with);
                let error = error(&text);
                assert!(!error.contains("MIIEv"), "{error}");
                assert!(!error.contains(&secret[20..36]), "{error}");
            }
        }
        let bare = format!("-----BEGIN {secret}-----");
        assert!(error(&bare).contains("no border"), "{}", error(&bare));
        let upper = format!("-----BEGIN {}-----", "A".repeat(64));
        assert!(!error(&upper).contains("AAAA"));
    }

    #[test]
    fn reads_a_public_key_whose_lines_have_lost_their_ends() {
        let info =
            [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 112, 3, 0x21, 0][..], &[7; 32]].concat();
        let lines = pem("PUBLIC KEY", &info);
        for text in [lines.replace('\n', " "), lines.replace('\n', "\r"), lines.replace('\n', "")] {
            assert_eq!(from_pem(&text, Wanted::Ed25519), Ok(info.clone()), "{text:?}");
        }
    }
}
