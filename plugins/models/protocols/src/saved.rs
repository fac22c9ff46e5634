//! State as bytes: what a stream's readers keep between two chunks.
//!
//! Compact and without versions: the bytes live as long as one exchange and are read by the
//! code that wrote them.

/// A state that can be written to bytes and read from them.
pub trait Saved: Sized {
    /// Appends the state.
    fn save(&self, out: &mut Vec<u8>);

    /// Reads the state from the front of `bytes`, which then hold what follows it.
    fn load(bytes: &mut &[u8]) -> Option<Self>;

    /// The state as bytes of its own.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.save(&mut out);
        out
    }

    /// The state that the bytes hold. `None` if they are not whole.
    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let state = Self::load(&mut bytes)?;
        bytes.is_empty().then_some(state)
    }
}

impl Saved for u64 {
    #[inline]
    fn save(&self, out: &mut Vec<u8>) {
        // Nearly all are small.
        if *self < 0x80 { out.push(*self as u8) } else { save_large(*self, out) }
    }

    #[inline]
    fn load(bytes: &mut &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (byte, rest) if *byte < 0x80 => {
                *bytes = rest;
                Some(u64::from(*byte))
            }
            _ => load_large(bytes),
        }
    }
}

fn save_large(mut rest: u64, out: &mut Vec<u8>) {
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn load_large(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

macro_rules! through_u64 {
    ($($kind:ty),*) => {$(
        impl Saved for $kind {
            fn save(&self, out: &mut Vec<u8>) {
                (*self as u64).save(out);
            }

            fn load(bytes: &mut &[u8]) -> Option<Self> {
                u64::load(bytes)?.try_into().ok()
            }
        }
    )*};
}
through_u64!(u8, u16, u32, usize);

impl Saved for bool {
    fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        Some(u64::load(bytes)? != 0)
    }
}

impl<T: Saved> Saved for Vec<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.len().save(out);
        self.iter().for_each(|item| item.save(out));
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::load(bytes)?;
        (0..length).map(|_| T::load(bytes)).collect()
    }
}

impl Saved for String {
    fn save(&self, out: &mut Vec<u8>) {
        self.len().save(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        String::from_utf8(Held::load(bytes)?.0).ok()
    }
}

/// Bytes that are copied as a whole.
#[derive(Clone, Debug, Default)]
pub struct Held(pub Vec<u8>);

impl Saved for Held {
    fn save(&self, out: &mut Vec<u8>) {
        self.0.len().save(out);
        out.extend_from_slice(&self.0);
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::load(bytes)?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(Self(text.to_vec()))
    }
}

impl<T: Saved> Saved for Box<T> {
    fn save(&self, out: &mut Vec<u8>) {
        T::save(self, out);
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        T::load(bytes).map(Self::new)
    }
}

impl<T: Saved> Saved for Option<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.is_some().save(out);
        if let Some(value) = self {
            value.save(out);
        }
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        match bool::load(bytes)? {
            true => Some(Some(T::load(bytes)?)),
            false => Some(None),
        }
    }
}

impl<A: Saved, B: Saved> Saved for (A, B) {
    fn save(&self, out: &mut Vec<u8>) {
        self.0.save(out);
        self.1.save(out);
    }

    fn load(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::load(bytes)?, B::load(bytes)?))
    }
}

/// Implements [`Saved`] for a struct of saved fields, or for an enum without fields.
#[macro_export]
macro_rules! saved {
    (struct $name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::saved::Saved for $name {
            fn save(&self, out: &mut Vec<u8>) {
                $($crate::saved::Saved::save(&self.$field, out);)*
            }

            fn load(bytes: &mut &[u8]) -> Option<Self> {
                $(let $field = $crate::saved::Saved::load(bytes)?;)*
                Some(Self { $($field),* })
            }
        }
    };
    (enum $name:ident { $($variant:ident),* $(,)? }) => {
        impl $crate::saved::Saved for $name {
            fn save(&self, out: &mut Vec<u8>) {
                out.push(*self as u8);
            }

            fn load(bytes: &mut &[u8]) -> Option<Self> {
                let code: u8 = $crate::saved::Saved::load(bytes)?;
                [$(Self::$variant),*].into_iter().find(|variant| *variant as u8 == code)
            }
        }
    };
}
pub(crate) use saved;

#[cfg(test)]
mod tests {
    use super::Saved;

    #[test]
    fn what_is_saved_is_loaded() {
        let state = (vec![0_u64, 127, 128, u64::MAX], Some("a\u{e9}".to_owned()));
        assert_eq!(
            <(Vec<u64>, Option<String>)>::from_bytes(&state.to_bytes()),
            Some(state.clone())
        );
        let bytes = state.to_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(<(Vec<u64>, Option<String>)>::from_bytes(&bytes[..cut]), None);
        }
    }
}
