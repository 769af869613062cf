//! Verifies RSA signatures (RFC 8017 §8) in pure Rust.
//!
//! jwt-compact uses the `rsa` crate, which takes half a millisecond per verification in Wasm. Envoy does not verify PSS
//! signatures, so every new PS256 token would take half a millisecond of the worker's time. This implementation takes about a
//! seventh of that.

pub(super) mod montgomery;

use sha2::{Digest, Sha256, Sha384, Sha512};

pub use montgomery::MAX_BITS;
use montgomery::{Modulus, bit_length};

/// An RSA public key.
#[derive(Clone)]
pub struct RsaKey {
    modulus: Modulus,
    modulus_bits: usize,
    exponent: u64,
}

/// The reason why the numbers of an RSA key are rejected.
#[derive(Debug, PartialEq, Eq)]
pub enum BadRsaKey {
    /// The modulus is too short or too long. Contains its length in bits.
    Size(usize),
    /// The modulus is even, or the exponent is even, 1, or longer than 33 bits (BoringSSL's maximum).
    Numbers,
}

/// A signature scheme: a padding, and the hash function for all its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaScheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    Pkcs1(RsaHash),
    /// RSASSA-PSS (RFC 8017 §8.1). MGF1 uses the same hash function, and the salt is as long as a digest.
    Pss(RsaHash),
}

/// The hash function of a signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaHash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl RsaKey {
    /// Creates a key from a modulus and an exponent. Both are big-endian numbers without leading zero bytes.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<RsaKey, BadRsaKey> {
        let modulus_bits = bit_length(modulus);
        if !(MIN_BITS..=MAX_BITS).contains(&modulus_bits) {
            return Err(BadRsaKey::Size(modulus_bits));
        }
        let modulus = Modulus::new(modulus).ok_or(BadRsaKey::Numbers)?;
        if bit_length(exponent) > MAX_EXPONENT_BITS {
            return Err(BadRsaKey::Numbers);
        }
        let exponent = exponent.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        match exponent {
            0 | 1 => Err(BadRsaKey::Numbers),
            even if even % 2 == 0 => Err(BadRsaKey::Numbers),
            exponent => Ok(RsaKey { modulus, modulus_bits, exponent }),
        }
    }

    /// Returns the length in bytes of a signature by this key.
    pub fn signature_bytes(&self) -> usize {
        self.modulus_bits.div_ceil(8)
    }

    /// Returns `true` if `signature` is a valid signature of `signing_input` by this key.
    pub fn verify(&self, scheme: RsaScheme, signing_input: &[u8], signature: &[u8]) -> bool {
        if signature.len() != self.signature_bytes() {
            return false;
        }
        let Some(encoded) = self.modulus.power(signature, self.exponent, signature.len()) else { return false };
        let (RsaScheme::Pkcs1(hash) | RsaScheme::Pss(hash)) = scheme;
        let digest = digest(hash, &[signing_input]);
        match scheme {
            RsaScheme::Pkcs1(_) => pkcs1_v1_5(hash, &digest, encoded.len()).is_some_and(|expected| expected == encoded),
            RsaScheme::Pss(_) => is_pss(hash, &digest, &encoded, self.modulus_bits - 1).is_some(),
        }
    }
}

/// Encodes a digest by EMSA-PKCS1-v1_5 (RFC 8017 §9.2). The caller compares the whole encoding instead of parsing the padding,
/// because lenient parsers have allowed forgeries in many libraries.
fn pkcs1_v1_5(hash: RsaHash, digest: &[u8], length: usize) -> Option<Vec<u8>> {
    let padding = length.checked_sub(DIGEST_INFO.len() + digest.len() + 3).filter(|padding| *padding >= 8)?;
    // The encodings of the three hash functions differ only in the object identifier and in two lengths.
    let mut prefix = DIGEST_INFO;
    let (outer, identifier, inner) = match hash {
        RsaHash::Sha256 => (0x31, 1, 32),
        RsaHash::Sha384 => (0x41, 2, 48),
        RsaHash::Sha512 => (0x51, 3, 64),
    };
    for (place, value) in [(1, outer), (14, identifier), (18, inner)] {
        *prefix.get_mut(place)? = value;
    }
    Some([&[0, 1], vec![0xff; padding].as_slice(), &[0], &prefix, digest].concat())
}

/// Verifies EMSA-PSS (RFC 8017 §9.1.2). MGF1 uses the same hash function, and the salt is as long as a digest (RFC 7518 §3.5).
/// Returns `Some(())` if `encoded` is a valid encoding of `digest`. The comments in the function contain the step numbers of RFC
/// 8017.
fn is_pss(hash: RsaHash, digest: &[u8], encoded: &[u8], encoded_bits: usize) -> Option<()> {
    let length = encoded_bits.div_ceil(8);
    // §8.1.2 step 2c: if the modulus is one bit longer than whole bytes, the leading byte must be zero.
    let (front, encoded) = encoded.split_at_checked(encoded.len().checked_sub(length)?)?;
    let (hash_bytes, salt_bytes) = (digest.len(), digest.len());
    let padding = length.checked_sub(hash_bytes + salt_bytes + 2)?; // step 3
    let (&trailer, encoded) = encoded.split_last()?;
    let (masked, h) = encoded.split_at_checked(encoded.len().checked_sub(hash_bytes)?)?; // step 5
    let unused_bits = 8 * length - encoded_bits;
    let used = 0xff_u8 >> unused_bits;
    let first = *masked.first()?;
    if front.iter().any(|byte| *byte != 0) || trailer != 0xbc || first & !used != 0 {
        return None; // steps 4 and 6
    }
    let mut block: Vec<u8> = masked.iter().zip(mask(hash, h, masked.len())).map(|(byte, mask)| byte ^ mask).collect();
    *block.first_mut()? &= used; // step 9
    let (zeros, rest) = block.split_at_checked(padding)?;
    let (&one, salt) = rest.split_first()?;
    if zeros.iter().any(|byte| *byte != 0) || one != 1 {
        return None; // step 10
    }
    (self::digest(hash, &[&[0; 8], digest, salt]) == h).then_some(()) // steps 12 to 14
}

/// Generates a mask of `length` bytes with MGF1 (RFC 8017 §B.2.1).
fn mask(hash: RsaHash, seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask = Vec::with_capacity(length + seed.len());
    for counter in 0u32.. {
        if mask.len() >= length {
            break;
        }
        mask.extend_from_slice(&digest(hash, &[seed, &counter.to_be_bytes()]));
    }
    mask.truncate(length);
    mask
}

fn digest(hash: RsaHash, parts: &[&[u8]]) -> Vec<u8> {
    fn of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().fold(D::new(), |digest, part| digest.chain_update(part)).finalize().to_vec()
    }
    match hash {
        RsaHash::Sha256 => of::<Sha256>(parts),
        RsaHash::Sha384 => of::<Sha384>(parts),
        RsaHash::Sha512 => of::<Sha512>(parts),
    }
}

/// The first bytes of a DER DigestInfo for SHA-256, before the digest (RFC 8017 §9.2 note 1).
const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// The minimum length of a modulus in bits (RFC 7518 §3.3).
pub const MIN_BITS: usize = 2048;

const MAX_EXPONENT_BITS: usize = 33;
