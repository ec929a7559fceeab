//! A queue of bytes between a socket and TLS that moves an offset instead of memory.

/// Bytes are appended behind and consumed in front. Memory moves only when an append needs the room in front, and is
/// given back on request once nothing is held.
#[derive(Debug, Default)]
pub struct OffsetBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl OffsetBuffer {
    /// What was appended and not consumed.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The same, for decryption in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Drops `length` bytes from the front.
    pub fn consume(&mut self, length: usize) {
        debug_assert!(length <= self.filled().len());
        self.start += length;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// The vector to append to, with room for at least `room` bytes.
    pub fn spare(&mut self, room: usize) -> &mut Vec<u8> {
        if self.bytes.capacity() - self.bytes.len() < room {
            self.bytes.drain(..self.start);
            self.start = 0;
            self.bytes.reserve(room);
        }
        &mut self.bytes
    }

    /// Lets `write` fill up to `room` bytes behind what is held; it returns how many it filled.
    pub fn append_with<E>(
        &mut self,
        room: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let bytes = self.spare(room);
        let held = bytes.len();
        bytes.resize(held + room, 0);
        let written = write(&mut bytes[held..]);
        bytes.truncate(held + written.as_ref().copied().unwrap_or(0));
        written.map(|_| ())
    }

    /// Takes everything out; the buffer is empty and owns no memory afterwards.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.start));
        bytes
    }

    /// Gives the memory back if nothing is held.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Bytes of memory owned.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consuming_moves_no_memory_until_room_is_needed() {
        let mut buffer = OffsetBuffer::default();
        buffer.spare(8).extend_from_slice(b"abcdefgh");
        let place = buffer.filled().as_ptr();
        buffer.consume(3);
        assert_eq!(buffer.filled(), b"defgh");
        assert_eq!(buffer.filled().as_ptr(), place.wrapping_add(3));
        buffer.spare(4096).extend_from_slice(b"ij");
        assert_eq!(buffer.filled(), b"defghij");
    }

    #[test]
    fn an_empty_buffer_owns_no_memory_after_release() {
        let mut buffer = OffsetBuffer::default();
        buffer.spare(4096).extend_from_slice(b"abc");
        buffer.release();
        assert_eq!(buffer.filled(), b"abc");
        buffer.consume(3);
        buffer.release();
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn taking_leaves_what_was_not_consumed() {
        let mut buffer = OffsetBuffer::default();
        buffer.spare(16).extend_from_slice(b"consumed-left");
        buffer.consume(9);
        assert_eq!(buffer.take(), b"left");
        assert!(buffer.filled().is_empty());
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn a_failed_append_leaves_what_was_held() {
        let mut buffer = OffsetBuffer::default();
        buffer.spare(4).extend_from_slice(b"held");
        assert_eq!(buffer.append_with(16, |_| Err("full")), Err("full"));
        assert_eq!(buffer.filled(), b"held");
        buffer
            .append_with(16, |room| {
                room[..2].copy_from_slice(b"++");
                Ok::<_, ()>(2)
            })
            .unwrap();
        assert_eq!(buffer.filled(), b"held++");
    }
}
