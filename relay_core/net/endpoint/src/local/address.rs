//! Where the local side is: a loopback port or a Unix socket, and nothing else.
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// `127.0.0.1:5900`, `[::1]:5900` or `unix:/path`. Any other host is refused: an agent serves the desktop of its own PC, and a
/// client's door is for this machine alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// A port of the loopback interface.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What is wrong with the text of a local address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocal {
    /// Neither form.
    #[error("'{0}' is neither HOST:PORT nor unix:/path")]
    Form(String),
    /// An address of another machine, or of all interfaces.
    #[error("'{0}' is not a loopback address")]
    NotLoopback(SocketAddr),
    /// A socket's path has to be absolute, so that it means the same for every reader.
    #[error("'{0}' is not an absolute path")]
    Relative(String),
}

impl FromStr for LocalAddress {
    type Err = InvalidLocal;

    fn from_str(text: &str) -> Result<Self, InvalidLocal> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(InvalidLocal::Relative(path.to_owned()))
            };
        }
        let address = text.strip_prefix("tcp:").unwrap_or(text);
        let address: SocketAddr = address
            .parse()
            .map_err(|_| InvalidLocal::Form(text.to_owned()))?;
        if address.ip().is_loopback() {
            Ok(Self::Tcp(address))
        } else {
            Err(InvalidLocal::NotLoopback(address))
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_absolute_paths_are_local() {
        for text in [
            "127.0.0.1:5900",
            "tcp:127.0.0.1:0",
            "[::1]:5900",
            "127.0.0.9:1",
            "unix:/run/desktop",
        ] {
            assert!(text.parse::<LocalAddress>().is_ok(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_named() {
        let not_loopback =
            |text: &str| InvalidLocal::NotLoopback(text.parse().expect("an address"));
        let cases = [
            ("192.0.2.1:5900", not_loopback("192.0.2.1:5900")),
            ("0.0.0.0:5900", not_loopback("0.0.0.0:5900")),
            ("[::]:5900", not_loopback("[::]:5900")),
            (
                "localhost:5900",
                InvalidLocal::Form("localhost:5900".into()),
            ),
            ("127.0.0.1", InvalidLocal::Form("127.0.0.1".into())),
            (
                "unix:run/desktop",
                InvalidLocal::Relative("run/desktop".into()),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<LocalAddress>(), Err(expected));
        }
    }
}
