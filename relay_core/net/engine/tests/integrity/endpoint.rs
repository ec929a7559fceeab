//! An endpoint that never waits: sends its pattern in random pieces, checks every byte that it gets.
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use rustix::event::{PollFd, PollFlags};

use super::kit::{Numbers, Pattern, reset};

/// Bytes that an endpoint sends or reads at once, at most.
const MOST: usize = 200_000;

pub(crate) struct Endpoint {
    /// `None` once it was reset.
    socket: Option<TcpStream>,
    speaks: Pattern,
    length: u64,
    sent: u64,
    hears: Pattern,
    got: u64,
    /// It has sent FIN.
    shut: bool,
    /// It has read FIN.
    ended: bool,
    /// It seldom reads.
    slow: bool,
}

impl Endpoint {
    /// Speaks the pattern `speaks` for `length` bytes, then FIN.
    pub(crate) fn new(
        socket: TcpStream,
        speaks: Pattern,
        length: u64,
        hears: Pattern,
        slow: bool,
    ) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self {
            socket: Some(socket),
            speaks,
            length,
            sent: 0,
            hears,
            got: 0,
            shut: false,
            ended: false,
            slow,
        }
    }

    /// Bytes that it has got.
    pub(crate) const fn got(&self) -> u64 {
        self.got
    }

    pub(crate) const fn is_through(&self) -> bool {
        self.socket.is_none() || (self.shut && self.ended)
    }

    /// Resets its connection.
    pub(crate) fn reset(&mut self) {
        if let Some(socket) = self.socket.take() {
            reset(socket);
        }
    }

    /// Sends and reads once each; whether that did anything.
    pub(crate) fn step(&mut self, numbers: &mut Numbers, buffer: &mut [u8]) -> bool {
        let Some(socket) = self.socket.take() else {
            return false;
        };
        let stepped = self
            .speak(&socket, numbers, buffer)
            .and_then(|spoke| Ok(spoke | self.hear(&socket, numbers, buffer)?));
        match stepped {
            Ok(progress) => {
                self.socket = Some(socket);
                progress
            }
            // Reset: it is through.
            Err(_reset) => true,
        }
    }

    fn speak(
        &mut self,
        mut socket: &TcpStream,
        numbers: &mut Numbers,
        buffer: &mut [u8],
    ) -> Result<bool, ErrorKind> {
        let left = usize::try_from(self.length - self.sent).unwrap();
        if left == 0 && !self.shut {
            self.shut = true;
            // It may have been reset meanwhile.
            socket
                .shutdown(Shutdown::Write)
                .map_err(|error| error.kind())?;
            return Ok(true);
        }
        if left == 0 {
            return Ok(false);
        }
        let piece = &mut buffer[..numbers.length(MOST).min(left)];
        self.speaks.fill(self.sent, piece);
        let sent = or_nothing(socket.write(piece))?.unwrap_or(0);
        self.sent += sent as u64;
        Ok(sent > 0)
    }

    fn hear(
        &mut self,
        mut socket: &TcpStream,
        numbers: &mut Numbers,
        buffer: &mut [u8],
    ) -> Result<bool, ErrorKind> {
        if self.ended || (self.slow && numbers.below(16) > 0) {
            return Ok(false);
        }
        let most = numbers.length(MOST);
        let (heard, expected) = buffer.split_at_mut(MOST);
        let Some(read) = or_nothing(socket.read(&mut heard[..most]))? else {
            return Ok(false);
        };
        self.ended = read == 0;
        self.hears.fill(self.got, &mut expected[..read]);
        assert!(heard[..read] == expected[..read], "bytes of another path");
        self.got += read as u64;
        Ok(true)
    }

    /// What it waits for.
    pub(crate) fn waits(&self) -> Option<PollFd<'_>> {
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, !self.ended);
        events.set(PollFlags::OUT, !self.shut);
        let socket = self.socket.as_ref()?;
        (!events.is_empty()).then(|| PollFd::new(socket, events))
    }
}

/// Two pieces: what is heard, and what should be.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; 2 * MOST]
}

fn or_nothing(result: std::io::Result<usize>) -> Result<Option<usize>, ErrorKind> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.kind()),
    }
}
