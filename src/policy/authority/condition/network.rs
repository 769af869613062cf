//! Parses networks in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3), and checks whether a network contains an address.

use std::net::IpAddr;

/// A block of IPv4 addresses or a block of IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    base: IpAddr,
    prefix: u32,
}

impl Network {
    /// Parses a network, such as `10.0.0.0/8` or `2001:db8::/32`, or a single address.
    ///
    /// # Errors
    /// Returns a message for the author if `text` is invalid.
    pub(super) fn parse(text: &str) -> Result<Network, String> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let no_network = || format!("`{text}` is not a network: write `10.0.0.0/8`, `2001:db8::/32` or one address");
        let base: IpAddr = address.parse().map_err(|_| no_network())?;
        let bits = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) && digits.len() <= 3 => {
                digits.parse().ok().filter(|prefix| *prefix <= bits).ok_or_else(no_network)?
            }
            Some(_) => return Err(no_network()),
        };
        let network = Network { base, prefix };
        if number(base) & !network.mask() != 0 {
            return Err(format!("`{text}` has bits after its prefix, which would be ignored: set them to zero"));
        }
        Ok(network)
    }

    /// Returns `true` if the network contains the address.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.base.is_ipv4() == address.is_ipv4() && number(address) & self.mask() == number(self.base)
    }

    /// Returns a mask for the integers that [`number`] returns. It clears all bits of an address that follow the prefix.
    fn mask(&self) -> u128 {
        let behind = if self.base.is_ipv4() { 32 - self.prefix } else { 128 - self.prefix };
        u128::MAX.checked_shl(behind).unwrap_or(0)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_network_contains_the_addresses_of_its_prefix_and_family() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", vec!["10.0.0.0", "10.255.255.255"], vec!["11.0.0.0", "9.255.255.255", "::a00:0"]),
            ("192.0.2.1", vec!["192.0.2.1"], vec!["192.0.2.0", "192.0.2.2"]),
            ("0.0.0.0/0", vec!["0.0.0.0", "255.255.255.255"], vec!["::1"]),
            ("2001:db8::/32", vec!["2001:db8::", "2001:db8:ffff::1"], vec!["2001:db9::", "32.1.13.184"]),
            ("::/0", vec!["::1", "ffff::"], vec!["127.0.0.1"]),
            ("::1", vec!["::1"], vec!["::2"]),
        ] {
            let read = Network::parse(network).unwrap();
            for (addresses, expected) in [(inside, true), (outside, false)] {
                for address in addresses {
                    assert_eq!(read.contains(address.parse().unwrap()), expected, "{address} in {network}");
                }
            }
        }
        for text in
            ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10/8", "::1/64", "x", "", "10.0.0.0/008x"]
        {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }
}
