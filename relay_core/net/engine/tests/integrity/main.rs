//! No byte of one path in another: thousands of them with patterns of their own, more than there are pipes, many of them broken
//! on the way. Nothing is left behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#[path = "../kit/mod.rs"]
mod kit;

mod endpoint;
mod exchange;

use std::net::TcpListener;
use std::thread;

use telerelay_engine::{Close, Config, Endpoint as Whose, Engine, Reason};

use endpoint::Endpoint;
use exchange::{Exchange, Fault, run};
use kit::{LATE, Numbers, Pattern, carry_from, descriptors, until};

const THREADS: u64 = 4;

/// What happens to a path on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It ends by itself.
    Whole,
    Reset(Whose),
    Closed(Close),
}

#[test]
fn no_byte_of_one_path_is_in_another() {
    carry_many(20_000);
}

#[test]
#[ignore = "ten minutes: make integrity"]
fn no_byte_of_one_path_is_in_another_among_a_million() {
    carry_many(1_000_000);
}

/// Carries so many paths through two workers with two pipes each.
fn carry_many(paths: u64) {
    let engine = Engine::start(Config {
        workers: 2,
        pipes: 2,
    })
    .unwrap();
    let before = descriptors();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let engine = &engine;
            scope.spawn(move || carry_some(engine, thread, paths / THREADS));
        }
    });
    until(&engine, "empty", |counts| counts.paths == 0);
    let counts = engine.counts();
    assert_eq!((counts.lingering, counts.pipes_used), (0, 0), "{counts:?}");
    // Everything that may go wrong with a pipe has happened.
    assert!(counts.bytes_spliced > 0, "{counts:?}");
    assert!(counts.pipes_missed > 0, "{counts:?}");
    assert!(counts.pipes_destroyed > 0, "{counts:?}");
    let pipes = usize::try_from(counts.pipes_free).unwrap();
    assert_eq!(descriptors(), before + 2 * pipes, "{counts:?}");
    engine.stop(Close::Reset);
    engine.join().unwrap();
}

/// One thread's share.
fn carry_some(engine: &Engine, thread: u64, paths: u64) {
    // Several, because the ports of connections that have ended are not free for a minute.
    let listeners: Vec<TcpListener> = (1..=8)
        .map(|number| TcpListener::bind(format!("127.0.{}.{number}:0", 1 + thread)).unwrap())
        .collect();
    let mut numbers = Numbers(thread);
    let begin = (0..paths).map(|number| {
        let listener = &listeners[numbers.below(listeners.len())];
        begin(engine, listener, thread << 32 | number, &mut numbers)
    });
    run(begin, &mut Numbers(!thread));
}

fn begin(engine: &Engine, listener: &TcpListener, seed: u64, numbers: &mut Numbers) -> Exchange {
    let fate = match numbers.below(10) {
        0 => Fate::Reset(Whose::Agent),
        1 => Fate::Reset(Whose::Client),
        2 => Fate::Closed(Close::Linger),
        3 => Fate::Closed(Close::Reset),
        _ => Fate::Whole,
    };
    let carried = carry_from(&engine.worker(numbers.below(2)), listener, |_, _| {});
    let (down, up) = (Pattern(2 * seed), Pattern(2 * seed + 1));
    let lengths = [1 << 20, 256 << 10].map(|most| numbers.length(most) as u64);
    let slow = [numbers.below(4) == 0, numbers.below(4) == 0];
    let (key, outcome) = (carried.key, carried.outcome);
    Exchange {
        agent: Endpoint::new(carried.agent, down, lengths[0], up, slow[0]),
        client: Endpoint::new(carried.client, up, lengths[1], down, slow[1]),
        fault: Some(Fault {
            at: numbers.next() % lengths[0],
            happen: Box::new(move |agent, client| match fate {
                Fate::Whole => {}
                Fate::Reset(Whose::Agent) => agent.reset(),
                Fate::Reset(Whose::Client) => client.reset(),
                Fate::Closed(how) => key.unwrap().close(how),
            }),
        }),
        through: Box::new(move |arrived| {
            let outcome = outcome.recv_timeout(LATE).expect("an outcome");
            match fate {
                Fate::Whole => {
                    assert_eq!(outcome.reason, Reason::Done);
                    assert_eq!(arrived, lengths);
                    let moved = [outcome.to_client.total(), outcome.to_agent.total()];
                    assert_eq!(moved, lengths);
                }
                // Or it was through before.
                Fate::Reset(who) => assert!(
                    [Reason::Reset(who), Reason::Done].contains(&outcome.reason),
                    "{outcome:?}"
                ),
                Fate::Closed(_) => assert!(
                    [Reason::Ordered, Reason::Done].contains(&outcome.reason),
                    "{outcome:?}"
                ),
            }
        }),
    }
}
