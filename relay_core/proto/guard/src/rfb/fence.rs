//! Fences: questions that the other end answers when what stood before them is done (docs/GUARD.md §8).

/// The head of a fence, which is the same in both directions.
pub(crate) struct Fence {
    /// The flags, each a bit.
    pub(crate) flags: u32,
    /// Bytes of payload.
    pub(crate) length: u8,
}

/// The guard's own payload, which nobody else may use.
const MARK: [u8; 16] = *b"telerelay-guard\0";

/// The guard's own fence, which goes before a `SetPixelFormat`: flags Request and `SyncNext`.
pub(crate) const MARKED: [u8; 25] = {
    let mut message = [0; 25];
    let (head, payload) = message.split_at_mut(9);
    let fence = Fence {
        flags: Fence::REQUEST | Fence::SYNC_NEXT,
        length: 16,
    };
    head.copy_from_slice(&fence.head());
    payload.copy_from_slice(&MARK);
    message
};

impl Fence {
    pub(crate) const TYPE: u8 = 248;
    pub(crate) const REQUEST: u32 = 1 << 31;
    pub(crate) const SYNC_NEXT: u32 = 1 << 2;

    /// Reads the head.
    pub(crate) fn of([_, _, _, _, flags @ .., length]: [u8; 9]) -> Self {
        Self {
            flags: u32::from_be_bytes(flags),
            length,
        }
    }

    /// Whether its payload may be the guard's own.
    pub(crate) fn may_be_marked(&self) -> bool {
        usize::from(self.length) == MARK.len()
    }

    /// The head of this fence.
    pub(crate) const fn head(&self) -> [u8; 9] {
        let [a, b, c, d] = self.flags.to_be_bytes();
        [Self::TYPE, 0, 0, 0, a, b, c, d, self.length]
    }
}

/// Whether a whole fence of that length has the guard's own payload.
pub(crate) fn is_marked(message: [u8; 25]) -> bool {
    message[9..] == MARK
}
