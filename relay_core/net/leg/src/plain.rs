//! A TLS connection as a plaintext stream for somebody who opens no TLS: Python, over a socket pair (PROTOCOL.md §11).
use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep_until};

use crate::tls::{Progress, Tls, TlsError};

/// Read at once, in either direction, and held at most beyond it: what was read and could not be written yet.
const READ: usize = 16 * 1024;

/// What the reader of the plaintext would not watch over.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The first plaintext must have come within this time.
    pub first_byte: Duration,
    /// Plaintext bytes from the network since the last byte that was answered.
    pub unanswered: u64,
}

/// Why a stream ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// One of the two sockets broke.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// TLS broke.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// Nothing came in time.
    #[error("no first byte in time")]
    Late,
    /// Too much came without an answer.
    #[error("too much was sent without an answer")]
    TooMuch,
}

/// Moves plaintext between `tls` over `socket` and `plain` until both directions have ended, or one breaks.
pub async fn carry(
    socket: TcpStream,
    tls: Tls,
    plain: UnixStream,
    limits: Option<Limits>,
) -> Result<(), PlainError> {
    let first_byte = limits.map(|limits| Instant::now() + limits.first_byte);
    let mut carrier = Carrier {
        socket,
        tls,
        plain,
        inbound: Vec::new(),
        unanswered: 0,
        seen: false,
        network_over: false,
        plain_over: false,
    };
    loop {
        let moved = carrier.turn(limits.map(|limits| limits.unanswered))?;
        if carrier.is_over() {
            return Ok(());
        }
        if moved {
            tokio::task::yield_now().await;
            continue;
        }
        let late = async {
            match first_byte.filter(|_| !carrier.seen) {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = carrier.ready() => ready?,
            () = late => return Err(PlainError::Late),
        }
    }
}

struct Carrier {
    socket: TcpStream,
    tls: Tls,
    plain: UnixStream,
    /// Plaintext from the network that the reader has not taken.
    inbound: Vec<u8>,
    unanswered: u64,
    /// Something came from the network.
    seen: bool,
    network_over: bool,
    plain_over: bool,
}

impl Carrier {
    fn turn(&mut self, limit: Option<u64>) -> Result<bool, PlainError> {
        let mut moved = self.write_plain()?;
        if self.inbound.is_empty() && !self.network_over {
            moved |= self.read_network(limit)?;
            moved |= self.write_plain()?;
        }
        moved |= self.write_network()?;
        if self.tls.outgoing().is_empty() && !self.plain_over {
            moved |= self.read_plain()?;
            moved |= self.write_network()?;
        }
        Ok(moved)
    }

    fn is_over(&self) -> bool {
        self.network_over
            && self.plain_over
            && self.inbound.is_empty()
            && self.tls.outgoing().is_empty()
    }

    async fn ready(&self) -> io::Result<()> {
        let reading = self.inbound.is_empty() && !self.network_over;
        let network = wanted(reading, !self.tls.outgoing().is_empty());
        let plain = wanted(
            self.tls.outgoing().is_empty() && !self.plain_over,
            !self.inbound.is_empty(),
        );
        let network = async {
            match network {
                Some(interest) => self.socket.ready(interest).await.map(drop),
                None => std::future::pending().await,
            }
        };
        let plain = async {
            match plain {
                Some(interest) => self.plain.ready(interest).await.map(drop),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = network => ready,
            ready = plain => ready,
        }
    }

    fn read_network(&mut self, limit: Option<u64>) -> Result<bool, PlainError> {
        let moved = match self.socket.try_read_buf(self.tls.read_buffer(READ)) {
            Ok(0) => {
                // Without close_notify too: an HTTP message says itself whether it is whole.
                self.end_network()?;
                return Ok(true);
            }
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(error.into()),
        };
        loop {
            let inbound = &mut self.inbound;
            let before = inbound.len();
            let progress = self
                .tls
                .read_record(|plaintext| inbound.extend_from_slice(plaintext))?;
            let length = inbound.len() - before;
            self.seen |= length > 0;
            self.unanswered += length as u64;
            if limit.is_some_and(|limit| self.unanswered > limit) {
                return Err(PlainError::TooMuch);
            }
            match progress {
                Progress::Record => {}
                Progress::Starved => return Ok(moved),
                Progress::Closed => {
                    self.write_plain()?;
                    self.end_network()?;
                    return Ok(true);
                }
            }
        }
    }

    /// The network gives no more; the reader learns it behind what it has not taken yet.
    fn end_network(&mut self) -> io::Result<()> {
        self.network_over = true;
        if self.inbound.is_empty() {
            shut_writing(&self.plain)?;
        }
        Ok(())
    }

    fn write_plain(&mut self) -> io::Result<bool> {
        if self.inbound.is_empty() {
            return Ok(false);
        }
        match self.plain.try_write(&self.inbound) {
            Ok(length) => {
                self.inbound.drain(..length);
                if self.inbound.is_empty() && self.network_over {
                    shut_writing(&self.plain)?;
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read_plain(&mut self) -> Result<bool, PlainError> {
        let mut buffer = [0; READ];
        match self.plain.try_read(&mut buffer) {
            Ok(0) => {
                self.plain_over = true;
                // Whoever wrote the plaintext has closed the whole stream: nobody reads what would still come.
                self.network_over = true;
                self.inbound.clear();
                self.tls.close_notify();
                Ok(true)
            }
            Ok(length) => {
                self.unanswered = 0;
                self.tls.write(&buffer[..length])?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn write_network(&mut self) -> io::Result<bool> {
        let mut moved = false;
        while !self.tls.outgoing().is_empty() {
            match self.socket.try_write(self.tls.outgoing()) {
                Ok(length) => self.tls.sent(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            moved = true;
        }
        Ok(moved)
    }
}

fn wanted(reading: bool, writing: bool) -> Option<Interest> {
    match (reading, writing) {
        (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        (true, false) => Some(Interest::READABLE),
        (false, true) => Some(Interest::WRITABLE),
        (false, false) => None,
    }
}

fn shut_writing(stream: &UnixStream) -> io::Result<()> {
    match socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write) {
        // The other end is gone already.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}
