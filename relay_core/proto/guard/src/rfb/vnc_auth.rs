//! The answer to a desktop that asks for a password (docs/GUARD.md §4; RFC 6143 §7.2.2).
use core::fmt;

use des::Des;
use des::cipher::{BlockEncrypt, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What the desktop and the agent both know: the first eight bytes of a password, which is all that RFB uses.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 8]);

impl Secret {
    /// Of a password as bytes.
    pub fn new(password: &[u8]) -> Self {
        let mut secret = [0; 8];
        for (place, byte) in secret.iter_mut().zip(password) {
            *place = *byte;
        }
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The challenge encrypted with the secret, the bits of each byte of the key reversed.
pub(crate) fn respond(secret: &Secret, mut challenge: [u8; 16]) -> [u8; 16] {
    let mut key = secret.0.map(u8::reverse_bits);
    let cipher = Des::new(&key.into());
    key.zeroize();
    for block in challenge.as_chunks_mut::<8>().0 {
        cipher.encrypt_block(block.into());
    }
    challenge
}
