//! Real legs over loopback, and bytes that say whose they are.
#![allow(dead_code, reason = "each test program uses its part")]
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, channel};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use socket2::SockRef;
use telerelay_engine::{Close, Counts, Engine, Handle, Leg, Outcome, Path, PathKey};
use telerelay_wire::limits;

/// Longer than anything here takes; what comes later does not come.
pub(crate) const LATE: Duration = Duration::from_secs(20);

/// A path in an engine, with both endpoints at hand.
pub(crate) struct Carried {
    pub(crate) agent: TcpStream,
    pub(crate) client: TcpStream,
    pub(crate) key: Option<PathKey>,
    pub(crate) outcome: Receiver<Outcome>,
}

/// An engine with one worker and so many pipes.
pub(crate) fn engine(pipes: usize) -> Engine {
    Engine::start(telerelay_engine::Config { workers: 1, pipes }).unwrap()
}

/// An endpoint's socket and the leg that is the node's.
pub(crate) fn leg(listener: &TcpListener) -> (TcpStream, Leg) {
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (here, _) = listener.accept().unwrap();
    there.set_nodelay(true).unwrap();
    there.set_read_timeout(Some(LATE)).unwrap();
    there.set_write_timeout(Some(LATE)).unwrap();
    // As leg::socket sets them.
    let socket = SockRef::from(&here);
    socket.set_tcp_nodelay(true).unwrap();
    socket.set_tcp_notsent_lowat(limits::TCP_UNSENT).unwrap();
    (there, Leg::new(OwnedFd::from(here)))
}

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A path whose legs are as `change` makes them.
pub(crate) fn carry_changed(handle: &Handle, change: impl FnOnce(&mut Leg, &mut Leg)) -> Carried {
    let listener = listener();
    carry_from(handle, &listener, change)
}

/// The same, with the connections of this listener.
pub(crate) fn carry_from(
    handle: &Handle,
    listener: &TcpListener,
    change: impl FnOnce(&mut Leg, &mut Leg),
) -> Carried {
    carry_path(handle, listener, |path| {
        change(&mut path.agent, &mut path.client);
    })
}

/// A path that is a test's, or not.
pub(crate) fn carry_for(handle: &Handle, test: bool) -> Carried {
    carry_path(handle, &listener(), |path| path.test = test)
}

fn carry_path(handle: &Handle, listener: &TcpListener, change: impl FnOnce(&mut Path)) -> Carried {
    let (agent, agent_leg) = leg(listener);
    let (client, client_leg) = leg(listener);
    let (tell, outcome) = channel();
    let mut path = Path {
        agent: agent_leg,
        client: client_leg,
        test: false,
        done: Box::new(move |outcome| {
            // A test that does not ask has let go of its end.
            let _unasked = tell.send(outcome);
        }),
    };
    change(&mut path);
    Carried {
        agent,
        client,
        key: Some(handle.adopt(path).unwrap()),
        outcome,
    }
}

/// An ordinary path.
pub(crate) fn carry(handle: &Handle) -> Carried {
    carry_changed(handle, |_, _| {})
}

impl Carried {
    pub(crate) fn close(&mut self, how: Close) {
        self.key.take().unwrap().close(how);
    }

    /// What became of it.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome.recv_timeout(LATE).expect("an outcome")
    }
}

/// Waits for numbers of the engine.
pub(crate) fn until(engine: &Engine, what: &str, mut holds: impl FnMut(Counts) -> bool) {
    let began = Instant::now();
    while !holds(engine.counts()) {
        assert!(
            began.elapsed() < LATE,
            "never {what}: {:?}",
            engine.counts()
        );
        yield_now();
    }
}

/// Makes closing the socket a reset.
pub(crate) fn reset(socket: TcpStream) {
    SockRef::from(&socket)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(socket);
}

/// Reads to the end.
pub(crate) fn rest(mut socket: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn read_exactly(mut socket: &TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

pub(crate) fn write(mut socket: &TcpStream, bytes: &[u8]) {
    socket.write_all(bytes).unwrap();
}

pub(crate) fn shut(socket: &TcpStream) {
    socket.shutdown(Shutdown::Write).unwrap();
}

/// Open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Numbers that look random and are the same in every run (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// One of 0..`below`.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next() % below as u64).unwrap()
    }

    /// Small and large ones alike: as often below 100 as between 10,000 and 100,000.
    pub(crate) fn length(&mut self, most: usize) -> usize {
        let bits = 1 + self.below(usize::BITS as usize - most.leading_zeros() as usize);
        self.below(1 << bits).clamp(1, most)
    }
}

fn mixed(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// The bytes of one direction of one path, each of which depends on whose it is and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern(pub(crate) u64);

impl Pattern {
    /// Fills `bytes` with what stands at `offset`.
    pub(crate) fn fill(self, offset: u64, bytes: &mut [u8]) {
        let mut word = (u64::MAX, [0; 8]);
        for (at, byte) in (offset..).zip(bytes) {
            if word.0 != at / 8 {
                word = (
                    at / 8,
                    mixed(self.0.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ (at / 8)).to_le_bytes(),
                );
            }
            *byte = word.1[usize::try_from(at % 8).unwrap()];
        }
    }

    pub(crate) fn bytes(self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(0, &mut bytes);
        bytes
    }
}
