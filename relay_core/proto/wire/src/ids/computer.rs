//! The computer ID: 80 random bits that people type, with a check character (PROTOCOL.md §2.1).
use core::fmt;
use core::str::FromStr;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use super::opaque::fixed_bytes;
use crate::cbor::Unfit;
use crate::crockford::{self, Mistyped};
use crate::entropy::Entropy;

/// The public handle of an office PC, shown as `ABCD-EFGH-JKMN-PQRS-T`. Debug hides it: logs above DEBUG must not name
/// a computer; whoever may say it uses Display.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComputerId(pub [u8; 10]);

fixed_bytes!(ComputerId, 10);

impl ComputerId {
    /// A new one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; 10];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// The bytes that travel.
    pub const fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// The 17 characters' values, the check character last.
    fn values(&self) -> [u8; 17] {
        let values = crockford::split::<16>(&self.0);
        core::array::from_fn(|index| values.get(index).copied().unwrap_or_else(|| check(&values)))
    }
}

impl fmt::Display for ComputerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.values().into_iter().enumerate() {
            if index > 0 && index % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", crockford::character(value))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ComputerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ComputerId(…)")
    }
}

impl FromStr for ComputerId {
    type Err = Mistyped;

    fn from_str(text: &str) -> Result<Self, Mistyped> {
        let values = crockford::read::<17>(text)?;
        let (&last, values) = values.split_last().ok_or(Mistyped::Check)?;
        if check(values) == last {
            Ok(Self(crockford::join(values)))
        } else {
            Err(Mistyped::Check)
        }
    }
}

/// The check character of 16 characters: the c₁₆ with Σ αⁱ·cᵢ = 0 in GF(32). Because α³¹ = 1, α⁻¹⁶ = α¹⁵.
fn check(values: &[u8]) -> u8 {
    let sum = values
        .iter()
        .rev()
        .fold(0, |sum, value| times_alpha(sum) ^ value);
    (0..15).fold(sum, |sum, _| times_alpha(sum))
}

/// Multiplies by α = x modulo x⁵ + x² + 1.
const fn times_alpha(value: u8) -> u8 {
    let shifted = value << 1;
    if shifted & 0b10_0000 == 0 {
        shifted
    } else {
        shifted ^ 0b10_0101
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[u8; 17]) -> u8 {
        values
            .iter()
            .rev()
            .fold(0, |sum, value| times_alpha(sum) ^ value)
    }

    #[test]
    fn alpha_has_order_31() {
        let mut power = 1;
        let order = (1..=32).find(|_| {
            power = times_alpha(power);
            power == 1
        });
        assert_eq!(order, Some(31));
    }

    #[test]
    fn every_substitution_and_every_swap_is_found() {
        let values =
            ComputerId([0x5a, 0x13, 0x88, 0xfe, 0x01, 0x9c, 0x47, 0xd2, 0x6b, 0x30]).values();
        assert_eq!(sum(&values), 0);
        for one in 0..17 {
            for wrong in (0..32).filter(|wrong| *wrong != values[one]) {
                let mut other = values;
                other[one] = wrong;
                assert_ne!(sum(&other), 0, "character {one} replaced");
            }
            for two in (0..one).filter(|two| values[*two] != values[one]) {
                let mut other = values;
                other.swap(one, two);
                assert_ne!(sum(&other), 0, "characters {one} and {two} swapped");
            }
        }
    }

    #[test]
    fn debug_hides_it() {
        assert_eq!(format!("{:?}", ComputerId([7; 10])), "ComputerId(…)");
    }
}
