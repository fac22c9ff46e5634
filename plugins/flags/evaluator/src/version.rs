//! Versions by [Semantic Versioning](https://semver.org), read as leniently as flagd reads them.

use std::cmp::Ordering;

/// A version. What stands behind `+` does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    patch: u64,
    before_release: Vec<Identifier>,
}

/// A part of what stands behind `-`. Numbers come before names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Name(String),
}

/// The largest number, as JavaScript has it.
const MOST: u64 = (1 << 53) - 1;

const LONGEST: usize = 256;

impl Version {
    /// `1.2.3-rc.1+build`, `v1.2.3`, `1.2` or `1`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let is_short =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() < 3 && parts.iter().all(|part| is_short(part)) {
            let minor = parts.get(1).map_or(Some(0), |part| number(part))?;
            let before_release = Vec::new();
            return Some(Self { major: number(parts[0])?, minor, patch: 0, before_release });
        }
        Self::strict(text.trim())
    }

    fn strict(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) =
            text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        if build.is_some_and(|build| build.split('.').any(|part| !is_identifier(part))) {
            return None;
        }
        let (release, before) =
            text.split_once('-').map_or((text, None), |(release, before)| (release, Some(before)));
        let mut numbers = release.split('.').map(number);
        let [major, minor, patch] = [numbers.next()??, numbers.next()??, numbers.next()??];
        if numbers.next().is_some() {
            return None;
        }
        let before_release = before.map_or(Some(Vec::new()), identifiers)?;
        Some(Self { major, minor, patch, before_release })
    }

    /// Which of two comes first. What precedes a release is before it.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let release = |it: &Self| (it.major, it.minor, it.patch);
        release(self).cmp(&release(other)).then_with(|| {
            match (self.before_release.is_empty(), other.before_release.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.before_release.cmp(&other.before_release),
            }
        })
    }
}

fn identifiers(text: &str) -> Option<Vec<Identifier>> {
    let read = |part: &str| {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            return number(part).map(Identifier::Number);
        }
        is_identifier(part).then(|| Identifier::Name(part.to_owned()))
    };
    text.split('.').map(read).collect()
}

fn is_identifier(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A number without leading zeros.
fn number(part: &str) -> Option<u64> {
    let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || (part.len() > 1 && part.starts_with('0')) {
        return None;
    }
    part.parse().ok().filter(|number| *number <= MOST)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::Version;

    #[test]
    fn versions_are_ordered_and_short_ones_are_filled_up() {
        let ascending = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "v1.0.0+build.5",
            "1.0.1",
            "1.2",
            "2",
            "10.0.0",
        ];
        for pair in ascending.windows(2) {
            let [one, other] = [pair[0], pair[1]]
                .map(|text| Version::parse(text).unwrap_or_else(|| panic!("{text}")));
            assert_eq!(
                (one.order(&other), other.order(&one)),
                (Ordering::Less, Ordering::Greater),
                "{pair:?}"
            );
        }
        for wrong in [
            "", "v", "1.", "01.0.0", "1.2.3.4", "1.2.3-", "1.2.3-01", "1.2.3+", "latest", "1.x",
            "-1.0.0",
        ] {
            assert_eq!(Version::parse(wrong), None, "{wrong}");
        }
    }
}
