//! The parts of a stream's state that are bytes: written and read as a whole.

use gateway_model_protocols::Saved as _;
use gateway_model_protocols::framing::{Framing, Reader};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Copies;
        impl Visitor<'_> for Copies {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_bytes(Copies)
    }
}

/// What cuts the stream into events.
#[derive(Debug)]
pub(super) struct KeptReader(pub(super) Framing, pub(super) Reader);

impl Serialize for KeptReader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(64 + self.1.held().len());
        self.0.save(&mut bytes);
        self.1.save(&mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for KeptReader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?.0;
        let mut bytes = bytes.as_slice();
        let framing = Framing::load(&mut bytes).ok_or_else(|| D::Error::custom("no framing"))?;
        let reader = Reader::load(&mut bytes).ok_or_else(|| D::Error::custom("no reader"))?;
        Ok(Self(framing, reader))
    }
}
