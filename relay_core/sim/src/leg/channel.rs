//! TLS as far as the protocol stands on it: records that are whole, authentic and in order, an alert that ends the stream, and
//! an exporter. Nothing is encrypted; a tag says whose record it is and which.
//!
//! A record has the form of TLS 1.3 (RFC 8446 §5.2), so that the product's scanner reads it: header, plaintext, content
//! type, 16 bytes of tag. The tag holds the key and the record's number, so that a record of another connection, of the
//! other direction, of the other layer, or one that is lost or repeated does not open.
use telerelay_wire::record::{self, HEADER};

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Alert,
    Handshake,
    Data,
}

const TAG: usize = 16;
/// Every record says that it is application data of TLS 1.2.
const LEAD: [u8; 3] = [23, 3, 3];

/// A record that is not the next one of this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

/// The records of one connection, seen from one end.
#[derive(Debug)]
pub(crate) struct Channel {
    key: u64,
    is_client: bool,
    sent: u64,
    received: u64,
}

impl Channel {
    pub(crate) fn new(key: u64, is_client: bool) -> Self {
        Self {
            key,
            is_client,
            sent: 0,
            received: 0,
        }
    }

    /// Appends a record.
    pub(crate) fn seal(&mut self, content: Content, parts: &[&[u8]], out: &mut Vec<u8>) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u16::try_from(length + 1 + TAG).expect("a record is shorter than 64 KiB");
        out.extend_from_slice(&LEAD);
        out.extend_from_slice(&length.to_be_bytes());
        for part in parts {
            out.extend_from_slice(part);
        }
        out.push(match content {
            Content::Alert => 21,
            Content::Handshake => 22,
            Content::Data => 23,
        });
        out.extend_from_slice(&tag(self.key, self.is_client, self.sent));
        self.sent += 1;
    }

    /// The length of a whole record at the beginning of `bytes`: `None` where bytes are missing.
    pub(crate) fn whole(bytes: &[u8]) -> Result<Option<usize>, Forged> {
        match record::scan(bytes, 0) {
            Ok(found) => Ok(found.map(|record| record.range.end)),
            Err(_) => Err(Forged),
        }
    }

    /// Opens a whole record.
    pub(crate) fn open<'r>(&mut self, record: &'r [u8]) -> Result<(Content, &'r [u8]), Forged> {
        let inside = record.get(HEADER..).unwrap_or_default();
        let (inside, found) = inside.split_last_chunk::<TAG>().ok_or(Forged)?;
        let (&content, plaintext) = inside.split_last().ok_or(Forged)?;
        if *found != tag(self.key, !self.is_client, self.received) {
            return Err(Forged);
        }
        self.received += 1;
        let content = match content {
            21 => Content::Alert,
            22 => Content::Handshake,
            23 => Content::Data,
            _ => return Err(Forged),
        };
        Ok((content, plaintext))
    }
}

fn tag(key: u64, by_client: bool, number: u64) -> [u8; TAG] {
    let key = key.rotate_left(u32::from(by_client));
    let mut tag = [0; TAG];
    tag[..8].copy_from_slice(&key.to_be_bytes());
    tag[8..].copy_from_slice(&number.to_be_bytes());
    tag
}

/// An exporter (RFC 8446 §7.5): 32 bytes that both ends of one handshake have and nobody else.
pub(crate) fn export(randoms: [u64; 2], label: u64) -> [u8; 32] {
    let mut dice = crate::dice::Dice::new(randoms[0] ^ randoms[1].rotate_left(17) ^ label);
    let mut out = [0; 32];
    telerelay_wire::Entropy::fill(&mut dice, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_once_in_order_at_the_other_end_of_its_own_connection() {
        let (mut client, mut server) = (Channel::new(5, true), Channel::new(5, false));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        client.seal(Content::Data, &[b"a", b"b"], &mut first);
        client.seal(Content::Alert, &[], &mut second);
        assert_eq!(Channel::whole(&first), Ok(Some(HEADER + 2 + 1 + TAG)));
        assert_eq!(server.open(&second), Err(Forged), "the first is missing");
        assert_eq!(server.open(&first), Ok((Content::Data, &b"ab"[..])));
        assert_eq!(server.open(&first), Err(Forged), "a replay");
        assert_eq!(server.open(&second), Ok((Content::Alert, &b""[..])));
        assert_eq!(
            Channel::new(6, false).open(&first),
            Err(Forged),
            "another key"
        );
        assert_eq!(
            Channel::new(5, true).open(&first),
            Err(Forged),
            "its own end"
        );
    }

    #[test]
    fn what_is_no_record_is_refused_and_a_piece_waits() {
        let mut record = Vec::new();
        Channel::new(1, true).seal(Content::Data, &[b"x"], &mut record);
        for cut in 0..record.len() {
            assert_eq!(Channel::whole(&record[..cut]), Ok(None));
        }
        assert_eq!(Channel::whole(&[0x30]), Err(Forged));
    }
}
