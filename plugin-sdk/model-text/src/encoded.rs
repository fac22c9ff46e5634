//! Which strings are files that are encoded, and no texts. Only what is nothing else, and stands where files are.

/// Members that may have a file as a `data:` URL.
const WITH_URLS: [&str; 11] = [
    "url",
    "image_url",
    "audio_url",
    "video_url",
    "file_url",
    "file_data",
    "data",
    "images",
    "image",
    "audio",
    "video",
];

/// What is shorter is rather a text of letters and digits than a file.
const SHORTEST_FILE: usize = 64;

/// Whether the member of this name has nothing but base64.
pub(crate) fn is_file(name: &str, written: &str) -> bool {
    match name {
        "data" | "b64_json" | "images" | "embedding" => is_base64(written, true),
        "file_data" => written.len() >= SHORTEST_FILE && is_base64(written, true),
        _ => false,
    }
}

/// Whether the member of this name is a file as a `data:` URL: a media type, and behind it nothing but base64.
pub(crate) fn is_url_of_file(name: &str, written: &str) -> bool {
    if !WITH_URLS.contains(&name) {
        return false;
    }
    let is_of_type = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'/' | b'\\' | b'+' | b'.' | b'-' | b';' | b'=')
    };
    written.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).is_some_and(
        |(kind, file)| {
            kind.len() <= 128
                && kind.bytes().all(is_of_type)
                && file.len() >= SHORTEST_FILE
                && is_base64(file, false)
        },
    )
}

/// Base64 as it stands in JSON, in which `/` may be escaped; also with the letters for URLs.
fn is_base64(written: &str, for_urls: bool) -> bool {
    let bytes = written.as_bytes();
    let padding = bytes.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let letters = &bytes[..bytes.len() - padding];
    letters.iter().enumerate().all(|(at, byte)| match byte {
        b'+' | b'/' => true,
        b'-' | b'_' => for_urls,
        b'\\' => letters.get(at + 1) == Some(&b'/'),
        byte => byte.is_ascii_alphanumeric(),
    })
}
