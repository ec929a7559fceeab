//! How a path ends that does not end by itself.
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::thread;

use telerelay_engine::{Close, Endpoint, Reason};

use super::kit::{
    Carried, LATE, Pattern, carry, carry_changed, engine, read_exactly, reset, rest, shut, until,
    write,
};

#[test]
fn lingering_sends_what_is_held_and_hears_the_other_out() {
    let engine = engine(2);
    let held = Pattern(3).bytes(8 << 20);
    let mut path = carry_changed(&engine.worker(0), |_, client| {
        client.outgoing.clone_from(&held);
    });
    // Something of each leg lies there unread when it is closed, and more comes.
    write(&path.client, b"typed");
    assert_eq!(read_exactly(&path.agent, 5), b"typed");
    path.close(Close::Linger);
    until(&engine, "lingering", |counts| counts.lingering == 1);
    thread::scope(|scope| {
        let sender = scope.spawn(|| write(&path.client, &Pattern(4).bytes(2 << 20)));
        assert!(rest(&path.client) == held, "the client was told everything");
        sender.join().unwrap();
    });
    assert_eq!(rest(&path.agent), b"", "nothing is carried any more");
    shut(&path.client);
    shut(&path.agent);
    let outcome = path.outcome();
    assert_eq!(outcome.reason, Reason::Ordered);
    assert_eq!(outcome.to_agent.total(), 5);
    until(&engine, "through", |counts| {
        counts.lingering == 0 && counts.paths == 0
    });
}

#[test]
fn lingering_comes_to_an_end_with_those_who_do_not() {
    let engine = engine(2);
    let mut path = carry_changed(&engine.worker(0), |_, client| {
        client.outgoing = vec![0; 32 << 20];
    });
    write(&path.agent, b"x");
    path.close(Close::Linger);
    // Neither of them ends, and the client never reads.
    assert_eq!(path.outcome().reason, Reason::Ordered);
    assert_eq!(engine.counts().pipes_used, 0);
}

#[test]
fn a_reset_is_a_reset_on_both_legs() {
    let engine = engine(2);
    let mut path = carry(&engine.worker(0));
    write(&path.agent, b"x");
    assert_eq!(read_exactly(&path.client, 1), b"x");
    path.close(Close::Reset);
    assert_eq!(path.outcome().reason, Reason::Ordered);
    assert_is_reset(&path.agent);
    assert_is_reset(&path.client);
}

fn assert_is_reset(mut socket: &TcpStream) {
    assert_eq!(
        socket.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

/// Who resets, and who is left.
fn part(
    path: Carried,
    who: Endpoint,
) -> (
    TcpStream,
    std::sync::mpsc::Receiver<telerelay_engine::Outcome>,
) {
    let Carried {
        agent,
        client,
        outcome,
        ..
    } = path;
    let (gone, left) = match who {
        Endpoint::Agent => (agent, client),
        Endpoint::Client => (client, agent),
    };
    reset(gone);
    (left, outcome)
}

#[test]
fn what_a_leg_said_before_it_was_reset_still_arrives() {
    let engine = engine(2);
    for who in [Endpoint::Agent, Endpoint::Client] {
        for length in [0, 10, 30_000] {
            let path = carry(&engine.worker(0));
            let last = Pattern(5).bytes(length);
            write(
                if who == Endpoint::Agent {
                    &path.agent
                } else {
                    &path.client
                },
                &last,
            );
            let read =
                |counts: telerelay_engine::Counts| counts.bytes_to_client + counts.bytes_to_agent;
            let before = read(engine.counts());
            // It is in the engine's hands, or it was thrown away by the sender's own kernel.
            until(&engine, "read", |counts| {
                length == 0 || read(counts) > before || read(counts) >= length as u64
            });
            let (left, outcome) = part(path, who);
            assert!(last.starts_with(&rest(&left)) || rest(&left).is_empty());
            shut(&left);
            assert_eq!(
                outcome.recv_timeout(LATE).unwrap().reason,
                Reason::Reset(who)
            );
        }
    }
}

#[test]
fn a_reset_is_found_where_nobody_reads_or_sends() {
    let engine = engine(1);
    for who in [Endpoint::Agent, Endpoint::Client] {
        // The other leg takes nothing, so this one is not read; and nothing is there to be sent to it.
        let path = carry_changed(&engine.worker(0), |agent, client| {
            let other = if who == Endpoint::Agent {
                client
            } else {
                agent
            };
            other.outgoing = vec![1; 16 << 20];
        });
        until(&engine, "adopted", |counts| counts.paths == 1);
        let (left, outcome) = part(path, who);
        until(&engine, "found", |counts| counts.lingering == 1);
        let _all = rest(&left);
        shut(&left);
        assert_eq!(
            outcome.recv_timeout(LATE).unwrap().reason,
            Reason::Reset(who)
        );
    }
}

#[test]
fn bulk_that_is_reset_on_the_way_destroys_its_pipe() {
    let engine = engine(1);
    let mut destroyed = 0;
    // The reset has to come while bytes are in the pipe: nobody reads, so they stay in it.
    for _ in 0..20 {
        let path = carry(&engine.worker(0));
        path.agent.set_nonblocking(true).unwrap();
        stuff(&path.agent, &engine);
        drop(part(path, Endpoint::Client).0);
        until(&engine, "without a path", |counts| counts.paths == 0);
        destroyed = engine.counts().pipes_destroyed;
        if destroyed > 0 {
            break;
        }
    }
    let counts = engine.counts();
    assert!(destroyed > 0, "{counts:?}");
    assert_eq!((counts.pipes_used, counts.pipes_free), (0, 0), "{counts:?}");
    // Whoever comes next has a new one.
    let path = carry(&engine.worker(0));
    let bytes = Pattern(6).bytes(4 << 20);
    thread::scope(|scope| {
        scope.spawn(|| {
            write(&path.agent, &bytes);
            shut(&path.agent);
        });
        assert!(rest(&path.client) == bytes);
    });
}

/// Sends until a pipe is in use and stays so.
fn stuff(mut socket: &TcpStream, engine: &telerelay_engine::Engine) {
    use std::io::Write;
    let chunk = vec![7; 1 << 20];
    let mut still = 0;
    while still < 100 {
        let before = engine.counts().bytes_to_client;
        let _full = socket.write(&chunk);
        thread::park_timeout(std::time::Duration::from_micros(200));
        still = if engine.counts().bytes_to_client == before {
            still + 1
        } else {
            0
        };
    }
}

#[test]
fn an_engine_that_is_stopped_lets_its_paths_finish_speaking() {
    let engine = engine(2);
    let path = carry_changed(&engine.worker(0), |_, client| {
        client.outgoing = b"last".to_vec();
    });
    engine.stop(Close::Linger);
    assert_eq!(rest(&path.client), b"last");
    shut(&path.client);
    shut(&path.agent);
    engine.join().unwrap();
    assert_eq!(path.outcome().reason, Reason::Ordered);
}

#[test]
fn an_engine_that_is_dropped_resets_its_paths() {
    let engine = engine(2);
    let path = carry(&engine.worker(0));
    drop(engine);
    assert_eq!(path.outcome().reason, Reason::Ordered);
    assert_is_reset(&path.client);
}
