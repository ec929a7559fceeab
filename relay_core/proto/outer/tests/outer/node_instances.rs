//! Two legs of one device: a program that dialled again, a disk that was cloned (PROTOCOL.md §5.8).
use telerelay_outer::node::Decision;
use telerelay_wire::Code;

use crate::bench::{Bench, ask, device, ms, pong, refuse, secs};

#[test]
fn of_one_instance_the_higher_counter_wins_without_a_word() {
    let mut bench = Bench::new();
    bench.agent_hello(7, 1, 5);
    bench.out();
    bench.agent_hello(7, 1, 6);
    assert_eq!(bench.out(), ["2< WELCOME", "ready 7", "1 drop"]);
    bench.agent_hello(7, 1, 4);
    assert_eq!(bench.out(), ["3 drop"], "one that was overtaken on its way");
    bench.agent_hello(7, 1, 6);
    assert_eq!(bench.out(), ["4 drop"]);
    assert_eq!(
        (bench.node.census().ready, bench.node.census().legs),
        (1, 1)
    );
}

#[test]
fn a_clone_of_a_living_agent_is_sent_away_and_flagged() {
    let mut bench = Bench::new();
    let old = bench.agent_hello(7, 1, 5);
    bench.out();
    bench.agent_hello(7, 2, 9);
    assert_eq!(
        bench.out(),
        ["1< KEEPALIVE ask"],
        "the newcomer is not welcomed yet"
    );
    bench.wait(ms(2_900));
    assert_eq!(
        bench.frame(old, pong()),
        ["flag 7 ID_IN_USE", "2< ERROR ID_IN_USE 300", "2 close"]
    );
    assert_eq!(bench.node.census().legs, 1);
    assert!(bench.wait(secs(10)).is_empty());
}

#[test]
fn a_machine_that_restarted_takes_the_place_of_its_dead_leg() {
    let mut bench = Bench::new();
    bench.agent_hello(7, 1, 5);
    bench.out();
    bench.agent_hello(7, 2, 1);
    bench.out();
    assert_eq!(
        bench.wait(secs(4)),
        ["3000 2< WELCOME", "3000 ready 7", "3000 1 drop"]
    );
    assert_eq!(bench.node.census().legs, 1);
}

#[test]
fn the_newcomer_wins_at_once_when_the_old_leg_ends() {
    let mut bench = Bench::new();
    let old = bench.agent_hello(7, 1, 5);
    bench.agent_hello(7, 2, 1);
    bench.out();
    assert_eq!(bench.gone(old), ["2< WELCOME", "ready 7"]);
}

#[test]
fn two_clones_never_evict_each_other_in_turn() {
    let mut bench = Bench::new();
    let first = bench.agent_hello(7, 1, 1);
    bench.out();
    // The clone comes back every five minutes for a day; the first one lives and answers.
    for round in 0..288 {
        let clone = bench.agent_hello(7, 2, round + 1);
        assert_eq!(bench.out(), [format!("{}< KEEPALIVE ask", first.0)]);
        bench.wait(ms(30));
        let lines = bench.frame(first, pong());
        assert_eq!(lines[1], format!("{}< ERROR ID_IN_USE 300", clone.0));
        for _ in 0..6 {
            assert!(bench.wait(secs(50)).is_empty());
            bench.frame(first, ask());
        }
    }
    assert_eq!(
        (bench.node.census().ready, bench.node.census().legs),
        (1, 1)
    );
}

#[test]
fn a_newcomer_that_dials_again_while_it_waits_does_not_win_time() {
    let mut bench = Bench::new();
    bench.agent_hello(7, 1, 1);
    bench.agent_hello(7, 2, 1);
    bench.out();
    bench.wait(secs(2));
    bench.agent_hello(7, 2, 2);
    assert_eq!(bench.out(), ["2 drop"]);
    bench.agent_hello(7, 2, 1);
    assert_eq!(bench.out(), ["4 drop"], "an older dial of the same process");
    assert_eq!(
        bench.wait(secs(2)),
        ["3000 3< WELCOME", "3000 ready 7", "3000 1 drop"]
    );
}

#[test]
fn a_third_instance_is_sent_away_while_two_are_compared() {
    let mut bench = Bench::new();
    bench.agent_hello(7, 1, 1);
    bench.agent_hello(7, 2, 1);
    bench.out();
    bench.agent_hello(7, 3, 1);
    assert_eq!(
        bench.out(),
        ["flag 7 ID_IN_USE", "3< ERROR ID_IN_USE 300", "3 close"]
    );
}

#[test]
fn the_living_instance_wins_by_dialling_again() {
    let mut bench = Bench::new();
    bench.agent_hello(7, 1, 1);
    bench.agent_hello(7, 2, 1);
    bench.out();
    bench.agent_hello(7, 1, 2);
    assert_eq!(
        bench.out(),
        [
            "flag 7 ID_IN_USE",
            "2< ERROR ID_IN_USE 300",
            "2 close",
            "3< WELCOME",
            "ready 7",
            "1 drop"
        ]
    );
}

#[test]
fn a_newcomer_must_be_silent_and_may_leave() {
    let mut bench = Bench::new();
    let old = bench.agent_hello(7, 1, 1);
    let rival = bench.agent_hello(7, 2, 1);
    bench.out();
    assert_eq!(bench.frame(rival, ask()), ["2< ERROR BAD_FRAME", "2 close"]);
    let rival = bench.agent_hello(7, 2, 2);
    bench.out();
    assert!(bench.gone(rival).is_empty());
    assert!(
        bench.frame(old, pong()).is_empty(),
        "nobody is left to be flagged"
    );
    bench.gone(old);
    bench.assert_empties();
}

#[test]
fn connect_waits_for_the_outcome_instead_of_claiming_a_leg_in_doubt() {
    // The old leg is dead: the request goes to the new one.
    let mut bench = Bench::new();
    let old = bench.agent_hello(7, 1, 1);
    bench.agent_hello(7, 2, 1);
    bench.client(1);
    bench.out();
    assert!(bench.decide(0, Decision::Here(device(7))).is_empty());
    let lines = bench.wait(secs(3));
    assert_eq!(
        lines,
        [
            "3000 2< WELCOME",
            "3000 ready 7",
            "3000 2< INCOMING 1",
            "3000 1 drop"
        ]
    );
    bench.gone(old);
    // The old leg lives: the request goes to it.
    let mut bench = Bench::new();
    let old = bench.agent_hello(7, 1, 1);
    bench.agent_hello(7, 2, 1);
    bench.client(1);
    bench.decide(0, Decision::Here(device(7)));
    bench.out();
    let lines = bench.frame(old, pong());
    assert_eq!(
        lines,
        [
            "flag 7 ID_IN_USE",
            "2< ERROR ID_IN_USE 300",
            "2 close",
            "1< INCOMING 1"
        ]
    );
    // The newcomer gives up: the same.
    let mut bench = Bench::new();
    bench.agent_hello(7, 1, 1);
    let rival = bench.agent_hello(7, 2, 1);
    bench.client(1);
    bench.decide(0, Decision::Here(device(7)));
    bench.out();
    assert_eq!(bench.gone(rival), ["1< INCOMING 1"]);
}

#[test]
fn the_rule_concerns_ready_connections_only() {
    let mut bench = Bench::new();
    bench.paired(7);
    // The next ready connection of the same process stands beside its path; a clone meets that one.
    assert_eq!(bench.node.census().legs, 3);
    bench.agent_hello(7, 8, 1);
    assert_eq!(bench.out(), ["3< KEEPALIVE ask"]);
}

#[test]
fn a_leg_that_refuses_returns_before_whoever_took_its_place() {
    // Another instance came while the leg was claimed: the leg has just shown that it lives.
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    bench.agent_hello(7, 2, 1);
    assert_eq!(bench.out(), ["3< WELCOME", "ready 7"]);
    let lines = bench.frame(agent, refuse(path, Code::Busy));
    assert_eq!(
        lines[3..],
        ["flag 7 ID_IN_USE", "3< ERROR ID_IN_USE 300", "3 close"]
    );
    assert_eq!(
        (bench.node.census().ready, bench.node.census().legs),
        (1, 1)
    );
    // A newer leg of its own process came: that one stays.
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    bench.agent_hello(7, 7, 2);
    bench.out();
    let lines = bench.frame(agent, refuse(path, Code::Busy));
    assert_eq!(lines[3..], ["1 drop"]);
    // A clone holds the post and a newer leg of its own process challenges it: that contest goes on.
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    bench.agent_hello(7, 2, 1);
    bench.agent_hello(7, 7, 2);
    bench.out();
    let lines = bench.frame(agent, refuse(path, Code::Busy));
    assert_eq!(lines[3..], ["1 drop"]);
    assert_eq!(
        bench.wait(secs(4)),
        ["3000 4< WELCOME", "3000 ready 7", "3000 3 drop"]
    );
}

#[test]
fn a_registration_with_another_key_is_another_device() {
    // The same computer under another device key: neither touches the other; `route` names the device that counts.
    let mut bench = Bench::new();
    bench.agent(7);
    bench.agent(8);
    bench.client(1);
    bench.out();
    assert_eq!(
        bench.decide(0, Decision::Here(device(8))),
        ["2< INCOMING 1"]
    );
    assert_eq!(bench.node.census().ready, 1);
}
