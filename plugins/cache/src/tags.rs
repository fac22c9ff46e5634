//! The names by which stored responses are purged.

use gateway_cache_policy::variation::Variation;
use gateway_cache_policy::{Fields, authority, structured};
use gateway_plugin_sdk::prelude::HeaderName;

use crate::asked::Asked;

/// The most tags that a stored response has.
const MOST: usize = 64;
/// The longest one, in bytes.
const LONGEST: usize = 8 << 10;

/// The tag of all responses for a URL, whatever else tells them apart.
pub(crate) fn of_url(url: &str) -> String {
    format!("url:{url}")
}

/// The tags of a URL: as it was asked for, and with what of its query counts, in the order in which it counts.
fn of_urls(url: &str, counts: &Variation) -> Vec<String> {
    let mut tags = vec![of_url(url)];
    if let Some((path, query)) = url.split_once('?') {
        let query = counts.key(query);
        let mark = if query.is_empty() { "" } else { "?" };
        tags.push(of_url(&format!("{path}{mark}{query}")));
        tags.dedup();
    }
    tags
}

/// The tags of a response: its URL, what it says, and its groups (RFC 9875). `None` if these are more than are kept: who
/// purges by one of them would not find it.
pub(crate) fn of(
    asked: &Asked,
    response: &Fields,
    names: &[HeaderName],
    counts: &Variation,
) -> Option<Vec<String>> {
    let mut tags = of_urls(&asked.url, counts);
    tags.extend(groups(asked, response, "cache-groups"));
    for name in names {
        let text = response.text(name.as_str()).unwrap_or_default();
        let said = text.split([' ', '\t', ',']).filter(|tag| !tag.is_empty());
        tags.extend(said.map(str::to_owned));
    }
    tags.sort_unstable();
    tags.dedup();
    let are_few = tags.len() <= MOST && tags.iter().all(|tag| tag.len() <= LONGEST);
    are_few.then_some(tags)
}

/// The tags of what a response to an unsafe request makes invalid: its URL, those that it names, and groups
/// (RFC 9111 section 4.4, RFC 9875 section 3).
pub(crate) fn invalidated(asked: &Asked, response: &Fields, counts: &Variation) -> Vec<String> {
    let mut tags = of_urls(&asked.url, counts);
    for name in ["location", "content-location"] {
        let same = response.text(name).and_then(|text| same_origin(&asked.url, text.trim()));
        tags.extend(same.into_iter().flat_map(|url| of_urls(&url, counts)));
    }
    tags.extend(groups(asked, response, "cache-group-invalidation"));
    tags
}

/// Whether a response says that it is what is at the URL that was asked for.
pub(crate) fn is_of(url: &str, response: &Fields) -> bool {
    let said = response.text("content-location");
    said.and_then(|text| same_origin(url, text.trim())).is_some_and(|said| said == url)
}

fn groups(asked: &Asked, response: &Fields, name: &str) -> Vec<String> {
    let names = response.value(name).and_then(|value| structured::strings(&value));
    let origin = origin(&asked.url);
    names.unwrap_or_default().iter().map(|group| format!("group:{origin} {group}")).collect()
}

/// Scheme and authority of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
    &url[..path]
}

/// What a reference means, if it is of the same origin.
fn same_origin(url: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let origin = origin(url);
    if reference.starts_with("//") || reference.is_empty() {
        return None;
    }
    if reference.starts_with('/') {
        return Some(format!("{origin}{reference}"));
    }
    if let Some((scheme, rest)) = reference.split_once("://") {
        let (authority, rest) = rest.split_at(rest.find(['/', '?'])?);
        let scheme = scheme.to_ascii_lowercase();
        let theirs = format!("{scheme}://{}", authority::normal(&scheme, authority));
        return (theirs == origin).then(|| format!("{origin}{rest}"));
    }
    let path = url.split('?').next().unwrap_or_default();
    let folder = &path[..path.rfind('/').map_or(path.len(), |at| at + 1)];
    let has_dots = reference.split('/').any(|part| matches!(part, "." | ".."));
    (!has_dots).then(|| format!("{folder}{reference}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_the_same_origin_are_made_invalid() {
        let of = |reference| same_origin("http://a.example/b/c?d", reference);
        assert_eq!(of("/x?y#z").as_deref(), Some("http://a.example/x?y"));
        assert_eq!(of("x").as_deref(), Some("http://a.example/b/x"));
        assert_eq!(of("http://a.example/x").as_deref(), Some("http://a.example/x"));
        assert_eq!(of("HTTP://A.example:80/x").as_deref(), Some("http://a.example/x"));
        for other in [
            "http://a.example:81/x",
            "http://a.example.org/x",
            "https://a.example/x",
            "//b/x",
            "",
            "../x",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn the_origin_has_its_port() {
        let of = |reference| same_origin("http://a.example:81/b", reference);
        assert_eq!(of("/x").as_deref(), Some("http://a.example:81/x"));
        assert_eq!(of("http://a.example:81/x").as_deref(), Some("http://a.example:81/x"));
        assert_eq!(of("http://a.example/x"), None);
    }

    #[test]
    fn a_url_is_found_as_it_was_asked_for_and_by_what_counts_of_its_query() {
        use gateway_cache_policy::variation::Parameters;
        let parameters = Parameters::AllBut(vec!["utm_*".to_owned()]);
        let counts = Variation { parameters, order: false };
        let of = |url| of_urls(url, &counts);
        assert_eq!(
            of("http://a:81/b?y=1&x=2&utm_a=3"),
            ["url:http://a:81/b?y=1&x=2&utm_a=3", "url:http://a:81/b?x=2&y=1"]
        );
        assert_eq!(of("http://a/b?utm_a=3"), ["url:http://a/b?utm_a=3", "url:http://a/b"]);
        assert_eq!(of("http://a/b?x=2"), ["url:http://a/b?x=2"]);
        assert_eq!(of("http://a/b"), ["url:http://a/b"]);
    }
}
