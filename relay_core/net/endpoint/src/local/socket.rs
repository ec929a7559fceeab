//! One connected local stream, TCP or Unix, driven by readiness.
use std::io::{self, IoSlice};
use std::time::Duration;

use telerelay_wire::limits::DESKTOP;
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};

use super::LocalAddress;

/// A local stream. Reading and writing never wait; [`ready`](Self::ready) does.
#[derive(Debug)]
pub(crate) enum Local {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Local {
    /// Connects to the desktop (PROTOCOL.md §12, `desktop_s`).
    pub(crate) async fn connect(address: &LocalAddress) -> io::Result<Self> {
        let connecting = async {
            Ok(match address {
                LocalAddress::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Self::Tcp(stream)
                }
                LocalAddress::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
            })
        };
        let limit: Duration = DESKTOP;
        tokio::time::timeout(limit, connecting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Waits until the stream can be read or written, whichever is asked for, or is reset, which is heard without reading too.
    pub(crate) async fn ready(&self, reading: bool, writing: bool) -> io::Result<Ready> {
        let mut interest = Interest::ERROR;
        if reading {
            interest |= Interest::READABLE;
        }
        if writing {
            interest |= Interest::WRITABLE;
        }
        match self {
            Self::Tcp(stream) => stream.ready(interest).await,
            Self::Unix(stream) => stream.ready(interest).await,
        }
    }

    /// Reads what is there: 0 at the end, `WouldBlock` where nothing is.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }

    /// Writes what there is room for, `WouldBlock` where there is none.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(pieces),
            Self::Unix(stream) => stream.try_write_vectored(pieces),
        }
    }

    /// Tells the other side that nothing follows; it may still write.
    pub(crate) fn shut_writing(&self) -> io::Result<()> {
        use std::net::Shutdown;
        let socket = match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream),
            Self::Unix(stream) => socket2::SockRef::from(stream),
        };
        socket.shutdown(Shutdown::Write)
    }
}
