//! Crockford's base32 as people type and read it (PROTOCOL.md §2.1, §2.2): shared by computer ID and attempt ID.

/// The 32 characters in the order of their values.
pub const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What is wrong with a text that people carry, in the order in which it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistyped {
    /// A character outside the alphabet; `position` counts from 1 over what is neither a hyphen nor white space.
    #[error("the character '{character}' at position {position} does not belong there")]
    Foreign {
        /// The character as it was typed.
        character: char,
        /// Its position, from 1.
        position: usize,
    },
    /// Too few or too many characters.
    #[error("{found} characters instead of {expected}")]
    Length {
        /// How many characters were typed, without hyphens and white space.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// The check character does not fit the others: one character is wrong, or two are swapped.
    #[error("a character is wrong or two are swapped: the check failed")]
    Check,
}

/// Reads `N` characters into their values (0 to 31), corrected silently: letter case, hyphens and white space anywhere,
/// O→0, I→1, L→1 (PROTOCOL.md §2.1).
pub fn read<const N: usize>(text: &str) -> Result<[u8; N], Mistyped> {
    let mut values = [0; N];
    let mut found = 0;
    for character in text.chars().filter(|c| *c != '-' && !c.is_whitespace()) {
        let value = value_of(character).ok_or(Mistyped::Foreign {
            character,
            position: found + 1,
        })?;
        if let Some(slot) = values.get_mut(found) {
            *slot = value;
        }
        found += 1;
    }
    if found == N {
        Ok(values)
    } else {
        Err(Mistyped::Length { found, expected: N })
    }
}

/// The character of a value; only the low five bits count.
pub fn character(value: u8) -> char {
    char::from(ALPHABET[usize::from(value & 31)])
}

/// Cuts bytes into values of five bits, most significant bits first. `N` must be 8/5 of the number of bytes.
pub fn split<const N: usize>(bytes: &[u8]) -> [u8; N] {
    debug_assert_eq!(N * 5, bytes.len() * 8, "bits must not be left over");
    core::array::from_fn(|index| {
        let bit = index * 5;
        let high = u16::from(bytes[bit / 8]) << 8;
        let low = bytes.get(bit / 8 + 1).copied().map_or(0, u16::from);
        let [_, value] = ((high | low) >> (11 - bit % 8)).to_be_bytes();
        value & 31
    })
}

/// The inverse of [`split`].
pub fn join<const N: usize>(values: &[u8]) -> [u8; N] {
    debug_assert_eq!(N * 8, values.len() * 5, "bits must not be left over");
    let mut bytes = [0; N];
    for (index, value) in values.iter().enumerate() {
        let bit = index * 5;
        let wide = u16::from(value & 31) << (11 - bit % 8);
        let [high, low] = wide.to_be_bytes();
        bytes[bit / 8] |= high;
        if low != 0 {
            bytes[bit / 8 + 1] |= low;
        }
    }
    bytes
}

fn value_of(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    (0..32).find(|value| char::from(ALPHABET[usize::from(*value)]) == upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_and_join_are_inverse() {
        let bytes = [0x00, 0x44, 0x32, 0x14, 0xc7];
        assert_eq!(split::<8>(&bytes), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(join::<5>(&[0, 1, 2, 3, 4, 5, 6, 7]), bytes);
        assert_eq!(split::<8>(&[0xff; 5]), [31; 8]);
    }

    #[test]
    fn the_first_mistake_is_named_before_the_length() {
        assert_eq!(
            read::<4>("0U"),
            Err(Mistyped::Foreign {
                character: 'U',
                position: 2
            })
        );
        assert_eq!(
            read::<4>("0123 4"),
            Err(Mistyped::Length {
                found: 5,
                expected: 4
            })
        );
        assert_eq!(read::<4>("oi-\u{3000}lz"), Ok([0, 1, 1, 31]));
    }
}
