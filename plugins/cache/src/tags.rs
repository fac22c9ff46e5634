//! The names by which stored responses are purged.

use gateway_cache_policy::{Fields, structured};
use gateway_plugin_sdk::prelude::HeaderName;

use crate::asked::Asked;

/// The most tags that a stored response has.
const MOST: usize = 64;

/// The tag of all responses for a URL, whatever else tells them apart.
pub(crate) fn of_url(url: &str) -> String {
    format!("url:{url}")
}

/// The tags of a response: its URL, what it says, and its groups (RFC 9875).
pub(crate) fn of(asked: &Asked, response: &Fields, names: &[HeaderName]) -> Vec<String> {
    let mut tags = vec![of_url(&asked.url)];
    tags.extend(groups(asked, response, "cache-groups"));
    for name in names {
        let text = response.text(name.as_str()).unwrap_or_default();
        let said = text.split([' ', '\t', ',']).filter(|tag| !tag.is_empty());
        tags.extend(said.map(str::to_owned));
    }
    tags.retain(|tag| tag.len() <= 8 << 10);
    tags.dedup();
    tags.truncate(MOST);
    tags
}

/// The tags of what a response to an unsafe request makes invalid: its URL, those that it names, and groups
/// (RFC 9111 section 4.4, RFC 9875 section 3).
pub(crate) fn invalidated(asked: &Asked, response: &Fields) -> Vec<String> {
    let mut tags = vec![of_url(&asked.url)];
    for name in ["location", "content-location"] {
        let same = response.text(name).and_then(|text| same_origin(&asked.url, text.trim()));
        tags.extend(same.map(|url| of_url(&url)));
    }
    tags.extend(groups(asked, response, "cache-group-invalidation"));
    tags
}

fn groups(asked: &Asked, response: &Fields, name: &str) -> Vec<String> {
    let names = response.value(name).and_then(|value| structured::strings(&value));
    let origin = origin(&asked.url);
    names.unwrap_or_default().iter().map(|group| format!("group:{origin} {group}")).collect()
}

/// Scheme and host of a URL.
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
    if reference.contains("://") {
        let rest = reference.strip_prefix(origin)?;
        return rest.starts_with(['/', '?']).then(|| reference.to_owned());
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
        for other in ["http://a.example.org/x", "https://a.example/x", "//b/x", "", "../x"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
