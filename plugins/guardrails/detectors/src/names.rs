//! The detectors that are known: names, groups, and how each begins.

use crate::cursor::{Cursor, Found, More};
use crate::{keys, national, numbers, tokens, words};

/// A detector that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Addresses of e-mail.
    Email,
    /// Numbers of payment cards, by Luhn's checksum and how issuers number.
    Card,
    /// International bank account numbers, by country, length and checksum.
    Iban,
    /// Phone numbers with a country code, and those of North America.
    Phone,
    /// Addresses of hosts, IPv4 and IPv6.
    IpAddress,
    /// US social security numbers that can have been given.
    UsSsn,
    /// Brazilian CPF, by its two check digits.
    BrCpf,
    /// Spanish DNI and NIE, by its letter.
    EsDni,
    /// French social security numbers, by their key.
    FrNir,
    /// Italian fiscal codes, by their letter.
    ItFiscalCode,
    /// Polish PESEL, by its check digit and date.
    PlPesel,
    /// Keys of services that have a prefix, by length and where it is known by checksum.
    ApiKey,
    /// Ids and secrets of AWS access keys.
    AwsKey,
    /// Private keys in PEM.
    PrivateKey,
    /// JSON Web Tokens.
    Jwt,
    /// Words that look as if they were drawn by lot.
    HighEntropy,
}

/// Names that stand for several detectors.
pub const GROUPS: [(&str, &[Builtin]); 3] = [
    (
        "personal-data",
        &[Builtin::Email, Builtin::Card, Builtin::Iban, Builtin::Phone, Builtin::UsSsn],
    ),
    (
        "national-ids",
        &[
            Builtin::UsSsn,
            Builtin::BrCpf,
            Builtin::EsDni,
            Builtin::FrNir,
            Builtin::ItFiscalCode,
            Builtin::PlPesel,
        ],
    ),
    ("secrets", &[Builtin::ApiKey, Builtin::AwsKey, Builtin::PrivateKey, Builtin::Jwt]),
];

impl Builtin {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Email,
        Self::Card,
        Self::Iban,
        Self::Phone,
        Self::IpAddress,
        Self::UsSsn,
        Self::BrCpf,
        Self::EsDni,
        Self::FrNir,
        Self::ItFiscalCode,
        Self::PlPesel,
        Self::ApiKey,
        Self::AwsKey,
        Self::PrivateKey,
        Self::Jwt,
        Self::HighEntropy,
    ];

    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Phone => "phone",
            Self::IpAddress => "ip-address",
            Self::UsSsn => "us-ssn",
            Self::BrCpf => "br-cpf",
            Self::EsDni => "es-dni",
            Self::FrNir => "fr-nir",
            Self::ItFiscalCode => "it-fiscal-code",
            Self::PlPesel => "pl-pesel",
            Self::ApiKey => "api-key",
            Self::AwsKey => "aws-key",
            Self::PrivateKey => "private-key",
            Self::Jwt => "jwt",
            Self::HighEntropy => "high-entropy",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The longest match, in bytes, with what is looked at behind it.
    #[must_use]
    pub fn longest(self) -> usize {
        match self {
            Self::Email => 320,
            Self::Card => 80,
            Self::Iban => 64,
            Self::Phone => 32,
            Self::IpAddress => 48,
            Self::UsSsn | Self::BrCpf | Self::EsDni | Self::ItFiscalCode | Self::PlPesel => 20,
            Self::FrNir => 28,
            Self::ApiKey => 260,
            Self::AwsKey => 90,
            Self::PrivateKey => tokens::LONGEST_KEY,
            Self::Jwt => tokens::LONGEST_JWT,
            Self::HighEntropy => 160,
        }
    }

    /// Whether a match can begin with this byte.
    pub(crate) fn can_start(self, byte: u8) -> bool {
        match self {
            Self::Email => words::is_atom(byte) && byte != b'.',
            Self::Card | Self::UsSsn | Self::BrCpf | Self::PlPesel => byte.is_ascii_digit(),
            Self::FrNir => matches!(byte, b'1' | b'2'),
            Self::EsDni => byte.is_ascii_digit() || matches!(byte, b'X' | b'Y' | b'Z'),
            Self::Iban => byte.is_ascii_alphabetic(),
            Self::ItFiscalCode => byte.is_ascii_uppercase(),
            Self::Phone => matches!(byte, b'+' | b'(' | b'2'..=b'9'),
            Self::IpAddress => byte.is_ascii_hexdigit() || byte == b':',
            Self::ApiKey => keys::can_start(byte),
            Self::AwsKey => matches!(byte, b'A' | b'a' | b'S' | b's'),
            Self::PrivateKey => byte == b'-',
            Self::Jwt => byte == b'e',
            Self::HighEntropy => byte.is_ascii_alphanumeric(),
        }
    }

    /// What begins at the cursor.
    pub(crate) fn find(self, cursor: &Cursor<'_>) -> Result<Option<Found>, More> {
        match self {
            Self::Email => words::email(cursor),
            Self::Card => numbers::card(cursor),
            Self::Iban => numbers::iban(cursor),
            Self::Phone => numbers::phone(cursor),
            Self::IpAddress => words::ip_address(cursor),
            Self::UsSsn => national::us_ssn(cursor),
            Self::BrCpf => national::br_cpf(cursor),
            Self::EsDni => national::es_dni(cursor),
            Self::FrNir => national::fr_nir(cursor),
            Self::ItFiscalCode => national::it_fiscal_code(cursor),
            Self::PlPesel => national::pl_pesel(cursor),
            Self::ApiKey => keys::api_key(cursor),
            Self::AwsKey => keys::aws_key(cursor),
            Self::PrivateKey => tokens::private_key(cursor),
            Self::Jwt => tokens::jwt(cursor),
            Self::HighEntropy => tokens::high_entropy(cursor),
        }
    }
}

/// The name among these that was likely meant, if one is near.
#[must_use]
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let near = names.into_iter().map(|known| (distance(name, known), known)).min()?;
    (near.0 <= 1 + near.1.len() / 4).then_some(near.1)
}

/// How many letters have to change (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (at, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(*known != letter);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
