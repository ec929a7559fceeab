//! The socket of a path, together with the stack above it.
use std::io::{self, IoSlice};

use telerelay_leg::accept::linger;
use telerelay_wire::limits;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::stack::Stack;

/// Sends what waits, and outlasts the node's end of the leg: closed with bytes unread a socket is reset, and what was sent last,
/// CLOSE or an alert, may be lost with it.
pub(crate) async fn leave(socket: &mut TcpStream, stack: &mut Stack) {
    while write_socket(socket, stack).is_ok() && stack.wants_write() {
        if socket.writable().await.is_err() {
            return;
        }
    }
    linger(socket, limits::LINGER).await;
}

/// What to wait for.
pub(crate) fn interest(stack: &Stack) -> Interest {
    if stack.wants_write() {
        Interest::READABLE | Interest::WRITABLE
    } else {
        Interest::READABLE
    }
}

/// Writes what waits. True when nothing waits any more.
pub(crate) fn write_socket(socket: &TcpStream, stack: &mut Stack) -> io::Result<bool> {
    match stack.write_to(&mut Unblocked(socket)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// A socket as a writer that never waits.
struct Unblocked<'a>(&'a TcpStream);

impl io::Write for Unblocked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
