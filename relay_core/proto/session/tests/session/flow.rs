//! The two streams: windows, acknowledgements, records, half-close (PROTOCOL.md §8.2).
use std::time::Duration;

use telerelay_session::{Event, RECORD};
use telerelay_wire::inner::{Ack, DATA_MAXIMUM, Data, Fin, Frame, Ping};
use telerelay_wire::{Code, limits};

use crate::alone::*;
use crate::pair::{Pair, pattern};

const LONG: Duration = Duration::from_hours(1);

#[test]
fn a_full_record_is_one_data_frame_and_one_path_frame() {
    let mut agent = open_agent(600);
    assert_eq!(agent.local_bytes(&vec![7; 100_000]), 65_536);
    let record = agent.poll_transmit(FIRST, START).unwrap();
    assert_eq!(record.len(), RECORD);
    // Header, offset and bytes; the bytes lie in the replay buffer.
    assert_eq!(
        record.parts().map(<[u8]>::len),
        [12, usize::from(DATA_MAXIMUM), 0]
    );
    let lengths: Vec<_> =
        std::iter::from_fn(|| agent.poll_transmit(FIRST, START).map(|record| record.len()))
            .collect();
    assert_eq!(lengths, [RECORD, RECORD, RECORD, 65_536 - 4 * 16_346 + 12]);
}

#[test]
fn a_record_that_crosses_a_page_lends_two_pieces() {
    let mut client = open_client(600);
    let bytes: Vec<u8> = (0..100_000).map(|at| pattern(3, at)).collect();
    client.local_bytes(&bytes);
    let mut crossed = 0;
    let mut sent = Vec::new();
    while let Some(record) = client.poll_transmit(FIRST, START) {
        crossed += usize::from(!record.parts()[2].is_empty());
        let whole = record.parts().concat();
        let [Frame::Data(Data { offset, bytes })] = frames(&whole)[..] else {
            panic!()
        };
        assert_eq!(offset, sent.len() as u64);
        sent.extend_from_slice(bytes);
    }
    assert_eq!((crossed, sent == bytes), (1, true));
}

#[test]
fn the_agent_reads_the_desktop_while_less_than_64_kib_are_unsent() {
    let mut agent = open_agent(600);
    assert_eq!(agent.room_for_local(), 65_536);
    agent.local_bytes(&vec![0; 65_535]);
    assert_eq!(agent.room_for_local(), 1);
    agent.local_bytes(&[0; 1]);
    assert_eq!(agent.room_for_local(), 0);
    agent.poll_transmit(FIRST, START);
    assert_eq!(agent.room_for_local(), 16_346);
    // What is sent and not acknowledged is bounded by the window alone.
    let mut read = 65_536;
    loop {
        said(&mut agent, FIRST, START);
        match agent.local_bytes(&vec![0; 65_536]) {
            0 => break,
            taken => read += taken as u64,
        }
    }
    assert_eq!(read, 4_194_304);
    tell(&mut agent, FIRST, Ack { offset: 1_000 }, START);
    assert_eq!(agent.room_for_local(), 1_000);
}

#[test]
fn the_client_reads_the_viewer_for_one_window() {
    let mut client = open_client(600);
    assert_eq!(client.local_bytes(&vec![0; 300_000]), 262_144);
    said(&mut client, FIRST, START);
    assert_eq!(client.room_for_local(), 0);
    tell(&mut client, FIRST, Ack { offset: 262_144 }, START);
    assert_eq!(client.room_for_local(), 262_144);
}

#[test]
fn ack_says_what_was_written_20_ms_after_it_was() {
    let mut client = open_client(600);
    tell(&mut client, FIRST, data(0, &[1; 100]), START);
    assert_eq!(
        (waiting(&client).len(), names(&mut client, FIRST, START)),
        (100, vec![])
    );
    client.written(40, START);
    client.written(10, START + Duration::from_millis(15));
    assert_eq!(names(&mut client, FIRST, START), [""; 0]);
    let due = client.next_timeout().unwrap();
    assert_eq!(
        due,
        START + limits::ACK,
        "from the first write that nobody told"
    );
    client.timeout(due);
    let bytes = said(&mut client, FIRST, due);
    assert_eq!(frames(&bytes), [Frame::Ack(Ack { offset: 50 })]);
    assert_eq!(client.offsets().written_told, 50);
    client.timeout(due + limits::ACK);
    assert_eq!(names(&mut client, FIRST, due + limits::ACK), [""; 0]);
}

#[test]
fn ack_comes_at_once_after_64_kib() {
    let mut client = open_client(600);
    for offset in (0..80_000).step_by(16_000) {
        tell(&mut client, FIRST, data(offset, &[1; 16_000]), START);
    }
    client.written(65_535, START);
    assert_eq!(names(&mut client, FIRST, START), [""; 0]);
    client.written(1, START);
    let bytes = said(&mut client, FIRST, START);
    assert_eq!(frames(&bytes), [Frame::Ack(Ack { offset: 65_536 })]);
}

#[test]
fn ack_rides_along_with_data_that_leaves_room() {
    let mut client = open_client(600);
    tell(&mut client, FIRST, data(0, &[1; 100]), START);
    client.written(100, START);
    client.local_bytes(b"key");
    assert_eq!(names(&mut client, FIRST, START), ["ACK", "DATA"]);
    assert_eq!(
        client.next_timeout(),
        Some(START + limits::PING_BUSY),
        "no ACK is left to send"
    );
    // A full record is not made smaller for it.
    tell(&mut client, FIRST, data(100, &[1; 100]), START);
    client.written(100, START);
    client.local_bytes(&vec![0; 16_346]);
    assert_eq!(names(&mut client, FIRST, START), ["DATA"]);
    client.timeout(START + limits::ACK);
    assert_eq!(names(&mut client, FIRST, START), ["ACK"]);
}

#[test]
fn echo_of_more_than_all_buffers_never_stalls() {
    let mut pair = Pair::open(600);
    let total = 64 << 20;
    pair.desktop.writes = None;
    pair.viewer.expects = pair.viewer.seed;
    pair.viewer.writes = Some(total);
    pair.run_until(LONG, |pair| pair.viewer.read == total);
    assert_eq!(pair.desktop.read, total);
}

#[test]
fn bytes_flow_both_ways_at_once_and_the_session_ends_with_done() {
    for piece in [0, 1, 1_000] {
        let mut pair = Pair::open(600);
        pair.wires.get_mut(&FIRST).unwrap().piece = piece;
        let scale = if piece == 1 { 16 } else { 1 };
        (pair.desktop.writes, pair.desktop.ends) = (Some((20 << 20) / scale), true);
        (pair.viewer.writes, pair.viewer.ends) = (Some((3 << 20) / scale), true);
        pair.run_until(LONG, |pair| pair.both_ended().is_some());
        assert_eq!(pair.both_ended(), Some(Code::Done));
        assert!(pair.is_delivered() && pair.desktop.shut && pair.viewer.shut);
    }
}

#[test]
fn one_stream_ends_while_the_other_goes_on() {
    for desktop_first in [true, false] {
        let mut pair = Pair::open(600);
        let [first, second] = if desktop_first {
            [10_000, 5_000_000]
        } else {
            [5_000_000, 10_000]
        };
        pair.desktop.writes = Some(first);
        pair.viewer.writes = Some(second);
        (if desktop_first {
            &mut pair.desktop
        } else {
            &mut pair.viewer
        })
        .ends = true;
        pair.run_until(LONG, |pair| pair.desktop.shut || pair.viewer.shut);
        assert_eq!(
            (pair.viewer.shut, pair.desktop.shut),
            (desktop_first, !desktop_first)
        );
        pair.run_until(LONG, Pair::is_delivered);
        assert_eq!(pair.both_ended(), None);
        pair.desktop.ends = true;
        pair.viewer.ends = true;
        pair.run_until(LONG, |pair| pair.both_ended().is_some());
        assert_eq!(pair.both_ended(), Some(Code::Done));
    }
}

#[test]
fn an_empty_session_can_end_with_done() {
    let mut pair = Pair::open(600);
    pair.desktop.ends = true;
    pair.viewer.ends = true;
    pair.run_until(Duration::from_secs(1), |pair| pair.both_ended().is_some());
    assert_eq!(pair.both_ended(), Some(Code::Done));
}

#[test]
fn the_local_socket_is_shut_down_when_the_last_byte_is_written_and_not_before() {
    let mut client = open_client(600);
    tell(&mut client, FIRST, data(0, b"last"), START);
    tell(&mut client, FIRST, Fin { offset: 4 }, START);
    assert_eq!(events(&mut client), []);
    client.written(3, START);
    assert_eq!(events(&mut client), []);
    client.written(1, START);
    assert_eq!(events(&mut client), [Event::LocalShutdown]);
    // Nothing more can come, so ACK does not wait for more to say.
    assert_eq!(names(&mut client, FIRST, START), ["ACK"]);
    client.local_eof();
    assert_eq!(names(&mut client, FIRST, START), ["FIN", "CLOSE"]);
}

#[test]
fn a_flood_of_ping_is_answered_once() {
    let mut client = open_client(600);
    for token in 0..10_000 {
        tell(&mut client, FIRST, Ping { token }, START);
    }
    let bytes = said(&mut client, FIRST, START);
    assert_eq!(
        frames(&bytes),
        [Frame::Pong(telerelay_wire::inner::Pong { token: 9_999 })]
    );
}

#[test]
fn byte_by_byte_equals_whole() {
    let mut stream = Vec::new();
    for offset in (0..60_000).step_by(10_000) {
        stream.extend(encoded(data(
            offset,
            &vec![u8::try_from(offset / 10_000).unwrap(); 10_000],
        )));
        stream.extend(encoded(Ping { token: offset }));
        stream.extend([0, 3, 0xee, 0, 1, 2, 3]);
    }
    stream.extend(encoded(Fin { offset: 60_000 }));
    let observe = |piece: usize| {
        let mut client = open_client(600);
        stream
            .chunks(piece)
            .for_each(|bytes| client.received(FIRST, bytes, START));
        let before = (waiting(&client), client.offsets(), client.next_timeout());
        client.written(60_000, START);
        (before, events(&mut client), said(&mut client, FIRST, START))
    };
    let whole = observe(stream.len());
    for piece in [1, 2, 3, 5, 4_096] {
        assert_eq!(observe(piece), whole, "in pieces of {piece}");
    }
}
