//! The engine's end of a leg: its socket, and what is known of it between two events.
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, socket_error};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

/// What a leg is registered for, once.
pub(crate) const EVENTS: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// One end. An edge tells of a change only, so what a leg is ready for stays noted until a call finds out that it is over.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of a socket, each of which changes by itself"
)]
pub(crate) struct End {
    socket: OwnedFd,
    readable: bool,
    writable: bool,
    /// FIN has arrived. It stands behind what is still to be read, and no edge will tell of it again.
    hung_up: bool,
    /// An error waits to be told.
    failed: bool,
    /// FIN was read, or an error ended the leg.
    ended: bool,
    /// FIN was sent, or an error ended the leg.
    shut: bool,
}

/// What a call that reads came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// None now, or none any more.
    Nothing,
}

impl End {
    /// Ready for everything, so that it is tried first: what came before the leg was registered is no change.
    pub(crate) const fn new(socket: OwnedFd, ended: bool, shut: bool) -> Self {
        Self {
            socket,
            readable: true,
            writable: true,
            hung_up: false,
            failed: false,
            ended,
            shut,
        }
    }

    /// Notes what epoll said.
    pub(crate) fn note(&mut self, events: EventFlags) {
        let broken = EventFlags::HUP | EventFlags::ERR;
        self.readable |= events.intersects(EventFlags::IN | EventFlags::RDHUP | broken);
        self.writable |= events.intersects(EventFlags::OUT | broken);
        self.hung_up |= events.intersects(EventFlags::RDHUP | EventFlags::HUP);
        self.failed |= events.contains(EventFlags::ERR);
    }

    /// Whether reading is worth a call.
    pub(crate) const fn is_readable(&self) -> bool {
        self.readable && !self.ended
    }

    pub(crate) const fn is_writable(&self) -> bool {
        self.writable
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.failed
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) const fn is_shut(&self) -> bool {
        self.shut
    }

    /// Reads once into a buffer. A short read has emptied the socket (epoll(7)): it is not asked again before the next event,
    /// unless FIN stands behind.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Errno> {
        self.receive(buffer, RecvFlags::empty())
    }

    /// Reads once and drops what was read; the kernel does not even copy it.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) -> Result<Read, Errno> {
        self.receive(buffer, RecvFlags::TRUNC)
    }

    fn receive(&mut self, buffer: &mut [u8], flags: RecvFlags) -> Result<Read, Errno> {
        let room = buffer.len();
        match recv(&self.socket, buffer, flags | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => Ok(self.end_reading()),
            Ok((_, length)) => {
                self.readable = length >= room || self.hung_up;
                Ok(Read::Bytes(length))
            }
            Err(Errno::AGAIN) => Ok(self.stop_reading()),
            Err(error) => Err(error),
        }
    }

    /// There is nothing to read before the next event.
    pub(crate) const fn stop_reading(&mut self) -> Read {
        self.readable = false;
        Read::Nothing
    }

    /// FIN was read.
    pub(crate) const fn end_reading(&mut self) -> Read {
        self.ended = true;
        Read::Nothing
    }

    /// Sends what the kernel takes; how much.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let sent = match send(
            &self.socket,
            bytes,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error),
        };
        self.writable = sent == bytes.len();
        Ok(sent)
    }

    /// The kernel takes nothing before the next event.
    pub(crate) const fn stop_sending(&mut self) {
        self.writable = false;
    }

    /// Sends FIN.
    pub(crate) fn shut(&mut self) -> Result<(), Errno> {
        self.shut = true;
        shutdown(&self.socket, Shutdown::Write)
    }

    /// The error that waits, if there is one.
    pub(crate) fn take_error(&mut self) -> Option<Errno> {
        self.failed = false;
        match socket_error(&self.socket) {
            Ok(waiting) => waiting.err(),
            Err(error) => Some(error),
        }
    }

    /// The leg is broken: there is nothing to read from it or to send to it.
    pub(crate) const fn give_up(&mut self) {
        self.ended = true;
        self.shut = true;
    }

    /// Makes the end of the socket a reset.
    pub(crate) fn reset_when_closed(&self) {
        // Where that fails there is no connection left to reset.
        let _no_connection = set_socket_linger(&self.socket, Some(Duration::ZERO));
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What the standard library calls this error.
pub(crate) fn kind(error: Errno) -> ErrorKind {
    std::io::Error::from(error).kind()
}
