//! Draining, stopping and cutting: nothing new, what runs goes on or is ended (PROTOCOL.md §5.6, §5.9).
use telerelay_outer::node::{Cause, Scope, Side};
use telerelay_wire::Code;
use telerelay_wire::ids::{AttemptId, Role};
use telerelay_wire::outer::Goaway;

use crate::bench::{Bench, accept, agent_of, client_of, connect, hello, secs, session_end};

fn goaway() -> Goaway {
    Goaway {
        nodes: Vec::new().try_into().expect("fits"),
        spread: 30,
    }
}

fn stop(bench: &mut Bench) -> Vec<String> {
    bench.node.stop(bench.now + secs(20), &goaway());
    bench.out()
}

#[test]
fn an_idle_node_is_drained_at_once() {
    let mut bench = Bench::new();
    bench.agent(7);
    bench.out();
    assert_eq!(stop(&mut bench), ["1< GOAWAY", "drained"]);
    assert!(stop(&mut bench).is_empty());
}

#[test]
fn nothing_new_is_taken() {
    let mut bench = Bench::new();
    let client = bench.leg(client_of(1, 50), Side::Both);
    bench.frame(client, hello(Role::Client, 1, 1));
    stop(&mut bench);
    let agent = bench.leg(agent_of(1, 7), Side::Both);
    assert_eq!(
        bench.frame(agent, hello(Role::Agent, 1, 1)),
        ["2< ERROR TRY_LATER 15", "2 close"]
    );
    let other = bench.leg(client_of(1, 51), Side::Both);
    assert_eq!(
        bench.frame(other, hello(Role::Client, 1, 1)),
        ["3< ERROR TRY_LATER 15", "3 close"]
    );
    // Its CONNECT is an attempt, so it has its terminal event; `drained` was told already.
    assert_eq!(
        bench.frame(client, connect(1)),
        ["1< ERROR TRY_LATER 15", "1 close", "end 0 TRY_LATER route"]
    );
    bench.assert_empties();
}

#[test]
fn what_was_asked_before_may_still_become_a_path() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    assert!(stop(&mut bench).is_empty());
    bench.frame(agent, accept(path));
    assert_eq!(bench.recorded(0), ["2< PAIRED", "1< PAIRED", "join 1 2"]);
}

#[test]
fn sessions_go_on_until_the_deadline_and_are_then_cut() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    bench.client(2);
    bench.out();
    assert_eq!(stop(&mut bench), ["3< GOAWAY"]);
    bench.wait(secs(16));
    bench.frame(ready, crate::bench::ask());
    assert_eq!(
        bench.wait(secs(5)),
        ["20000 3< CUT DRAINED", "21000 1 close", "21000 2 close"]
    );
    bench.path_ended(path, Cause::Leg);
    assert_eq!(
        bench.frame(ready, session_end(path, Code::Drained)),
        ["end 0 DRAINED session", "drained"]
    );
}

#[test]
fn the_last_session_that_ends_drains_the_node() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    stop(&mut bench);
    bench.frame(ready, session_end(path, Code::Done));
    assert_eq!(
        bench.path_ended(path, Cause::Leg),
        ["end 0 DONE session", "drained"]
    );
    bench.gone(ready);
    bench.assert_empties();
}

#[test]
fn a_draining_node_answers_for_as_long_as_it_lives() {
    let mut bench = Bench::new();
    bench.agent(8);
    let (_, _, path, ready) = bench.paired(7);
    bench.node.drain(&goaway());
    assert_eq!(bench.out(), ["4< GOAWAY", "1< GOAWAY"]);
    for _ in 0..3 {
        bench.wait(secs(60));
        bench.frame(ready, crate::bench::ask());
        let client = bench.leg(client_of(1, 50), Side::Both);
        let refused = bench.frame(client, hello(Role::Client, 1, 1));
        let key = client.0;
        assert_eq!(
            refused,
            [format!("{key}< ERROR TRY_LATER 15"), format!("{key} close")]
        );
    }
    // What runs is nobody's business but its own.
    bench.path_ended_quietly(path, Cause::Leg);
    assert_eq!(
        bench.frame(ready, session_end(path, Code::Done)),
        ["end 0 DONE session"]
    );
}

#[test]
fn an_agent_with_a_session_keeps_its_control_channel_while_nothing_new_is_taken() {
    let mut bench = Bench::new();
    let (_, _, _, ready) = bench.paired(7);
    bench.node.drain(&goaway());
    bench.out();
    bench.gone(ready);
    let stranger = bench.leg(agent_of(1, 9), Side::Both);
    assert_eq!(
        bench.frame(stranger, hello(Role::Agent, 9, 1)),
        ["4< ERROR TRY_LATER 15", "4 close"]
    );
    let again = bench.leg(agent_of(1, 7), Side::Both);
    assert_eq!(
        bench.frame(again, hello(Role::Agent, 7, 3))[0],
        "5< WELCOME"
    );
    assert_eq!(bench.node.cut(Scope::All, Code::Drained, bench.now), 1);
    assert_eq!(bench.out(), ["5< CUT DRAINED"]);
}

#[test]
fn a_drain_is_taken_back_and_a_stop_is_not() {
    let mut bench = Bench::new();
    bench.agent(7);
    bench.node.drain(&goaway());
    bench.node.resume();
    bench.client(1);
    assert!(bench.out().iter().any(|line| line.starts_with("ask 0")));
    bench.node.drain(&goaway());
    stop(&mut bench);
    bench.node.resume();
    let late = bench.leg(client_of(1, 50), Side::Both);
    assert_eq!(
        bench.frame(late, hello(Role::Client, 1, 1))[0],
        "3< ERROR TRY_LATER 15"
    );
}

#[test]
fn one_attempt_is_cut_by_its_name_and_once() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    let beside = bench.client(2);
    bench.out();
    let name = AttemptId([0, 0, 0, 0, 1]);
    assert_eq!(bench.node.cut_named(name, Code::Cut, bench.now), 1);
    assert_eq!(bench.node.cut_named(name, Code::Cut, bench.now), 0);
    assert_eq!(bench.out(), ["3< CUT CUT"]);
    bench.path_ended_quietly(path, Cause::Leg);
    assert_eq!(
        bench.frame(ready, session_end(path, Code::Cut)),
        ["end 0 CUT session"]
    );
    assert_eq!(bench.gone(beside), ["end 1 CLIENT_GONE route"]);
}
