//! What travels in a session: bytes whose value tells stream and offset, so that one that is lost, repeated or swapped shows.
use crate::dice::Dice;

/// The pattern's length: prime, so that no page, record or segment is a multiple of it.
const PERIOD: usize = 65_521;

/// Bytes at one go at most.
pub(crate) const PIECE: usize = 65_536;

/// The bytes of all streams.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Self {
        let mut bytes = vec![0; PERIOD];
        telerelay_wire::Entropy::fill(&mut Dice::new(0x5eed), &mut bytes);
        let bytes = bytes.iter().copied().cycle().take(PERIOD + PIECE).collect();
        Self(bytes)
    }

    /// The bytes of a stream from an offset; at most [`PIECE`].
    pub(crate) fn bytes(&self, stream: u64, offset: u64, length: usize) -> &[u8] {
        let start = usize::try_from((stream % 60_013 + offset) % PERIOD as u64).unwrap_or(0);
        &self.0[start..start + length]
    }
}
