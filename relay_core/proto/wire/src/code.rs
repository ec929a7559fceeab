//! The stable codes that tell a person or a machine what went wrong, who broke it and whether to try again
//! (PROTOCOL.md §13; sentences and remedies stand in `relay_core/spec/errors.toml`).
use core::fmt;
use core::str::FromStr;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use crate::cbor::Unfit;

/// Who broke it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Nobody: an end as it was wanted.
    None,
    /// The machine that says so.
    Local,
    /// The other end, or what its owner decided.
    Remote,
    /// A node, its store, the network between.
    Infrastructure,
}

impl Who {
    /// The word of errors.toml.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Infrastructure => "infrastructure",
        }
    }
}

/// Whether trying again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Retry {
    /// Not before somebody changed something.
    Never,
    /// At once.
    Now,
    /// Later; how much later is said elsewhere, or the caller backs off.
    After,
}

impl Retry {
    /// The word of errors.toml.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Now => "now",
            Self::After => "after",
        }
    }
}

/// A text that is no code of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no code of this version")]
pub struct UnknownCode;

macro_rules! codes {
    ($($variant:ident $name:literal $who:ident $retry:ident $exit:literal;)+) => {
        /// A code of PROTOCOL.md §13.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )+
        }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it travels and is shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Who broke it.
            pub const fn who(self) -> Who {
                match self { $(Self::$variant => Who::$who,)+ }
            }

            /// Whether trying again helps.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)+ }
            }

            /// The exit code of a command that ends with it.
            pub const fn exit(self) -> u8 {
                match self { $(Self::$variant => $exit,)+ }
            }
        }

        impl FromStr for Code {
            type Err = UnknownCode;

            fn from_str(text: &str) -> Result<Self, UnknownCode> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownCode),
                }
            }
        }
    };
}

codes! {
    Done "DONE" None Now 0;
    Internal "INTERNAL" Local Never 1;
    Usage "USAGE" Local Never 2;
    Denied "DENIED" Remote Never 3;
    Busy "BUSY" Remote After 3;
    Sessions "SESSIONS" Remote After 3;
    Superseded "SUPERSEDED" Remote Never 3;
    Revoked "REVOKED" Remote Never 3;
    Suspended "SUSPENDED" Remote Never 3;
    Throttled "THROTTLED" Remote After 3;
    Quota "QUOTA" Remote After 3;
    PolicyStale "POLICY_STALE" Remote After 3;
    PolicyHours "POLICY_HOURS" Remote After 3;
    PolicyAddress "POLICY_ADDRESS" Remote Never 3;
    PolicyVersion "POLICY_VERSION" Remote Never 3;
    PolicyFile "POLICY_FILE" Remote Never 3;
    PolicyUnknown "POLICY_UNKNOWN" Remote Never 3;
    PolicyDuration "POLICY_DURATION" Remote After 3;
    PolicyIdle "POLICY_IDLE" Remote After 3;
    Terms "TERMS" Local Never 3;
    Notices "NOTICES" Local Never 3;
    Absent "ABSENT" Remote After 4;
    DesktopAbsent "DESKTOP_ABSENT" Remote After 4;
    DesktopLost "DESKTOP_LOST" Remote Now 4;
    DesktopProtocol "DESKTOP_PROTOCOL" Remote Never 4;
    DesktopPassword "DESKTOP_PASSWORD" Remote Never 4;
    DesktopSecurity "DESKTOP_SECURITY" Remote Never 4;
    Unreachable "UNREACHABLE" Infrastructure After 4;
    PathLost "PATH_LOST" Infrastructure Now 4;
    NodeLost "NODE_LOST" Infrastructure Now 4;
    SessionGone "SESSION_GONE" Remote Now 4;
    ClientGone "CLIENT_GONE" Remote Now 4;
    ViewerGone "VIEWER_GONE" Local Now 0;
    TryLater "TRY_LATER" Infrastructure After 4;
    Drained "DRAINED" Infrastructure Now 4;
    Cut "CUT" Infrastructure After 4;
    AuditUnavailable "AUDIT_UNAVAILABLE" Infrastructure After 4;
    Identity "IDENTITY" Remote Never 5;
    Pin "PIN" Infrastructure Never 5;
    Certificate "CERTIFICATE" Local Never 5;
    Invite "INVITE" Remote Never 5;
    IdInUse "ID_IN_USE" Remote After 5;
    IdTaken "ID_TAKEN" Remote Never 5;
    WrongRole "WRONG_ROLE" Remote Never 5;
    WrongSide "WRONG_SIDE" Remote Never 5;
    Document "DOCUMENT" Remote Never 5;
    KeyFile "KEY_FILE" Local Never 5;
    AddressInUse "ADDRESS_IN_USE" Local Never 6;
    Machine "MACHINE" Local Never 6;
    Clock "CLOCK" Local Never 6;
    Store "STORE" Infrastructure After 6;
    BadFrame "BAD_FRAME" Remote Never 1;
    SessionProtocol "SESSION_PROTOCOL" Remote Never 1;
    PathUnknown "PATH_UNKNOWN" Remote Never 1;
    Unsupported "UNSUPPORTED" Remote Never 2;
    Version "VERSION" Remote Never 2;
    Request "REQUEST" Remote Never 2;
    Interrupted "INTERRUPTED" Local Now 130;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A code as it travels: a receiver keeps and shows one that it does not know (PROTOCOL.md §4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A code of this version.
    Known(Code),
    /// A code of another version, as it came.
    Unknown(UnknownReason),
}

/// The text of a code of another version: a capital letter, then 1 to 31 capital letters or underscores.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownReason(Box<str>);

impl Reason {
    /// The text that travels and is shown.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Unknown(text) => &text.0,
        }
    }

    /// The code, where this version knows it.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Unknown(_) => None,
        }
    }
}

impl From<Code> for Reason {
    fn from(code: Code) -> Self {
        Self::Known(code)
    }
}

impl PartialEq<Code> for Reason {
    fn eq(&self, code: &Code) -> bool {
        self.code() == Some(*code)
    }
}

/// A text that has not the form of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code is 2 to 32 capital letters and underscores and begins with a letter")]
pub struct NotACode;

impl FromStr for Reason {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Self, NotACode> {
        if let Ok(code) = text.parse() {
            return Ok(Self::Known(code));
        }
        let letters = text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if (2..=32).contains(&text.len()) && letters && !text.starts_with('_') {
            Ok(Self::Unknown(UnknownReason(text.into())))
        } else {
            Err(NotACode)
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<C> Encode<C> for Reason {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Reason {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        d.str()?.parse().map_err(|NotACode| Unfit::Value.into())
    }
}

#[cfg(feature = "serde")]
crate::ids::as_text!(Reason);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_another_version_is_kept_and_shown() {
        let reason: Reason = "COFFEE_BREAK".parse().unwrap();
        assert_eq!(
            (reason.code(), reason.to_string().as_str()),
            (None, "COFFEE_BREAK")
        );
        assert_eq!("DENIED".parse(), Ok(Reason::Known(Code::Denied)));
        assert!(Reason::Known(Code::Busy) == Code::Busy && reason != Code::Busy);
    }

    #[test]
    fn a_text_without_the_form_of_a_code_is_refused() {
        for text in ["", "A", "_A", "denied", "DENIED ", "A1", &"A".repeat(33)] {
            assert_eq!(text.parse::<Reason>(), Err(NotACode), "{text}");
        }
        assert!("A".repeat(32).parse::<Reason>().is_ok());
    }
}
