//! Vectors of an embedding model: one byte for each number, and how near two of them are.
//!
//! Only the direction of a vector counts, so that its longest number can be 127.

/// Numbers of a vector, at least and at most.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=4096;

/// A vector in a small form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector(Vec<u8>);

impl Vector {
    /// Of the numbers of a model; `None` if they are no direction: too few or too many, all zero, or not finite.
    pub fn new(numbers: &[f32]) -> Option<Self> {
        let most = numbers.iter().fold(0_f32, |most, number| most.max(number.abs()));
        let is_good = LENGTHS.contains(&numbers.len())
            && numbers.iter().all(|number| number.is_finite())
            && most > 0.0;
        // From -127 to 127, by what most is.
        let small = |number: &f32| ((number / most * 127.0).round() as i8).cast_unsigned();
        is_good.then(|| Self(numbers.iter().map(small).collect()))
    }

    /// As bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The cosine of the angle to another one, from its bytes: 1 is the same direction. `None` if they have not the same length.
    pub fn cosine(&self, other: &[u8]) -> Option<f64> {
        if self.0.len() != other.len() {
            return None;
        }
        let (mut dot, mut own, mut theirs) = (0_i32, 0_i32, 0_i32);
        for (one, other) in self.0.iter().zip(other) {
            let (one, other) = (one.cast_signed(), other.cast_signed());
            let (one, other) = (i32::from(one), i32::from(other));
            dot += one * other;
            own += one * one;
            theirs += other * other;
        }
        let lengths = (f64::from(own) * f64::from(theirs)).sqrt();
        (lengths > 0.0).then(|| f64::from(dot) / lengths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_compared() {
        let one: Vec<f32> = (0..384_u16).map(|at| f32::from(at % 17) - 8.0).collect();
        let longer: Vec<f32> = one.iter().map(|number| number * 3.5).collect();
        let away: Vec<f32> = one.iter().map(|number| -number).collect();
        let vector = Vector::new(&one).unwrap();
        let to = |numbers: &[f32]| vector.cosine(Vector::new(numbers).unwrap().bytes()).unwrap();
        assert!((to(&longer) - 1.0).abs() < 1e-6);
        assert!((to(&away) + 1.0).abs() < 1e-6);
        assert_eq!(vector.cosine(&[1, 2]), None);
    }

    #[test]
    fn one_byte_for_a_number_is_nearly_exact() {
        // Numbers as a generator of the simplest kind gives them.
        let mut seed = 1_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(seed >> 16).unwrap_or(0)) / 32_768.0 - 1.0
        };
        let one: Vec<f32> = (0..384).map(|_| next()).collect();
        let other: Vec<f32> = one.iter().map(|number| number + next() * 0.3).collect();
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let exact = dot(&one, &other) / (dot(&one, &one) * dot(&other, &other)).sqrt();
        let near = Vector::new(&one).unwrap().cosine(Vector::new(&other).unwrap().bytes());
        assert!((near.unwrap() - exact).abs() < 1e-3);
    }

    #[test]
    fn what_is_no_direction_is_no_vector() {
        assert_eq!(Vector::new(&[0.0; 16]), None);
        assert_eq!(Vector::new(&[1.0; 7]), None);
        assert_eq!(Vector::new(&[1.0; 4097]), None);
        let mut broken = [1.0; 16];
        broken[3] = f32::NAN;
        assert_eq!(Vector::new(&broken), None);
    }
}
