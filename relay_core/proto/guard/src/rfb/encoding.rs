//! The encodings that can be followed, and sets of them (docs/GUARD.md §7).
use super::refusal::Refusal;

/// An encoding that can be followed, under its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Encoding {
    Raw = 0,
    CopyRect = 1,
    Zlib = 6,
    Zrle = 16,
    DesktopSize = -223,
    LastRect = -224,
    Cursor = -239,
    QemuKey = -258,
    DesktopName = -307,
    ExtendedDesktopSize = -308,
    Fence = -312,
    ContinuousUpdates = -313,
}

impl Encoding {
    const ALL: [Self; 12] = [
        Self::Raw,
        Self::CopyRect,
        Self::Zlib,
        Self::Zrle,
        Self::DesktopSize,
        Self::LastRect,
        Self::Cursor,
        Self::QemuKey,
        Self::DesktopName,
        Self::ExtendedDesktopSize,
        Self::Fence,
        Self::ContinuousUpdates,
    ];

    /// The encoding of that number.
    pub(crate) fn of(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// Its number.
    pub(crate) const fn number(self) -> i32 {
        self as i32
    }
}

/// Encodings in the order in which they were named, each once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encodings {
    named: [Encoding; Encoding::ALL.len()],
    count: u8,
}

impl Encodings {
    /// The most bytes of a `SetEncodings`.
    const LONGEST: usize = 4 + 4 * Encoding::ALL.len();

    pub(crate) const NONE: Self = Self {
        named: Encoding::ALL,
        count: 0,
    };

    pub(crate) fn insert(&mut self, encoding: Encoding) {
        if !self.contains(encoding) {
            self.named[usize::from(self.count)] = encoding;
            self.count += 1;
        }
    }

    pub(crate) fn contains(&self, encoding: Encoding) -> bool {
        self.iter().any(|one| one == encoding)
    }

    /// The encoding of that number, which a desktop uses that was asked for these.
    pub(crate) fn used(&self, number: i32) -> Result<Encoding, Refusal> {
        match Encoding::of(number) {
            // Nobody need name it (RFC 6143 §7.7).
            Some(Encoding::Raw) => Ok(Encoding::Raw),
            Some(encoding) if self.contains(encoding) => Ok(encoding),
            _ => Err(Refusal::DesktopEncoding { number }),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Encoding> {
        self.named[..usize::from(self.count)].iter().copied()
    }

    /// `SetEncodings` with these: a message in the first bytes of an array, and its length.
    pub(crate) fn message(&self) -> ([u8; Self::LONGEST], usize) {
        let mut message = [0; Self::LONGEST];
        message[0] = 2;
        message[3] = self.count;
        let places = message[4..].as_chunks_mut::<4>().0;
        for (place, encoding) in places.iter_mut().zip(self.iter()) {
            *place = encoding.number().to_be_bytes();
        }
        (message, 4 + 4 * usize::from(self.count))
    }
}
