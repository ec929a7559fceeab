//! Bytes: all of them, in order, both ways at once, copied or spliced, and no more of them held than is said.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use socket2::SockRef;
use telerelay_engine::{Engine, Reason};
use telerelay_wire::limits;

use super::kit::{
    Carried, Numbers, Pattern, carry, carry_changed, carry_for, engine, read_exactly, rest, shut,
    until, write,
};

/// Enough for both ways of moving, in every mixture.
const MUCH: usize = 12 << 20;

/// Sends a pattern in random pieces, then FIN.
fn speak(socket: &TcpStream, pattern: Pattern, length: usize) {
    let mut numbers = Numbers(pattern.0);
    let bytes = pattern.bytes(length);
    let mut left = &bytes[..];
    while !left.is_empty() {
        let (now, later) = left.split_at(numbers.length(1 << 20).min(left.len()));
        write(socket, now);
        left = later;
    }
    shut(socket);
}

/// Reads a pattern in random pieces, to the end.
fn listen(mut socket: &TcpStream, pattern: Pattern, length: usize) {
    let mut numbers = Numbers(!pattern.0);
    let mut got = vec![0; length + 1];
    let mut at = 0;
    loop {
        let most = numbers.length(1 << 20).min(got.len() - at);
        match socket.read(&mut got[at..at + most]).unwrap() {
            0 => break,
            read => at += read,
        }
    }
    assert_eq!(at, length);
    assert!(
        got[..at] == pattern.bytes(length),
        "other bytes than were sent"
    );
}

fn both_ways(pipes: usize) -> (telerelay_engine::Outcome, telerelay_engine::Counts) {
    let engine = engine(pipes);
    let path = carry(&engine.worker(0));
    let (down, up) = (Pattern(1), Pattern(2));
    thread::scope(|scope| {
        scope.spawn(|| speak(&path.agent, down, MUCH));
        scope.spawn(|| speak(&path.client, up, MUCH / 2));
        scope.spawn(|| listen(&path.client, down, MUCH));
        listen(&path.agent, up, MUCH / 2);
    });
    let outcome = path.outcome();
    assert_eq!(outcome.reason, Reason::Done);
    assert_eq!(outcome.to_client.total(), MUCH as u64);
    assert_eq!(outcome.to_agent.total(), (MUCH / 2) as u64);
    until(&engine, "without a path", |counts| counts.paths == 0);
    let counts = engine.counts();
    assert_eq!(counts.bytes_to_client, MUCH as u64);
    assert_eq!(counts.bytes_to_agent, (MUCH / 2) as u64);
    assert_eq!(
        counts.bytes_copied,
        outcome.to_client.copied + outcome.to_agent.copied
    );
    assert_eq!(
        counts.bytes_spliced,
        outcome.to_client.spliced + outcome.to_agent.spliced
    );
    assert_eq!((counts.pipes_used, counts.pipes_destroyed), (0, 0));
    (outcome, counts)
}

#[test]
fn what_is_bulk_is_spliced_and_the_rest_is_copied() {
    let (outcome, counts) = both_ways(2);
    assert!(outcome.to_client.spliced > 0, "{outcome:?}");
    assert!(outcome.to_client.copied > 0, "{outcome:?}");
    assert!((1..=2).contains(&counts.pipes_free), "{counts:?}");
}

#[test]
fn without_a_pipe_everything_is_copied() {
    let (outcome, counts) = both_ways(0);
    assert_eq!(outcome.to_client.spliced + outcome.to_agent.spliced, 0);
    assert!(counts.pipes_missed > 0, "{counts:?}");
}

#[test]
fn messages_are_copied_each_by_itself() {
    let engine = engine(2);
    let path = carry(&engine.worker(0));
    let mut numbers = Numbers(7);
    for number in 0..200 {
        let message = Pattern(number).bytes(numbers.length(limits::ENGINE_BULK - 1));
        write(&path.agent, &message);
        assert_eq!(read_exactly(&path.client, message.len()), message);
        write(&path.client, &message);
        assert_eq!(read_exactly(&path.agent, message.len()), message);
    }
    let counts = engine.counts();
    assert_eq!((counts.bytes_spliced, counts.splices), (0, 0));
    assert_eq!((counts.copies, counts.held), (400, 0));
}

#[test]
fn how_long_messages_waited_is_counted_and_those_of_tests_apart() {
    let engine = engine(2);
    let waited = |test| engine.waits(test).counts.iter().sum::<u64>();
    for test in [false, true] {
        let before = waited(!test);
        let path = carry_for(&engine.worker(0), test);
        for number in 1..=100 {
            write(&path.agent, b"typed");
            assert_eq!(read_exactly(&path.client, 5), b"typed");
            // The worker counts once it is through with all that came.
            until(&engine, "counted", |_| waited(test) == number);
        }
        assert!(engine.waits(test).sum_us > 0, "a copy takes microseconds");
        assert_eq!(waited(!test), before);
    }
}

#[test]
fn what_is_left_over_is_sent_first_and_is_not_counted() {
    let engine = engine(2);
    let (first, second) = (Pattern(1).bytes(3 << 20), Pattern(2).bytes(77));
    let path = carry_changed(&engine.worker(0), |agent, client| {
        client.outgoing.clone_from(&first);
        agent.outgoing.clone_from(&second);
    });
    write(&path.client, b"up");
    assert_eq!(rest_after(&path.agent, &second, 2), b"up");
    thread::scope(|scope| {
        scope.spawn(|| write(&path.agent, b"down"));
        assert_eq!(rest_after(&path.client, &first, 4), b"down");
    });
    shut(&path.agent);
    shut(&path.client);
    let outcome = path.outcome();
    assert_eq!(outcome.reason, Reason::Done);
    assert_eq!(
        (outcome.to_client.total(), outcome.to_agent.total()),
        (4, 2)
    );
}

/// What comes behind `first`.
fn rest_after(socket: &TcpStream, first: &[u8], length: usize) -> Vec<u8> {
    assert!(read_exactly(socket, first.len()) == first);
    read_exactly(socket, length)
}

#[test]
fn a_reader_that_does_not_read_costs_one_pipe_at_most() {
    for pipes in [0, 1] {
        let engine = engine(pipes);
        let path = carry_changed(&engine.worker(0), |_, client| {
            SockRef::from(&client.socket)
                .set_send_buffer_size(64 << 10)
                .unwrap();
        });
        SockRef::from(&path.client)
            .set_recv_buffer_size(64 << 10)
            .unwrap();
        // Sends until nobody takes any more.
        let bytes = Pattern(9).bytes(64 << 20);
        let sent = thread::scope(|scope| {
            let sender = scope.spawn(|| {
                path.agent.set_nonblocking(true).unwrap();
                fill(&path.agent, &engine, &bytes)
            });
            sender.join().unwrap()
        });
        let read = usize::try_from(engine.counts().bytes_to_client).unwrap();
        assert!(read < sent, "the rest waits with the sender");
        let waiting = unsent(&path.client);
        // What the kernel has for the client: its own receive queue, and what the small send buffer lets through.
        let held = read.saturating_sub(waiting);
        assert!(
            held <= limits::ENGINE_PIPE + (256 << 10),
            "{held} of {read} bytes are held"
        );
        // It reads after all: nothing is lost.
        path.agent.set_nonblocking(false).unwrap();
        shut(&path.agent);
        let got = rest(&path.client);
        assert!(got == bytes[..sent], "{} of {sent} bytes", got.len());
        shut(&path.client);
        assert_eq!(path.outcome().reason, Reason::Done);
    }
}

/// They hold every pipe for as long as they like, each with bytes of its own; the others pay for it in processor time alone.
#[test]
fn while_readers_that_stand_still_hold_all_pipes_the_others_are_copied_and_lose_nothing() {
    let engine = engine(2);
    let stalled = [Stalled::begin(&engine, 1), Stalled::begin(&engine, 2)];
    let (before, pattern) = (engine.counts(), Pattern(5));
    let path = carry(&engine.worker(0));
    thread::scope(|scope| {
        scope.spawn(|| speak(&path.agent, pattern, MUCH));
        listen(&path.client, pattern, MUCH);
    });
    shut(&path.client);
    let moved = path.outcome().to_client;
    assert_eq!((moved.copied, moved.spliced), (MUCH as u64, 0));
    let after = engine.counts();
    assert!(after.pipes_missed > before.pipes_missed, "{after:?}");
    assert_eq!(after.pipes_used, 2, "they still stand");
    for path in stalled {
        path.goes_on();
    }
    assert_eq!(engine.counts().pipes_used, 0);
}

/// A path whose client has stopped reading while a pipe was full of what is for it.
struct Stalled {
    path: Carried,
    bytes: Vec<u8>,
    sent: usize,
    read: usize,
}

impl Stalled {
    /// The `number`th one that holds a pipe.
    fn begin(engine: &Engine, number: u64) -> Self {
        let path = carry_changed(&engine.worker(0), |_, client| {
            SockRef::from(&client.socket)
                .set_send_buffer_size(64 << 10)
                .unwrap();
        });
        SockRef::from(&path.client)
            .set_recv_buffer_size(64 << 10)
            .unwrap();
        path.agent.set_nonblocking(true).unwrap();
        let mut stalled = Self {
            path,
            bytes: Pattern(number).bytes(24 << 20),
            sent: 0,
            read: 0,
        };
        stalled.sent = fill(&stalled.path.agent, engine, &stalled.bytes);
        // Where it is what was copied that waits, it goes on for a moment.
        while engine.counts().pipes_used < number {
            stalled.reads(512 << 10);
            stalled.sent += fill(&stalled.path.agent, engine, &stalled.bytes[stalled.sent..]);
        }
        stalled
    }

    fn reads(&mut self, length: usize) {
        let got = read_exactly(&self.path.client, length);
        assert!(got == self.bytes[self.read..self.read + length]);
        self.read += length;
    }

    fn goes_on(self) {
        let Self { path, bytes, .. } = self;
        path.agent.set_nonblocking(false).unwrap();
        shut(&path.agent);
        assert!(rest(&path.client) == bytes[self.read..self.sent]);
        shut(&path.client);
        assert_eq!(path.outcome().reason, Reason::Done);
    }
}

/// Bytes that lie in the socket, unread.
fn unsent(socket: &TcpStream) -> usize {
    let mut probe = vec![0; 4 << 20];
    socket.peek(&mut probe).unwrap()
}

/// Sends until the engine reads no more; how many of the bytes.
fn fill(mut socket: &TcpStream, engine: &Engine, bytes: &[u8]) -> usize {
    let mut sent = 0;
    let mut refused = 0;
    let mut before = u64::MAX;
    // Where neither the kernel takes nor the engine reads, many times over, both are full.
    while refused < 200 {
        match socket.write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(_) if engine.counts().bytes_to_client == before => {
                refused += 1;
                thread::yield_now();
                thread::park_timeout(std::time::Duration::from_millis(1));
            }
            Err(_) => {
                refused = 0;
                before = engine.counts().bytes_to_client;
            }
        }
    }
    sent
}
