//! Legs that give memory back: who goes, who stays whatever happens, and what they read (PROTOCOL.md §1.3, step 5).
use telerelay_outer::LegKey;
use telerelay_outer::node::{Cause, Census, Decision, Holder, Identity, Side};
use telerelay_wire::Code;
use telerelay_wire::ids::Role;

use crate::bench::{
    Bench, accept, agent_of, client_of, connect, device, hello, refuse, secs, session_end,
};

fn shed_idle(bench: &mut Bench, most: usize) -> Vec<String> {
    bench.node.shed_idle(most, bench.now);
    bench.out()
}

fn shed_ready(bench: &mut Bench, most: usize) -> Vec<String> {
    bench.node.shed_ready(most, bench.now);
    bench.out()
}

/// Everybody who may go, goes.
fn shed_all(bench: &mut Bench) -> Vec<String> {
    let mut out = shed_idle(bench, usize::MAX);
    out.extend(shed_ready(bench, usize::MAX));
    out
}

/// A client that has said HELLO.
fn greeted(bench: &mut Bench, number: u8) -> LegKey {
    let leg = bench.leg(client_of(1, number), Side::Both);
    bench.frame(leg, hello(Role::Client, number, 1));
    leg
}

#[test]
fn the_newest_ready_connections_go_first_and_hear_when_to_come_back() {
    let mut bench = Bench::new();
    for number in 1..=4 {
        bench.agent(number);
    }
    bench.out();
    assert_eq!(
        shed_ready(&mut bench, 2),
        [
            "4< ERROR BUSY 15",
            "4 close",
            "gone 4",
            "3< ERROR BUSY 15",
            "3 close",
            "gone 3"
        ]
    );
    let census = bench.node.census();
    assert_eq!((census.legs, census.ready), (2, 2));
    assert_eq!(bench.node.shed_ready(9, bench.now), 2);
    bench.assert_empties();
}

#[test]
fn newest_is_who_came_last_whichever_device_that_is() {
    let mut bench = Bench::new();
    for number in [9, 2, 7] {
        bench.agent(number);
    }
    // The first comes again, so it is the newest now.
    bench.agent_hello(9, 9, 2);
    bench.out();
    let gone: Vec<_> = (0..3)
        .map(|_| shed_ready(&mut bench, 1)[2].clone())
        .collect();
    assert_eq!(gone, ["gone 9", "gone 7", "gone 2"]);
}

#[test]
fn legs_that_have_asked_for_nothing_yet_go_and_requests_stay() {
    let mut bench = Bench::new();
    let before_hello = bench.leg(client_of(1, 50), Side::Both);
    let other = Identity {
        holder: Holder::Other,
        ..client_of(1, 51)
    };
    let foreign = bench.leg(other, Side::Both);
    let before_connect = greeted(&mut bench, 52);
    let asking = bench.client(1);
    bench.out();
    let expected = [before_connect, foreign, before_hello]
        .into_iter()
        .flat_map(|leg| {
            [
                format!("{}< ERROR BUSY 15", leg.0),
                format!("{} close", leg.0),
            ]
        });
    assert_eq!(shed_all(&mut bench), expected.collect::<Vec<_>>());
    assert_eq!(
        bench.decide(0, Decision::Later(3)),
        [
            format!("{}< ERROR TRY_LATER 3", asking.0),
            format!("{} close", asking.0),
            "end 0 TRY_LATER route".into()
        ]
    );
    bench.assert_empties();
}

#[test]
fn an_agent_that_has_just_dialled_stays_until_it_is_ready() {
    let mut bench = Bench::new();
    let leg = bench.leg(agent_of(1, 7), Side::Both);
    assert!(shed_all(&mut bench).is_empty());
    assert_eq!(
        bench.frame(leg, hello(Role::Agent, 1, 1)),
        ["1< WELCOME", "ready 7"]
    );
}

/// Nothing of an attempt goes, at any stage of it: neither its legs nor the ready connection that tells its end.
#[test]
fn what_an_attempt_needs_stays_from_its_first_question_to_its_record() {
    let mut bench = Bench::new();
    let (agent, client) = (bench.agent(7), bench.client(1));
    bench.out();
    let stays = |bench: &mut Bench, what: &str| {
        let census = bench.node.census();
        let stranger = bench.agent(9);
        bench.out();
        // It is not that nobody may go.
        assert_eq!(
            shed_all(bench),
            [
                format!("{}< ERROR BUSY 15", stranger.0),
                format!("{} close", stranger.0),
                "gone 9".into()
            ],
            "{what}"
        );
        let of_attempt =
            |census: Census| (census.legs, census.ready, census.attempts, census.paths);
        assert_eq!(
            of_attempt(bench.node.census()),
            of_attempt(census),
            "{what}"
        );
    };
    bench.decide(0, Decision::Here(device(7)));
    stays(&mut bench, "claimed");
    let path = bench.path(0);
    bench.frame(agent, accept(path));
    stays(&mut bench, "accepted");
    let ready = bench.agent_hello(7, 7, 2);
    bench.out();
    stays(&mut bench, "accepted, with the next ready connection");
    assert_eq!(
        bench.recorded(0),
        [
            format!("{}< PAIRED", client.0),
            format!("{}< PAIRED", agent.0),
            format!("join {} {}", agent.0, client.0)
        ]
    );
    stays(&mut bench, "a path");
    bench.path_ended(path, Cause::Leg);
    stays(&mut bench, "ended, its report awaited");
    assert_eq!(
        bench.frame(ready, session_end(path, Code::Done)),
        ["end 0 DONE session"]
    );
    // From here on it is as any other.
    assert_eq!(bench.node.shed_ready(9, bench.now), 1);
    bench.out();
    bench.assert_empties();
}

#[test]
fn a_leg_that_came_back_from_an_attempt_may_go_again() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    assert!(shed_all(&mut bench).is_empty());
    bench.frame(agent, refuse(path, Code::Busy));
    assert_eq!(bench.node.shed_ready(1, bench.now), 1);
}

#[test]
fn a_connection_in_doubt_stays_so_that_no_clone_takes_its_place() {
    let mut bench = Bench::new();
    bench.agent_hello(7, 1, 1);
    bench.agent_hello(7, 2, 1);
    bench.out();
    assert!(shed_all(&mut bench).is_empty());
    bench.wait(secs(4));
    // The old one was silent: the new one is the ready connection, and may go.
    assert_eq!(bench.node.shed_ready(9, bench.now), 1);
}

#[test]
fn a_client_that_was_sent_away_may_ask_when_it_comes_back() {
    let mut bench = Bench::new();
    greeted(&mut bench, 50);
    assert_eq!(shed_idle(&mut bench, 1).len(), 2);
    let again = greeted(&mut bench, 50);
    assert_eq!(bench.frame(again, connect(1)), ["ask 0"]);
}
