//! Whole records at every split, SWITCH and what stands behind it, freeze, memory.
use std::io::Write;

use super::{Progress, Tls, TlsError};
use crate::config::{Language, OuterConfigs, server_name};
use crate::fixture::{COMPUTER, Fixture, credentials, node_name};

/// SWITCH with its header (PROTOCOL.md §4).
const SWITCH: &[u8] = &[0, 1, 0x31, 1, 0xa0];

/// Both ends of outer TLS.
struct Pair {
    agent: Tls,
    node: Tls,
}

impl Pair {
    fn new() -> Self {
        let fixture = Fixture::new();
        let (agent, node) = fixture.ends(&fixture.organisation.agent(COMPUTER));
        Self { agent, node }
    }

    fn connected() -> Self {
        let mut pair = Self::new();
        pair.handshake(usize::MAX);
        pair
    }

    /// Moves at most `step` bytes at a time until nobody has anything to say.
    fn handshake(&mut self, step: usize) {
        loop {
            let moved = move_some(&mut self.agent, &mut self.node, step)
                + move_some(&mut self.node, &mut self.agent, step);
            if moved == 0 {
                break;
            }
        }
        assert!(!self.agent.is_handshaking());
        assert!(!self.node.is_handshaking());
    }
}

fn move_some(from: &mut Tls, to: &mut Tls, step: usize) -> usize {
    let bytes: Vec<u8> = from.outgoing().iter().take(step).copied().collect();
    from.sent(bytes.len());
    assert!(read(to, &bytes).unwrap().is_empty());
    bytes.len()
}

/// Appends bytes and takes every whole record: the plaintexts.
fn read(tls: &mut Tls, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TlsError> {
    tls.read_buffer(bytes.len()).extend_from_slice(bytes);
    let mut plaintexts = Vec::new();
    while tls.read_record(|plaintext| plaintexts.push(plaintext.to_vec()))? != Progress::Starved {}
    Ok(plaintexts)
}

/// Appends bytes and takes whole records up to the one with SWITCH; true if it was there.
fn read_to_switch(tls: &mut Tls, bytes: &[u8], plaintexts: &mut Vec<Vec<u8>>) -> bool {
    tls.read_buffer(bytes.len()).extend_from_slice(bytes);
    loop {
        let progress = tls.read_record(|plaintext| plaintexts.push(plaintext.to_vec()));
        match progress.unwrap() {
            Progress::Record if plaintexts.last().is_some_and(|last| last == SWITCH) => {
                return true;
            }
            Progress::Record => {}
            Progress::Starved => return false,
            Progress::Closed => panic!("nobody closed"),
        }
    }
}

fn take_outgoing(tls: &mut Tls) -> Vec<u8> {
    let bytes = tls.outgoing().to_vec();
    tls.sent(bytes.len());
    bytes
}

/// The lengths of the records in a stream of whole ones, without their headers.
fn record_lengths(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length);
        bytes = &rest[length..];
    }
    lengths
}

#[test]
fn a_handshake_goes_byte_by_byte() {
    let mut pair = Pair::new();
    pair.handshake(1);
    assert_eq!(pair.node.alpn(), Some(&b"telerelay/1"[..]));
    assert_eq!(pair.node.group(), Some(rustls::NamedGroup::X25519MLKEM768));
    assert_eq!(pair.node.peer_chain().len(), 2);
    assert_eq!(pair.agent.peer_chain().len(), 2);
    for tls in [&mut pair.agent, &mut pair.node] {
        tls.release();
        assert_eq!(tls.buffered_memory(), 0);
    }
}

#[test]
fn records_are_whole_at_every_split() {
    let mut pair = Pair::connected();
    let plaintexts: Vec<Vec<u8>> = [1, 2, 300, 17, 64].map(|length| vec![7; length]).into();
    for split in 0.. {
        for plaintext in &plaintexts {
            pair.agent.write(plaintext).unwrap();
        }
        let bytes = take_outgoing(&mut pair.agent);
        let mut got = read(&mut pair.node, &bytes[..split]).unwrap();
        got.extend(read(&mut pair.node, &bytes[split..]).unwrap());
        assert_eq!(got, plaintexts, "split at {split}");
        if split == bytes.len() {
            break;
        }
    }
}

#[test]
fn what_stands_behind_switch_is_left_over_untouched_at_every_split() {
    // It looks like a record on purpose: a reader that went on would take it for one.
    let raw = [&[23, 3, 3, 0, 20][..], &[0x5a; 20], b"and more"].concat();
    for split in 0.. {
        let mut pair = Pair::connected();
        pair.agent.write(b"last").unwrap();
        pair.agent.write(SWITCH).unwrap();
        pair.agent.freeze();
        let sent = [take_outgoing(&mut pair.agent), raw.clone()].concat();
        let (first, second) = sent.split_at(split);
        let mut plaintexts = Vec::new();
        let behind = if read_to_switch(&mut pair.node, first, &mut plaintexts) {
            [pair.node.take_left_over().unwrap(), second.to_vec()].concat()
        } else {
            assert!(read_to_switch(&mut pair.node, second, &mut plaintexts));
            pair.node.take_left_over().unwrap()
        };
        assert_eq!(plaintexts, [b"last", SWITCH]);
        assert_eq!(behind, raw, "split at {split}");
        assert_eq!(
            pair.node.buffered_memory() - pair.node.outgoing.capacity(),
            0
        );
        if split == sent.len() {
            break;
        }
    }
}

#[test]
fn handshake_messages_may_span_records() {
    let fixture = Fixture::new();
    let credentials = credentials(&fixture.organisation.agent(COMPUTER));
    let configs = OuterConfigs::new(fixture.pins(), Some(&credentials), Language::Telerelay);
    let mut config = (*configs.unwrap().hybrid).clone();
    // A Certificate message of ours has a kilobyte.
    config.max_fragment_size = Some(64);
    let name = server_name(&node_name());
    for step in [1, usize::MAX] {
        let mut pair = Pair {
            agent: Tls::client(config.clone().into(), name.clone()).unwrap(),
            node: Tls::server(fixture.configs.of(Language::Telerelay)).unwrap(),
        };
        pair.handshake(step);
        pair.agent.write(b"afterwards").unwrap();
        let bytes = take_outgoing(&mut pair.agent);
        assert_eq!(read(&mut pair.node, &bytes).unwrap(), [b"afterwards"]);
        assert_eq!(pair.node.take_left_over(), Some(Vec::new()));
    }
}

/// An agent on rustls' buffered connection, which can ask for a KeyUpdate, and the node's end.
fn with_key_updates() -> (rustls::ClientConnection, Tls) {
    let fixture = Fixture::new();
    let credentials = credentials(&fixture.organisation.agent(COMPUTER));
    let configs = OuterConfigs::new(fixture.pins(), Some(&credentials), Language::Telerelay);
    let name = server_name(&node_name());
    let mut agent = rustls::ClientConnection::new(configs.unwrap().hybrid, name).unwrap();
    let mut node = Tls::server(fixture.configs.of(Language::Telerelay)).unwrap();
    while agent.is_handshaking() || node.is_handshaking() {
        let mut bytes = Vec::new();
        agent.write_tls(&mut bytes).unwrap();
        read(&mut node, &bytes).unwrap();
        agent
            .read_tls(&mut take_outgoing(&mut node).as_slice())
            .unwrap();
        agent.process_new_packets().unwrap();
    }
    (agent, node)
}

fn ask_for_key_update(agent: &mut rustls::ClientConnection) -> Vec<u8> {
    agent.refresh_traffic_keys().unwrap();
    let mut bytes = Vec::new();
    agent.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_pending_key_update_reply_leaves_before_switch_and_never_behind() {
    let (mut agent, mut node) = with_key_updates();
    assert!(
        read(&mut node, &ask_for_key_update(&mut agent))
            .unwrap()
            .is_empty()
    );
    assert!(
        node.outgoing().is_empty(),
        "rustls holds the reply back until it writes"
    );
    node.write(SWITCH).unwrap();
    node.freeze();
    let bytes = take_outgoing(&mut node);
    assert_eq!(record_lengths(&bytes).len(), 2, "the reply, then SWITCH");
    agent.read_tls(&mut bytes.as_slice()).unwrap();
    agent.process_new_packets().unwrap();
    let mut plaintext = [0; 16];
    let length = std::io::Read::read(&mut agent.reader(), &mut plaintext).unwrap();
    assert_eq!(&plaintext[..length], SWITCH);
}

#[test]
fn a_frozen_end_emits_nothing_whatever_comes() {
    let (mut agent, mut node) = with_key_updates();
    node.write(SWITCH).unwrap();
    node.freeze();
    take_outgoing(&mut node);
    read(&mut node, &ask_for_key_update(&mut agent)).unwrap();
    assert!(node.outgoing().is_empty(), "no KeyUpdate reply");
    assert_eq!(node.write(b"plaintext"), Err(TlsError::NotWritable));
    node.close_notify();
    assert!(node.outgoing().is_empty(), "no close_notify");
    agent.writer().write_all(b"goes on").unwrap();
    let mut bytes = Vec::new();
    agent.write_tls(&mut bytes).unwrap();
    assert_eq!(read(&mut node, &bytes).unwrap(), [b"goes on"]);
    read(&mut node, &[&[23, 3, 3, 0, 32][..], &[0; 32]].concat()).unwrap_err();
    assert!(node.outgoing().is_empty(), "no alert");
}

#[test]
fn a_full_path_frame_is_one_record_and_more_is_more_records() {
    let mut pair = Pair::connected();
    pair.node.write(&[1; 16_384]).unwrap();
    assert_eq!(record_lengths(pair.node.outgoing()), [16_384 + 17]);
    assert_eq!(
        read(&mut pair.agent, &take_outgoing(&mut pair.node)).unwrap(),
        [vec![1; 16_384]]
    );
    let large: Vec<u8> = (0..1_000_003_u32).map(|n| n.to_le_bytes()[0]).collect();
    pair.node.write(&large).unwrap();
    let bytes = take_outgoing(&mut pair.node);
    assert!(
        record_lengths(&bytes)
            .iter()
            .all(|&length| length <= 16_384 + 17)
    );
    assert_eq!(read(&mut pair.agent, &bytes).unwrap().concat(), large);
}

#[test]
fn close_notify_ends_one_direction_only() {
    let mut pair = Pair::connected();
    pair.agent.write(b"last").unwrap();
    pair.agent.close_notify();
    assert_eq!(pair.agent.write(b"too late"), Err(TlsError::NotWritable));
    let bytes = take_outgoing(&mut pair.agent);
    pair.node.read_buffer(bytes.len()).extend_from_slice(&bytes);
    assert_eq!(
        pair.node
            .read_record(|plaintext| assert_eq!(plaintext, b"last")),
        Ok(Progress::Record)
    );
    assert_eq!(
        pair.node.read_record(|_| panic!("no plaintext")),
        Ok(Progress::Closed)
    );
    assert_eq!(
        pair.node.read_record(|_| panic!("no plaintext")),
        Ok(Progress::Starved)
    );
    pair.node.write(b"still here").unwrap();
    assert_eq!(
        read(&mut pair.agent, &take_outgoing(&mut pair.node)).unwrap(),
        [b"still here"]
    );
}

#[test]
fn a_broken_record_ends_the_connection_with_an_alert() {
    let mut pair = Pair::connected();
    pair.agent.write(b"plaintext").unwrap();
    let mut bytes = take_outgoing(&mut pair.agent);
    *bytes.last_mut().unwrap() ^= 1;
    let error = read(&mut pair.node, &bytes).unwrap_err();
    assert_eq!(error, TlsError::Peer(rustls::Error::DecryptError));
    assert_eq!(read(&mut pair.node, b"").unwrap_err(), error, "for ever");
    let alert = take_outgoing(&mut pair.node);
    let told = read(&mut pair.agent, &alert).unwrap_err();
    let expected = rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac);
    assert_eq!(told, TlsError::Peer(expected));
}

#[test]
fn a_header_that_is_none_is_refused_before_its_bytes_come() {
    let mut pair = Pair::connected();
    assert!(matches!(
        read(&mut pair.node, &[23, 3, 3, 0xff, 0xff]),
        Err(TlsError::Record(_))
    ));
}

#[test]
fn plaintext_before_the_end_of_the_handshake_is_a_bug_of_the_caller() {
    let mut pair = Pair::new();
    assert_eq!(pair.node.write(b"too early"), Err(TlsError::NotWritable));
    pair.handshake(usize::MAX);
    pair.node.write(b"now").unwrap();
}
