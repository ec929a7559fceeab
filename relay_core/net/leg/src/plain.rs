//! A TLS connection as a plaintext stream for somebody who opens no TLS: Python, over a socket pair (PROTOCOL.md §11).
#[cfg(test)]
mod tests;

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use telerelay_wire::limits;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep_until};

use crate::accept::linger;
use crate::tls::{OffsetBuffer, Progress, Tls, TlsError};

/// What the reader of the plaintext would not watch over.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The first plaintext must have come within this time.
    pub first_byte: Duration,
    /// Plaintext bytes from the network since the last byte that was answered.
    pub unanswered: u64,
    /// The time since the last byte that was answered, or since the beginning: a request that dribbles, one that is not followed by
    /// another, and an answer that is not read.
    pub answer: Duration,
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
    Silent,
    /// Nothing was answered for too long.
    #[error("nothing to answer for too long")]
    Slow,
    /// Too much came without an answer.
    #[error("too much was sent without an answer")]
    TooMuch,
}

impl PlainError {
    /// A stable name for counters, where it is one of the limits that ended the stream.
    pub const fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Socket(_) | Self::Tls(_) => None,
            Self::Silent => Some("first_byte"),
            Self::Slow => Some("answer"),
            Self::TooMuch => Some("bytes"),
        }
    }

    /// Every such name.
    pub const LIMITS: [&'static str; 3] = ["first_byte", "answer", "bytes"];
}

/// Moves plaintext between `tls` over `socket` and `program` until the program has ended, or one breaks. Where the network ends
/// first, the program learns it and may still answer.
pub async fn carry(
    socket: TcpStream,
    tls: Tls,
    program: UnixStream,
    limits: Option<Limits>,
) -> Result<(), PlainError> {
    let mut carrier = Carrier {
        socket,
        tls,
        program,
        inbound: OffsetBuffer::default(),
        limits,
        answered: Instant::now(),
        unanswered: 0,
        seen: false,
        inbound_over: false,
        outbound_over: false,
    };
    loop {
        if let Err(error) = carrier.turn() {
            // An alert, as far as the socket takes it.
            carrier.write_network()?;
            return Err(error);
        }
        if carrier.outbound_over && carrier.tls.outgoing().is_empty() {
            linger(&mut carrier.socket, limits::LINGER).await;
            return Ok(());
        }
        let (deadline, late) = carrier.deadline();
        tokio::select! {
            ready = readiness(carrier.network_interest(), |wanted| carrier.socket.ready(wanted)) => drop(ready?),
            ready = readiness(carrier.program_interest(), |wanted| carrier.program.ready(wanted)) => drop(ready?),
            () = until(deadline) => return Err(late),
        }
        // A connection that is never starved must not starve others of its thread.
        tokio::task::coop::consume_budget().await;
    }
}

/// Waits for a socket; for ever where nothing is wanted of it.
async fn readiness<T, F: Future<Output = T>>(
    wanted: Option<Interest>,
    ready: impl FnOnce(Interest) -> F,
) -> T {
    match wanted {
        Some(wanted) => ready(wanted).await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

struct Carrier {
    socket: TcpStream,
    tls: Tls,
    program: UnixStream,
    /// Plaintext from the network that the program has not taken: one record's at most.
    inbound: OffsetBuffer,
    limits: Option<Limits>,
    /// When the program last said something.
    answered: Instant,
    /// Bytes that came since then.
    unanswered: u64,
    /// Something came from the network.
    seen: bool,
    /// Nothing goes to the program any more: the network ended, or the program does not read.
    inbound_over: bool,
    /// Nothing comes from the program any more.
    outbound_over: bool,
}

impl Carrier {
    /// Moves what can be moved without waiting: at most one read of each socket.
    fn turn(&mut self) -> Result<(), PlainError> {
        self.read_program()?;
        self.write_network()?;
        self.inward()?;
        self.write_network()?;
        self.tls.release();
        self.inbound.release();
        Ok(())
    }

    fn read_program(&mut self) -> Result<(), PlainError> {
        if self.outbound_over || self.tls.outgoing().len() >= limits::LEG_UNSENT {
            return Ok(());
        }
        let mut plaintext = [0; limits::API_READ];
        match self.program.try_read(&mut plaintext) {
            Ok(0) => self.program_has_ended(),
            Ok(length) => {
                self.answered = Instant::now();
                self.unanswered = 0;
                self.tls.write(&plaintext[..length])?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if is_gone(&error) => self.program_has_ended(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The program closed its end: nothing more can be asked of it.
    fn program_has_ended(&mut self) {
        self.outbound_over = true;
        self.inbound_over = true;
        self.tls.close_notify();
    }

    /// Gives the program record after record, as long as it takes them.
    fn inward(&mut self) -> Result<(), PlainError> {
        let mut read = false;
        while !self.inbound_over && self.write_program()? {
            let inbound = &mut self.inbound;
            let progress = self.tls.read_record(|plaintext| {
                inbound.spare(plaintext.len()).extend_from_slice(plaintext);
            })?;
            match progress {
                Progress::Record => self.count()?,
                Progress::Closed => self.network_has_ended()?,
                Progress::Starved if read => break,
                Progress::Starved => {
                    read = true;
                    match self
                        .socket
                        .try_read_buf(self.tls.read_buffer(limits::API_READ))
                    {
                        // Without close_notify too: an HTTP message says itself whether it is whole.
                        Ok(0) => self.network_has_ended()?,
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), PlainError> {
        let length = self.inbound.filled().len();
        self.seen |= length > 0;
        self.unanswered += length as u64;
        match self.limits {
            Some(limits) if self.unanswered > limits.unanswered => Err(PlainError::TooMuch),
            _ => Ok(()),
        }
    }

    /// When the stream ends if nothing happens, and as what.
    fn deadline(&self) -> (Option<Instant>, PlainError) {
        let from =
            |time: fn(Limits) -> Duration| self.limits.map(|limits| self.answered + time(limits));
        if self.seen {
            (from(|limits| limits.answer), PlainError::Slow)
        } else {
            (from(|limits| limits.first_byte), PlainError::Silent)
        }
    }

    fn network_has_ended(&mut self) -> io::Result<()> {
        self.inbound_over = true;
        match SockRef::from(&self.program).shutdown(Shutdown::Write) {
            Err(error) if is_gone(&error) => Ok(()),
            shut => shut,
        }
    }

    /// Gives the program what lies here for it. True once it has taken everything.
    fn write_program(&mut self) -> io::Result<bool> {
        while !self.inbound.filled().is_empty() {
            match self.program.try_write(self.inbound.filled()) {
                Ok(length) => self.inbound.consume(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if is_gone(&error) => {
                    // It reads no more; what it has said is still to be read from it.
                    self.inbound_over = true;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn write_network(&mut self) -> io::Result<()> {
        while !self.tls.outgoing().is_empty() {
            match self.socket.try_write(self.tls.outgoing()) {
                Ok(length) => self.tls.sent(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn network_interest(&self) -> Option<Interest> {
        let reading = !self.inbound_over && self.inbound.filled().is_empty();
        interest(reading, !self.tls.outgoing().is_empty())
    }

    fn program_interest(&self) -> Option<Interest> {
        let reading = !self.outbound_over && self.tls.outgoing().len() < limits::LEG_UNSENT;
        interest(
            reading,
            !self.inbound_over && !self.inbound.filled().is_empty(),
        )
    }
}

fn interest(reading: bool, writing: bool) -> Option<Interest> {
    match (reading, writing) {
        (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        (true, false) => Some(Interest::READABLE),
        (false, true) => Some(Interest::WRITABLE),
        (false, false) => None,
    }
}

/// The program closed its end, perhaps without reading everything.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}
