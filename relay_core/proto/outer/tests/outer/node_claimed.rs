//! What happens to a request between its claim and PAIRED when somebody leaves, speaks or does not come back (PROTOCOL.md §5.2).
use telerelay_outer::node::AttemptTicket;
use telerelay_wire::ids::PathId;
use telerelay_wire::outer::Frame;
use telerelay_wire::{Code, limits};

use crate::bench::{Bench, accept, ask, connect, secs, session_end};
use crate::node_pairing::here;

#[test]
fn a_client_that_leaves_ends_its_attempt_wherever_it_is() {
    // Asked: the answer that comes later is skipped.
    let mut bench = Bench::new();
    let client = bench.client(1);
    bench.out();
    assert_eq!(bench.gone(client), ["end 0 CLIENT_GONE route"]);
    assert!(!bench.node.is_asked(AttemptTicket(0)));
    assert!(bench.decide(0, here(7)).is_empty());
    assert!(
        bench.decide(99, here(7)).is_empty(),
        "a ticket that never was"
    );
    bench.assert_empties();
    // Waiting: its place in the line is free.
    let mut bench = Bench::new();
    let agent = bench.agent(7);
    bench.gone(agent);
    let client = bench.client(1);
    bench.decide(0, here(7));
    assert_eq!(bench.gone(client), ["end 0 CLIENT_GONE claim"]);
    bench.agent_hello(7, 7, 2);
    assert_eq!(bench.out(), ["3< WELCOME", "ready 7"]);
    // Claimed and Accepted: the agent's leg is closed, it cannot know.
    for accepted in [false, true] {
        let mut bench = Bench::new();
        let (agent, client, path) = bench.claimed(7);
        if accepted {
            bench.frame(agent, accept(path));
        }
        assert_eq!(
            bench.gone(client),
            ["end 0 CLIENT_GONE accept", "1 drop", "gone 7"]
        );
        bench.assert_empties();
    }
}

#[test]
fn a_client_must_be_silent_from_connect_to_paired() {
    let told = |stage| {
        [
            "2< ERROR BAD_FRAME".into(),
            "2 close".into(),
            format!("end 0 BAD_FRAME {stage}"),
        ]
    };
    let mut bench = Bench::new();
    bench.agent(7);
    let client = bench.client(1);
    bench.out();
    assert_eq!(bench.frame(client, ask()), told("route"));

    let mut bench = Bench::new();
    let agent = bench.agent(7);
    bench.gone(agent);
    let client = bench.client(1);
    bench.decide(0, here(7));
    assert_eq!(bench.frame(client, connect(1)), told("claim"));

    for accepted in [false, true] {
        let mut bench = Bench::new();
        let (agent, client, path) = bench.claimed(7);
        if accepted {
            bench.frame(agent, accept(path));
        }
        let lines = bench.frame(
            client,
            Frame::Path(telerelay_wire::outer::Path { bytes: b"early" }),
        );
        assert_eq!(lines[..3], told("accept"));
        assert_eq!(
            lines[3..],
            ["1 drop", "gone 7"],
            "for the agent the client is gone"
        );
        bench.assert_empties();
    }
}

#[test]
fn an_agent_that_leaves_before_paired_is_absent() {
    for accepted in [false, true] {
        let mut bench = Bench::new();
        let (agent, _, path) = bench.claimed(7);
        if accepted {
            bench.frame(agent, accept(path));
        }
        assert_eq!(
            bench.gone(agent),
            [
                "gone 7",
                "2< ERROR ABSENT 15",
                "2 close",
                "end 0 ABSENT accept"
            ]
        );
        bench.assert_empties();
    }
}

#[test]
fn a_claimed_leg_may_say_what_crossed_incoming_and_nothing_else() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    assert_eq!(bench.frame(agent, ask()), ["1< KEEPALIVE"]);
    assert!(
        bench
            .frame(agent, session_end(PathId([9; 16]), Code::Done))
            .is_empty()
    );
    let other = PathId([1; 16]);
    assert_eq!(
        bench.frame(agent, accept(other)),
        [
            "1< ERROR PATH_UNKNOWN",
            "1 close",
            "gone 7",
            "2< ERROR ABSENT 15",
            "2 close",
            "end 0 ABSENT accept"
        ]
    );
    assert!(
        bench.frame(agent, accept(path)).is_empty(),
        "the leg is forgotten"
    );
    bench.assert_empties();

    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    bench.frame(agent, accept(path));
    let lines = bench.frame(agent, accept(path));
    assert_eq!(
        lines[..2],
        ["1< ERROR BAD_FRAME", "1 close"],
        "once is enough"
    );
}

#[test]
fn a_claimed_device_that_does_not_dial_again_is_told_out_as_gone() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    bench.frame(agent, accept(path));
    bench.recorded(0);
    assert_eq!(bench.wait(secs(10)), ["3000 gone 7"]);
    bench.agent_hello(7, 7, 2);
    assert_eq!(bench.out(), ["3< WELCOME", "ready 7"]);
}

#[test]
fn a_path_id_is_forgotten_long_before_its_time() {
    // path_id_s needs no timer of its own: an attempt that is no path ends earlier by those of its phases.
    assert!(
        limits::ROUTE + limits::GAP_WAIT + limits::ACCEPT.max(limits::RECORDED) < limits::PATH_ID
    );
    assert!(limits::ACCEPT + limits::RECORDED <= limits::PAIRED);
}
