//! A batch of events as it is sent.

use bytes::Bytes;

use crate::config::EventFormat;

/// The type of the content.
pub(super) fn content_type(format: EventFormat) -> &'static str {
    match format {
        EventFormat::Json => "application/json",
        EventFormat::Ndjson => "application/x-ndjson",
    }
}

/// The content.
pub(super) fn content(events: &[Box<[u8]>], format: EventFormat) -> Bytes {
    let length: usize = events.iter().map(|event| event.len() + 1).sum();
    let mut content = Vec::with_capacity(length + 1);
    match format {
        EventFormat::Ndjson => {
            for event in events {
                content.extend_from_slice(event);
                content.push(b'\n');
            }
        }
        EventFormat::Json => {
            content.push(b'[');
            for (index, event) in events.iter().enumerate() {
                if index > 0 {
                    content.push(b',');
                }
                content.extend_from_slice(event);
            }
            content.push(b']');
        }
    }
    content.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_an_array_or_lines() {
        let events: Vec<Box<[u8]>> = vec![(*b"{\"a\":1}").into(), (*b"2").into()];
        assert_eq!(content(&events, EventFormat::Json), "[{\"a\":1},2]");
        assert_eq!(content(&events, EventFormat::Ndjson), "{\"a\":1}\n2\n");
    }
}
