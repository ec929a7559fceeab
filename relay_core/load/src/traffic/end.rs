//! One end of a session as traffic sees it: a socket, and the TLS that its way wants above it.
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use telerelay_leg::tls::{Progress, Tls};
use telerelay_wire::outer::{PATH_MAXIMUM, path_header, path_view};

/// How much is read at once.
pub(crate) const READ: usize = 64 * 1024;
/// How much of a longer piece is encrypted before the socket is asked again whether it takes more.
const SEALED: usize = 4 * PATH_MAXIMUM as usize;

/// A connected, non-blocking socket of one side of a session.
pub(crate) struct End {
    socket: TcpStream,
    cover: Option<Cover>,
}

/// What lies above the socket, where it is not bare.
struct Cover {
    tls: Box<Tls>,
    framing: Framing,
    record: Vec<u8>,
}

/// What a TLS record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Bytes of the session.
    None,
    /// One PATH frame of them.
    Path,
}

impl End {
    /// The socket's bytes are the session's.
    pub(crate) fn bare(socket: TcpStream) -> Self {
        Self {
            socket,
            cover: None,
        }
    }

    /// The session's bytes lie in records of `tls`, whose handshake is over.
    pub(crate) fn covered(socket: TcpStream, tls: Tls, framing: Framing) -> Self {
        Self {
            socket,
            cover: Some(Cover {
                tls: Box::new(tls),
                framing,
                record: Vec::new(),
            }),
        }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends the beginning of `bytes`: as much as is taken now, 0 where the socket is full.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(cover) = &mut self.cover else {
            return or_nothing((&self.socket).write(bytes));
        };
        if !cover.flush(&self.socket)? {
            return Ok(0);
        }
        let piece = &bytes[..bytes.len().min(SEALED)];
        for part in piece.chunks(PATH_MAXIMUM.into()) {
            cover.seal(part)?;
        }
        cover.flush(&self.socket)?;
        Ok(piece.len())
    }

    /// Sends what was taken and could not leave. True where nothing is left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match &mut self.cover {
            None => Ok(true),
            Some(cover) => cover.flush(&self.socket),
        }
    }

    /// Reads once and gives what came of the session to `take`. How many bytes the socket gave; fewer than [`READ`]: it is empty.
    ///
    /// An end of the stream is the error `UnexpectedEof`: no session of a load ends before its load.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<usize> {
        let Some(cover) = &mut self.cover else {
            let length = received(recv(&self.socket, &mut *scratch, RecvFlags::empty()))?;
            take(&scratch[..length])?;
            return Ok(length);
        };
        cover.read(&self.socket, take)
    }

    /// As `read`, of bytes that nobody looks at: the kernel drops them without a copy. How many bytes of the session, and whether the
    /// socket may hold more.
    pub(crate) fn discard(&mut self, scratch: &mut [u8]) -> io::Result<(usize, bool)> {
        let Some(cover) = &mut self.cover else {
            let length = received(recv(&self.socket, &mut *scratch, RecvFlags::TRUNC))?;
            return Ok((length, length == READ));
        };
        let mut taken = 0;
        let length = cover.read(&self.socket, |bytes| {
            taken += bytes.len();
            Ok(())
        })?;
        Ok((taken, length == READ))
    }
}

/// Room for one read.
pub(crate) fn scratch() -> Box<[u8]> {
    vec![0; READ].into()
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Cover {
    fn seal(&mut self, part: &[u8]) -> io::Result<()> {
        self.record.clear();
        if self.framing == Framing::Path {
            let length = u16::try_from(part.len()).unwrap_or(PATH_MAXIMUM);
            self.record.extend_from_slice(&path_header(length));
        }
        self.record.extend_from_slice(part);
        self.tls.write(&self.record).map_err(io::Error::other)
    }

    fn flush(&mut self, socket: &TcpStream) -> io::Result<bool> {
        while !self.tls.outgoing().is_empty() {
            match or_nothing((&*socket).write(self.tls.outgoing()))? {
                0 => return Ok(false),
                length => self.tls.sent(length),
            }
        }
        Ok(true)
    }

    fn read(
        &mut self,
        socket: &TcpStream,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<usize> {
        // What came with the end of the handshake waits in it.
        if self.take_records(&mut take)? {
            return Ok(READ);
        }
        let buffer = self.tls.read_buffer(READ);
        let length = received(recv(socket, spare_capacity(buffer), RecvFlags::empty()))?;
        self.take_records(&mut take)?;
        Ok(length)
    }

    /// Takes what was read. Whether there was a whole record.
    fn take_records(&mut self, take: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
        let mut any = false;
        loop {
            let mut taken = Ok(());
            let progress = self
                .tls
                .read_record(|record| {
                    taken = match self.framing {
                        Framing::None => take(record),
                        Framing::Path => path_view(record)
                            .ok_or_else(|| io::Error::other("a record that is no PATH frame"))
                            .and_then(&mut *take),
                    };
                })
                .map_err(io::Error::other)?;
            taken?;
            match progress {
                Progress::Record => any = true,
                Progress::Starved => return Ok(any),
                Progress::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

/// What `recv` gave: 0 where there is nothing.
fn received(given: rustix::io::Result<(usize, usize)>) -> io::Result<usize> {
    match given.map_err(io::Error::from) {
        Ok((_, 0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        given => or_nothing(given.map(|(_, length)| length)),
    }
}

fn or_nothing(done: io::Result<usize>) -> io::Result<usize> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        done => done,
    }
}
