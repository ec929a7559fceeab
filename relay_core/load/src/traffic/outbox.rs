//! What a socket did not take yet.
use std::io;

use crate::traffic::end::End;

/// Bytes that wait for their end.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Vec<u8>);

impl Outbox {
    /// Sends bytes behind those that wait; what is not taken waits too.
    pub(crate) fn send(&mut self, end: &mut End, bytes: &[u8]) -> io::Result<()> {
        let taken = if self.0.is_empty() {
            end.send(bytes)?
        } else {
            0
        };
        self.0.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Sends what waits. True where nothing is left.
    pub(crate) fn flush(&mut self, end: &mut End) -> io::Result<bool> {
        while !self.0.is_empty() {
            match end.send(&self.0)? {
                0 => return Ok(false),
                taken => drop(self.0.drain(..taken)),
            }
        }
        end.flush()
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
