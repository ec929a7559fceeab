//! Directions end one by one.
use telerelay_engine::{Endpoint, Engine, Reason};

use super::kit::{Carried, Pattern, carry, carry_changed, engine, read_exactly, rest, shut, write};

/// The two endpoints, the one that ends first before the other.
fn in_order(path: &Carried, first: Endpoint) -> [&std::net::TcpStream; 2] {
    match first {
        Endpoint::Agent => [&path.agent, &path.client],
        Endpoint::Client => [&path.client, &path.agent],
    }
}

#[test]
fn the_end_of_one_direction_leaves_the_other_open() {
    let engine = engine(2);
    for first in [Endpoint::Agent, Endpoint::Client] {
        // Also where the end stands right behind the only bytes.
        for length in [0, 1, 70_000, 3 << 20] {
            let path = carry(&engine.worker(0));
            let [one, other] = in_order(&path, first);
            let bytes = Pattern(length as u64).bytes(length);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    write(one, &bytes);
                    shut(one);
                });
                assert!(rest(other) == bytes);
            });
            for _ in 0..3 {
                write(other, b"still here");
                assert_eq!(read_exactly(one, 10), b"still here");
            }
            shut(other);
            assert_eq!(rest(one), b"");
            assert_eq!(path.outcome().reason, Reason::Done);
        }
    }
}

#[test]
fn a_leg_is_adopted_with_a_direction_that_has_ended() {
    let engine = engine(2);
    // FIN of the agent was read, and what it said last is still to be sent.
    let path = carry_changed(&engine.worker(0), |agent, client| {
        agent.read_ended = true;
        client.outgoing = b"last".to_vec();
    });
    assert_eq!(rest(&path.client), b"last");
    finish_upward(&engine, &path);

    // It was passed on as well.
    let path = carry_changed(&engine.worker(0), |agent, client| {
        agent.read_ended = true;
        client.write_ended = true;
    });
    finish_upward(&engine, &path);
}

/// The direction to the agent is still open, and ends.
fn finish_upward(engine: &Engine, path: &Carried) {
    write(&path.client, b"up");
    assert_eq!(read_exactly(&path.agent, 2), b"up");
    assert_eq!(engine.counts().paths, 1);
    shut(&path.client);
    assert_eq!(rest(&path.agent), b"");
    assert_eq!(path.outcome().reason, Reason::Done);
}

#[test]
fn a_path_both_directions_of_which_have_ended_is_over_at_once() {
    let engine = engine(2);
    let path = carry_changed(&engine.worker(0), |agent, client| {
        for leg in [agent, client] {
            leg.read_ended = true;
            leg.outgoing = b"last".to_vec();
        }
    });
    assert_eq!(rest(&path.client), b"last");
    assert_eq!(rest(&path.agent), b"last");
    assert_eq!(path.outcome().reason, Reason::Done);
}

#[test]
fn what_came_before_adoption_is_not_lost() {
    let engine = engine(2);
    for _ in 0..50 {
        let path = carry_changed(&engine.worker(0), |_, _| {});
        write(&path.agent, b"early");
        shut(&path.agent);
        shut(&path.client);
        assert_eq!(rest(&path.client), b"early");
        assert_eq!(path.outcome().reason, Reason::Done);
    }
}
