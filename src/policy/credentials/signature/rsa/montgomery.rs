//! Computes powers modulo an odd number n, and checks curve points, with Montgomery multiplication, which needs no division.
//!
//! The number n is an RSA modulus or the prime of an elliptic curve. The code does not run in constant time, because it processes
//! only public numbers.
//!
//! A number is stored as a list of limbs of 27 bits, starting with the lowest limb. The product of two limbs has 54 bits, so a
//! 64-bit column can sum 2^10 products without an overflow. If n has 8192 bits, a column sums at most 2 × 304 products.
//!
//! Instead of a × b, a Montgomery multiplication computes a × b ÷ R modulo n, where R = 2^(27 × limbs). The limbs have room for
//! at least two bits more than n, so R is greater than 4n. Therefore, if both factors are below 2n, the result is below 2n too.
//! Between multiplications, numbers need not be reduced further.

/// An odd modulus, with the values that are computed once for all operations.
#[derive(Clone)]
pub struct Modulus {
    limbs: Box<[u32]>,
    /// -1/n modulo 2^27.
    negated_inverse: u32,
    /// R² modulo n, the factor that converts a number to Montgomery form.
    r_squared: Box<[u32]>,
}

impl Modulus {
    /// Prepares a modulus. Returns `None` if the modulus is even, or has fewer than 2 or more than [`MAX_BITS`] bits.
    /// `big_endian` must not start with a zero byte.
    pub fn new(big_endian: &[u8]) -> Option<Modulus> {
        let bits = bit_length(big_endian);
        if !(2..=MAX_BITS).contains(&bits) || big_endian.last()? & 1 == 0 {
            return None;
        }
        let limbs = to_limbs(big_endian, (bits + 2).div_ceil(LIMB_BITS).next_multiple_of(CHUNK));
        let negated_inverse = inverse_of_odd(*limbs.first()?).wrapping_neg() & MASK;
        let mut modulus = Modulus { r_squared: Box::default(), limbs, negated_inverse };
        modulus.r_squared = modulus.square_of_r(bits);
        Some(modulus)
    }

    /// Computes `base` to the power of `exponent`, as `length` big-endian bytes. Returns `None` if `base` is not below the
    /// modulus, or if `exponent` is even or below 3.
    pub fn power(&self, base: &[u8], exponent: u64, length: usize) -> Option<Vec<u8>> {
        if exponent < 3 || exponent.is_multiple_of(2) {
            return None;
        }
        let plain = to_limbs(base, self.limbs.len());
        if bit_length(base) > self.limbs.len() * LIMB_BITS || !is_less(&plain, &self.limbs) {
            return None;
        }
        let mut columns = vec![0; 2 * self.limbs.len()];
        let base = self.product(&plain, &self.r_squared, &mut columns);
        let mut power = base.clone();
        for bit in (1..exponent.checked_ilog2()?).rev() {
            power = self.square(&power, &mut columns);
            if exponent >> bit & 1 == 1 {
                power = self.product(&power, &base, &mut columns);
            }
        }
        // The last bit of an odd exponent is set, so the last step multiplies by the base. The base is in plain form here, so the
        // result is in plain form too, and needs no conversion from Montgomery form.
        power = self.square(&power, &mut columns);
        let mut result = self.product(&power, &plain, &mut columns);
        subtract_unless_less(&mut result, &self.limbs);
        Some(to_bytes(&result, length))
    }

    /// Returns `true` if y² = x³ - 3x + b modulo n. `x`, `y` and `b` are big-endian numbers. Returns `false` if one of the
    /// numbers is not below n.
    pub fn is_on_curve(&self, x: &[u8], y: &[u8], b: &[u8]) -> bool {
        let mut columns = vec![0; 2 * self.limbs.len()];
        let mut read = |number: &[u8]| {
            let plain = to_limbs(number, self.limbs.len());
            let fits = number.len() * 8 <= self.limbs.len() * LIMB_BITS && is_less(&plain, &self.limbs);
            fits.then(|| self.product(&plain, &self.r_squared, &mut columns))
        };
        let (Some(x), Some(y), Some(b)) = (read(x), read(y), read(b)) else { return false };
        let x_squared = self.square(&x, &mut columns);
        let x_cubed = self.product(&x_squared, &x, &mut columns);
        let y_squared = self.square(&y, &mut columns);
        self.sum(&[&y_squared, &x, &x, &x]) == self.sum(&[&x_cubed, &b])
    }

    /// Adds numbers below 2n and reduces the sum below n after each addition. An unreduced sum is below 3n, so it fits into the
    /// limbs.
    fn sum(&self, numbers: &[&[u32]]) -> Box<[u32]> {
        let mut sum: Box<[u32]> = vec![0; self.limbs.len()].into();
        for number in numbers {
            let mut carry = 0;
            for (limb, added) in sum.iter_mut().zip(*number) {
                let total = *limb + added + carry;
                carry = total >> LIMB_BITS;
                *limb = total & MASK;
            }
            for _ in 0..2 {
                subtract_unless_less(&mut sum, &self.limbs);
            }
        }
        sum
    }

    /// Computes a × b ÷ R modulo n. The result is below 2n if `a` and `b` are below 2n.
    fn product(&self, a: &[u32], b: &[u32], columns: &mut [u64]) -> Box<[u32]> {
        columns.fill(0);
        let mut row = &mut *columns;
        for a in a {
            let a = u64::from(*a);
            // All inner loops process several limbs per iteration, because the Wasm engine does not unroll loops.
            for (columns, b) in row.as_chunks_mut::<4>().0.iter_mut().zip(b.as_chunks::<4>().0) {
                for (column, b) in columns.iter_mut().zip(b) {
                    *column += a * u64::from(*b);
                }
            }
            row = row.split_first_mut().map(|(_, higher)| higher).unwrap_or_default();
        }
        self.reduced(columns)
    }

    /// Computes a² ÷ R modulo n. The result is below 2n if `a` is below 2n. Products that occur twice are computed once, with a
    /// doubled factor.
    fn square(&self, a: &[u32], columns: &mut [u64]) -> Box<[u32]> {
        columns.fill(0);
        let (mut rows, mut row) = (a, &mut *columns);
        while let ([a0, a1, higher @ ..], [c0, c1, c2, ..]) = (rows, &mut *row) {
            let (a0, a1) = (u64::from(*a0), u64::from(*a1));
            *c0 += a0 * a0;
            *c1 += 2 * a0 * a1;
            *c2 += a1 * a1;
            let mut below = 0;
            let crossed = row.get_mut(2..).unwrap_or_default();
            for ([c0, c1], [b0, b1]) in crossed.as_chunks_mut::<2>().0.iter_mut().zip(higher.as_chunks::<2>().0) {
                let (b0, b1) = (u64::from(*b0), u64::from(*b1));
                *c0 += 2 * a0 * b0 + 2 * a1 * below;
                *c1 += 2 * a0 * b1 + 2 * a1 * b0;
                below = b1;
            }
            if let Some(column) = crossed.get_mut(higher.len()) {
                *column += 2 * a1 * below;
            }
            (rows, row) = (higher, row.get_mut(4..).unwrap_or_default());
        }
        self.reduced(columns)
    }

    /// Divides the number in `columns` by R modulo n. Each iteration adds multiples of n that clear the two lowest columns.
    fn reduced(&self, columns: &mut [u64]) -> Box<[u32]> {
        let [n0, n1, n_higher @ ..] = &*self.limbs else { return Box::default() };
        let (n0, n1) = (u64::from(*n0), u64::from(*n1));
        let factor = |column: u64| u64::from((column as u32).wrapping_mul(self.negated_inverse) & MASK);
        let mut columns = columns;
        for _ in 0..self.limbs.len() / 2 {
            let Some(([c0, c1], higher)) = std::mem::take(&mut columns).split_first_chunk_mut() else { break };
            let f0 = factor(*c0);
            let c1 = *c1 + f0 * n1 + ((*c0 + f0 * n0) >> LIMB_BITS);
            let f1 = factor(c1);
            if let Some(next) = higher.first_mut() {
                *next += (c1 + f1 * n0) >> LIMB_BITS;
            }
            let mut below = n1;
            for ([c0, c1], [n0, n1]) in higher.as_chunks_mut::<2>().0.iter_mut().zip(n_higher.as_chunks::<2>().0) {
                let (n0, n1) = (u64::from(*n0), u64::from(*n1));
                *c0 += f0 * n0 + f1 * below;
                *c1 += f0 * n1 + f1 * n0;
                below = n1;
            }
            if let Some(column) = higher.get_mut(n_higher.len()) {
                *column += f1 * below;
            }
            columns = higher;
        }
        let mut carry = 0;
        let carried = columns.iter().map(|column| {
            let sum = column + carry;
            carry = sum >> LIMB_BITS;
            sum as u32 & MASK
        });
        carried.collect()
    }

    /// Computes R² modulo n. First doubles 2^(bits - 1) until the result is R modulo n. The function `square` then turns 2^k·R
    /// into 2^(2k)·R, and `double` turns it into 2^(k+1)·R. With a few of these steps, 2^k becomes R, and the result becomes R².
    fn square_of_r(&self, bits: usize) -> Box<[u32]> {
        let r_bits = self.limbs.len() * LIMB_BITS;
        let mut power: Box<[u32]> = vec![0; self.limbs.len()].into();
        if let Some(limb) = power.get_mut((bits - 1) / LIMB_BITS) {
            *limb = 1 << ((bits - 1) % LIMB_BITS);
        }
        for _ in bits - 1..r_bits {
            self.double(&mut power);
        }
        let mut columns = vec![0; 2 * self.limbs.len()];
        for bit in (0..=r_bits.ilog2()).rev() {
            power = self.square(&power, &mut columns);
            if r_bits >> bit & 1 == 1 {
                self.double(&mut power);
            }
        }
        power
    }

    /// Doubles a number below 2n, and reduces the result below n. The unreduced result is below 4n, so it fits into the limbs.
    fn double(&self, number: &mut [u32]) {
        let mut carry = 0;
        for limb in number.iter_mut() {
            let doubled = *limb << 1 | carry;
            carry = doubled >> LIMB_BITS;
            *limb = doubled & MASK;
        }
        for _ in 0..3 {
            subtract_unless_less(number, &self.limbs);
        }
    }
}

/// Returns the number of bits of a number without leading zero bytes.
pub fn bit_length(big_endian: &[u8]) -> usize {
    big_endian.first().map_or(0, |first| big_endian.len() * 8 - first.leading_zeros() as usize)
}

/// Computes the inverse modulo 2^32 by Newton's method. Each iteration doubles the number of correct bits, starting with three.
fn inverse_of_odd(number: u32) -> u32 {
    (0..4).fold(number, |inverse, _| inverse.wrapping_mul(2u32.wrapping_sub(number.wrapping_mul(inverse))))
}

fn is_less(a: &[u32], b: &[u32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn subtract_unless_less(number: &mut [u32], modulus: &[u32]) {
    if is_less(number, modulus) {
        return;
    }
    let mut borrow = 0;
    for (limb, n) in number.iter_mut().zip(modulus) {
        let difference = limb.wrapping_sub(*n).wrapping_sub(borrow);
        borrow = difference >> 31;
        *limb = difference & MASK;
    }
}

fn to_limbs(big_endian: &[u8], count: usize) -> Box<[u32]> {
    let mut bytes = big_endian.iter().rev();
    let (mut pending, mut pending_bits) = (0u64, 0);
    let limbs = (0..count).map(|_| {
        while pending_bits < LIMB_BITS {
            pending |= u64::from(bytes.next().copied().unwrap_or(0)) << pending_bits;
            pending_bits += 8;
        }
        let limb = pending as u32 & MASK;
        pending >>= LIMB_BITS;
        pending_bits -= LIMB_BITS;
        limb
    });
    limbs.collect()
}

fn to_bytes(limbs: &[u32], length: usize) -> Vec<u8> {
    let mut limbs = limbs.iter();
    let (mut pending, mut pending_bits) = (0u64, 0);
    let mut bytes: Vec<u8> = (0..length)
        .map(|_| {
            if pending_bits < 8 {
                pending |= u64::from(limbs.next().copied().unwrap_or(0)) << pending_bits;
                pending_bits += LIMB_BITS;
            }
            let byte = pending as u8;
            pending >>= 8;
            pending_bits -= 8;
            byte
        })
        .collect();
    bytes.reverse();
    bytes
}

/// The maximum length of a modulus in bits. Up to this length, the columns cannot overflow.
pub const MAX_BITS: usize = 8192;

/// The number of limbs is a multiple of `CHUNK`, so that loops over several limbs have no remainder.
const CHUNK: usize = 4;

const LIMB_BITS: usize = 27;
const MASK: u32 = (1 << LIMB_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Generates a deterministic sequence of 64-bit numbers (Knuth's MMIX generator).
    fn numbers() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |number| {
            Some(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
        })
    }

    fn plain_power(base: u64, exponent: u64, modulus: u64) -> u64 {
        let product = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64;
        (0..64).rev().fold(1, |power, bit| {
            let square = product(power, power);
            if exponent >> bit & 1 == 1 { product(square, base) } else { square }
        })
    }

    #[test]
    fn powers_agree_with_plain_arithmetic() {
        let mut numbers = numbers();
        for round in 0..2000 {
            let mut next = || numbers.next().expect("endless");
            let modulus = (next() >> (round % 60)) | 3;
            let (base, exponent) = (next() % modulus, (next() >> (31 + round % 31)) | 3);
            let bytes = modulus.to_be_bytes();
            let bytes = &bytes[bytes.iter().position(|byte| *byte != 0).expect("not zero")..];
            let power = Modulus::new(bytes).expect("odd").power(&base.to_be_bytes(), exponent, 8).expect("below");
            assert_eq!(power, plain_power(base, exponent, modulus).to_be_bytes(), "{base}^{exponent} mod {modulus}");
        }
    }

    #[test]
    fn the_largest_column_sums_do_not_overflow() {
        for length in [1, 2, 3, 256, 257, 384, 512, 1024] {
            let ones = vec![0xff; length];
            let modulus = Modulus::new(&ones).expect("odd");
            let mut minus_one = ones.clone();
            *minus_one.last_mut().expect("a byte") -= 1;
            assert_eq!(modulus.power(&minus_one, 65537, length), Some(minus_one), "(-1)^65537, {length} bytes");
            // The modulus n is 2^(8 × length) - 1, so 2^(8 × length) is 1 modulo n. The exponent of 2 can therefore be reduced
            // modulo 8 × length.
            let two = [vec![0; length - 1], vec![2]].concat();
            let mut expected = vec![0; length];
            let bit = 65537 % (length * 8);
            expected[length - 1 - bit / 8] = 1 << (bit % 8);
            assert_eq!(modulus.power(&two, 65537, length), Some(expected), "2^65537, {length} bytes");
        }
    }

    #[test]
    fn only_numbers_below_the_modulus_are_accepted() {
        let modulus = Modulus::new(&[0x80, 1]).expect("odd");
        assert_eq!(modulus.power(&[0x80, 0], 3, 2), Some(vec![0x80, 0]), "(-1)^3");
        for exponent in [0, 1, 2, 65536] {
            assert_eq!(modulus.power(&[0x80, 0], exponent, 2), None, "{exponent}");
        }
        assert_eq!(modulus.power(&[0, 0], 3, 2), Some(vec![0, 0]));
        for base in [&[0x80, 1][..], &[0xff, 0xff], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(modulus.power(base, 3, 2), None, "{base:?}");
        }
        for refused in [&[][..], &[1], &[4], &vec![0xff; MAX_BITS / 8 + 1]] {
            assert!(Modulus::new(refused).is_none(), "{} bytes", refused.len());
        }
    }
}
