//! Checks that the point of a public key is on the curve, before the key set with this key replaces the previous key set.
//!
//! Envoy also rejects a key whose point is not on the curve, but only when the key is used. By then, the previous key set with
//! usable keys is gone.

use super::rsa::montgomery::Modulus;
use crate::policy::credentials::algorithm::Curve;

/// Returns `true` if the curve y² = x³ - 3x + b has a point with these coordinates (FIPS 186-4 §D.1.2). Both coordinates must
/// have the full length of the curve's field. The order of these curves is prime, so no further check is needed (SP 800-56A
/// §5.6.2.3.4).
pub(in crate::policy) fn has_point(curve: Curve, x: &[u8], y: &[u8]) -> bool {
    let (prime, b): (&[u8], &[u8]) = match curve {
        Curve::P256 => (&P256.0, &P256.1),
        Curve::P384 => (&P384.0, &P384.1),
        Curve::P521 => (&P521.0, &P521.1),
    };
    Modulus::new(prime).is_some_and(|prime| prime.is_on_curve(x, y, b))
}

/// P-256: the prime 2^256 - 2^224 + 2^192 + 2^96 - 1 and the coefficient `b` (FIPS 186-4 §D.1.2.3).
const P256: ([u8; 32], [u8; 32]) = (
    [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ],
    [
        0x5a, 0xc6, 0x35, 0xd8, 0xaa, 0x3a, 0x93, 0xe7, 0xb3, 0xeb, 0xbd, 0x55, 0x76, 0x98, 0x86, 0xbc, 0x65, 0x1d,
        0x06, 0xb0, 0xcc, 0x53, 0xb0, 0xf6, 0x3b, 0xce, 0x3c, 0x3e, 0x27, 0xd2, 0x60, 0x4b,
    ],
);

/// P-384: the prime 2^384 - 2^128 - 2^96 + 2^32 - 1 and the coefficient `b` (FIPS 186-4 §D.1.2.4).
const P384: ([u8; 48], [u8; 48]) = (
    [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
    ],
    [
        0xb3, 0x31, 0x2f, 0xa7, 0xe2, 0x3e, 0xe7, 0xe4, 0x98, 0x8e, 0x05, 0x6b, 0xe3, 0xf8, 0x2d, 0x19, 0x18, 0x1d,
        0x9c, 0x6e, 0xfe, 0x81, 0x41, 0x12, 0x03, 0x14, 0x08, 0x8f, 0x50, 0x13, 0x87, 0x5a, 0xc6, 0x56, 0x39, 0x8d,
        0x8a, 0x2e, 0xd1, 0x9d, 0x2a, 0x85, 0xc8, 0xed, 0xd3, 0xec, 0x2a, 0xef,
    ],
);

/// P-521: the prime 2^521 - 1 and the coefficient `b` (FIPS 186-4 §D.1.2.5).
const P521: ([u8; 66], [u8; 66]) = (
    [
        0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ],
    [
        0x00, 0x51, 0x95, 0x3e, 0xb9, 0x61, 0x8e, 0x1c, 0x9a, 0x1f, 0x92, 0x9a, 0x21, 0xa0, 0xb6, 0x85, 0x40, 0xee,
        0xa2, 0xda, 0x72, 0x5b, 0x99, 0xb3, 0x15, 0xf3, 0xb8, 0xb4, 0x89, 0x91, 0x8e, 0xf1, 0x09, 0xe1, 0x56, 0x19,
        0x39, 0x51, 0xec, 0x7e, 0x93, 0x7b, 0x16, 0x52, 0xc0, 0xbd, 0x3b, 0xb1, 0xbf, 0x07, 0x35, 0x73, 0xdf, 0x88,
        0x3d, 0x2c, 0x34, 0xf1, 0xef, 0x45, 0x1f, 0xd4, 0x6b, 0x50, 0x3f, 0x00,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::credentials::signature::ec::EcKey;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The generator points of the curves (FIPS 186-4 §D.1.2).
    const GENERATORS: [(Curve, &str, &str); 3] = [
        (
            Curve::P256,
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        ),
        (
            Curve::P384,
            "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
            "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
        ),
        (
            Curve::P521,
            "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
            "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().as_chunks::<2>().0.iter();
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn the_curve_check_agrees_with_another_implementation() {
        for (curve, x, y) in GENERATORS {
            let point = [bytes(x), bytes(y)].concat();
            let both = |point: &[u8]| {
                let (x, y) = point.split_at(point.len() / 2);
                let found = has_point(curve, x, y);
                assert_eq!(found, EcKey::new(curve, x, y).is_some(), "{curve:?} {x:02x?} {y:02x?}");
                found
            };
            assert!(both(&point), "{curve:?}");
            for bit in 0..point.len() * 8 {
                let mut other = point.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!both(&other), "{curve:?}, bit {bit}");
            }
            let (x, y) = point.split_at(point.len() / 2);
            assert!(!both(&[y, x].concat()) && !both(&vec![0; point.len()]) && !both(&vec![0xff; point.len()]));
        }
    }

    #[test]
    fn a_coordinate_must_be_below_the_prime() {
        let add = |a: &[u8], b: &[u8]| {
            let mut carry = 0;
            let mut sum: Vec<u8> = (a.iter().zip(b).rev())
                .map(|(a, b)| {
                    let sum = u16::from(*a) + u16::from(*b) + carry;
                    carry = sum >> 8;
                    sum as u8
                })
                .collect();
            sum.reverse();
            (carry == 0).then_some(sum)
        };
        // Modulo the prime p of the curve, x + p equals x, so a lenient check would accept x + p as a coordinate. This test uses
        // P-521: with x from the generator of P-521, x + p fits into the bytes of a coordinate. With x from the other two
        // generators, it does not fit.
        let (_, x, y) = GENERATORS[2];
        let above = add(&bytes(x), &P521.0).unwrap();
        assert!(!has_point(Curve::P521, &above, &bytes(y)));
        for (curve, prime) in [(Curve::P256, &P256.0[..]), (Curve::P384, &P384.0), (Curve::P521, &P521.0)] {
            assert!(!has_point(curve, prime, prime), "{curve:?}");
        }
    }
}
