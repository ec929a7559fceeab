//! Every way in which the two sides can leave what is let through, one variant each (docs/GUARD.md §10).
use telerelay_wire::Code;

/// Why nothing passes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The viewer does not greet with RFB 3.
    #[error("the viewer speaks no RFB 3")]
    ClientVersion,
    /// The viewer chose a security type that was not offered.
    #[error("the viewer chose security type {chosen}, which was not offered")]
    ClientSecurity {
        /// Its choice.
        chosen: u8,
    },
    /// The client spoke before `ServerInit`.
    #[error("the client spoke before the desktop was there")]
    ClientEarly,
    /// A message type that no table names.
    #[error("the client sent a message of type {kind}")]
    ClientMessage {
        /// The type.
        kind: u8,
    },
    /// The client begins a file transfer.
    #[error("the client began a file transfer with a message of type {kind}")]
    ClientFile {
        /// The type.
        kind: u8,
    },
    /// A pixel format that RFB does not have.
    #[error("the client asked for pixels of {bits} bits")]
    ClientPixels {
        /// Bits per pixel.
        bits: u8,
    },
    /// Pixels that cannot be drawn: of a colour map, or with parts beyond their bits.
    #[error("the client asked for pixels that cannot be drawn")]
    ClientColours,
    /// A fence that is too long, or looks like the guard's own.
    #[error("the client sent a fence that must not pass")]
    ClientFence,
    /// Another pixel size in mid-session, where nothing says from when on it counts.
    #[error("the client changed the pixel size while pixels may be in flight")]
    PixelsMidway,
    /// The desktop does not greet with RFB 3.3 or later.
    #[error("the desktop speaks no RFB")]
    DesktopVersion,
    /// The desktop offers only log-ins that cannot be guarded.
    #[error("the desktop offers no security type that can be guarded")]
    DesktopSecurity,
    /// The desktop wants a password, and there is none.
    #[error("the desktop wants a password, and the agent has none")]
    DesktopPassword,
    /// The desktop lets the agent not in.
    #[error("the desktop refuses the agent")]
    DesktopRefuses,
    /// The desktop spoke before `ClientInit`.
    #[error("the desktop spoke before its turn")]
    DesktopEarly,
    /// The desktop says nothing.
    #[error("the desktop does not answer")]
    DesktopSilent,
    /// A pixel format that RFB does not have.
    #[error("the desktop has pixels of {bits} bits")]
    DesktopPixels {
        /// Bits per pixel.
        bits: u8,
    },
    /// A screen of no pixels, or of more than are drawn anew.
    #[error("the desktop's screen of {width} × {height} pixels cannot be drawn anew")]
    DesktopSize {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// A rectangle beyond the desktop's own screen.
    #[error("the desktop drew outside its screen")]
    DesktopOutside,
    /// A pointer's shape that is too large.
    #[error("the desktop has a pointer of {width} × {height} pixels")]
    DesktopCursor {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// A message type that no table names.
    #[error("the desktop sent a message of type {kind}")]
    DesktopMessage {
        /// The type.
        kind: u8,
    },
    /// The desktop begins a file transfer.
    #[error("the desktop began a file transfer with a message of type {kind}")]
    DesktopFile {
        /// The type.
        kind: u8,
    },
    /// An update before the client asked for one.
    #[error("the desktop sent pixels before they were asked for")]
    DesktopUnrequested,
    /// An encoding that the client never asked for, or that is none of a rectangle.
    #[error("the desktop used encoding {number}, which cannot be followed here")]
    DesktopEncoding {
        /// Its number.
        number: i32,
    },
    /// A fence that is too long, or an answer to the guard's own that says nothing.
    #[error("the desktop sent a fence that cannot be followed")]
    DesktopFence,
}

impl Refusal {
    /// The code of CLOSE (PROTOCOL.md §13).
    pub const fn code(self) -> Code {
        match self {
            Self::ClientFile { .. } | Self::DesktopFile { .. } => Code::PolicyFile,
            Self::ClientVersion
            | Self::ClientSecurity { .. }
            | Self::ClientEarly
            | Self::ClientMessage { .. }
            | Self::ClientPixels { .. }
            | Self::ClientFence
            | Self::DesktopMessage { .. } => Code::PolicyUnknown,
            Self::PixelsMidway | Self::ClientColours | Self::DesktopSize { .. } => {
                Code::Unsupported
            }
            Self::DesktopSecurity => Code::DesktopSecurity,
            Self::DesktopPassword | Self::DesktopRefuses => Code::DesktopPassword,
            Self::DesktopSilent => Code::DesktopAbsent,
            Self::DesktopVersion
            | Self::DesktopEarly
            | Self::DesktopPixels { .. }
            | Self::DesktopUnrequested
            | Self::DesktopEncoding { .. }
            | Self::DesktopOutside
            | Self::DesktopCursor { .. }
            | Self::DesktopFence => Code::DesktopProtocol,
        }
    }
}
