//! HELLO, keepalive and everything that ends a leg before it takes part in an attempt (PROTOCOL.md §5.1, §5.2).
use std::sync::Arc;

use telerelay_outer::node::{Command, Holder, Identity, Scope, Side, Snapshot, Standing};
use telerelay_wire::bounded::Octets;
use telerelay_wire::ids::{NewsKind, PathId, Role};
use telerelay_wire::outer::{Error, Frame, Hello, News};
use telerelay_wire::{Code, FrameError};

use crate::bench::{
    Bench, EPOCH, accept, agent_of, ask, client_of, connect, device, hello, ms, organisation, pong,
    refuse, secs, snapshot, switch,
};

#[test]
fn an_admitted_agent_is_welcomed_and_told_out() {
    let mut bench = Bench::new();
    let leg = bench.leg(agent_of(1, 7), Side::Inside);
    assert_eq!(
        bench.frame(leg, hello(Role::Agent, 1, 1)),
        ["1< WELCOME", "ready 7"]
    );
    let [
        Command::Send(_, Frame::Welcome(welcome)),
        Command::AgentReady(ready),
    ] = &bench.commands[..]
    else {
        panic!("{:?}", bench.commands)
    };
    let said = (
        welcome.version,
        welcome.node.as_str(),
        welcome.keepalive,
        welcome.nodes_version,
        welcome.return_window,
    );
    assert_eq!(said, (1, "node-1", 45, 4, 30));
    assert_eq!(ready.address.as_str(), "192.0.2.1:50000");
    assert_eq!(Holder::Agent(ready.computer), agent_of(1, 7).holder);
    assert_eq!(bench.node.census().ready, 1);
}

#[test]
fn an_admitted_client_is_welcomed() {
    let mut bench = Bench::new();
    let leg = bench.leg(client_of(1, 7), Side::Outside);
    assert_eq!(bench.frame(leg, hello(Role::Client, 1, 1)), ["1< WELCOME"]);
}

#[test]
fn hello_is_refused_with_the_first_reason() {
    let other = |org, number| Identity {
        holder: Holder::Other,
        ..client_of(org, number)
    };
    let cases = [
        (agent_of(1, 1), Side::Both, Role::Bridge, "UNSUPPORTED"),
        (agent_of(1, 1), Side::Both, Role::Client, "WRONG_ROLE"),
        (client_of(1, 1), Side::Both, Role::Agent, "WRONG_ROLE"),
        (other(1, 1), Side::Both, Role::Agent, "WRONG_ROLE"),
        (other(1, 1), Side::Both, Role::Client, "WRONG_ROLE"),
        (agent_of(1, 1), Side::Outside, Role::Agent, "WRONG_SIDE"),
        (client_of(1, 1), Side::Inside, Role::Client, "WRONG_SIDE"),
        (agent_of(3, 1), Side::Both, Role::Agent, "SUSPENDED"),
        (agent_of(9, 1), Side::Both, Role::Agent, "SUSPENDED"),
        (client_of(1, 66), Side::Both, Role::Client, "REVOKED"),
    ];
    for (identity, side, role, code) in cases {
        let mut bench = Bench::new();
        let leg = bench.leg(identity, side);
        assert_eq!(
            bench.frame(leg, hello(role, 1, 1)),
            [format!("1< ERROR {code}"), "1 close".into()]
        );
        bench.assert_empties();
    }
    // The same device of another organisation is another device.
    let mut bench = Bench::new();
    let leg = bench.leg(client_of(2, 66), Side::Both);
    assert_eq!(bench.frame(leg, hello(Role::Client, 1, 1)), ["1< WELCOME"]);
}

#[test]
fn another_version_is_told_what_there_is() {
    let mut bench = Bench::new();
    bench.wait(ms(2_500));
    let leg = bench.leg(agent_of(1, 1), Side::Both);
    let Frame::Hello(said) = hello(Role::Agent, 1, 1) else {
        unreachable!()
    };
    bench.frame(leg, Frame::Hello(Hello { version: 2, ..said }));
    let Some(Command::Send(
        _,
        Frame::Error(Error {
            code,
            supported,
            server_time,
            retry,
            attempt,
            place: None,
        }),
    )) = bench.commands.first()
    else {
        panic!("{:?}", bench.commands)
    };
    assert!(*code == Code::Version);
    assert_eq!(supported.as_ref().map(|list| list.to_vec()), Some(vec![1]));
    assert_eq!((*server_time, *retry, *attempt), (EPOCH + 2, None, None));
}

#[test]
fn a_leg_that_says_something_else_first_or_nothing_is_closed() {
    let mut bench = Bench::new();
    let leg = bench.leg(client_of(1, 1), Side::Both);
    assert_eq!(
        bench.frame(leg, connect(1)),
        ["1< ERROR BAD_FRAME", "1 close"]
    );
    let leg = bench.leg(client_of(1, 1), Side::Both);
    bench
        .node
        .frame_error(leg, FrameError::UnknownCritical { kind: 9 }, bench.now);
    assert_eq!(bench.out(), ["2< ERROR BAD_FRAME", "2 close"]);
    bench.leg(client_of(1, 1), Side::Both);
    assert_eq!(
        bench.wait(secs(10)),
        ["5000 3< ERROR TRY_LATER 15", "5000 3 close"]
    );
    let leg = bench.leg(client_of(1, 1), Side::Both);
    bench.wait(secs(4));
    assert_eq!(bench.frame(leg, hello(Role::Client, 1, 1)), ["4< WELCOME"]);
    assert_eq!(
        bench.wait(secs(10)),
        ["19000 4< ERROR TRY_LATER 15", "19000 4 close"]
    );
    bench.assert_empties();
}

#[test]
fn a_leg_that_leaves_is_forgotten_and_what_it_still_sends_is_ignored() {
    let mut bench = Bench::new();
    let leg = bench.leg(client_of(1, 1), Side::Both);
    assert!(bench.gone(leg).is_empty());
    assert!(bench.frame(leg, hello(Role::Client, 1, 1)).is_empty());
    assert!(bench.gone(leg).is_empty());
    bench.assert_empties();
}

#[test]
fn keepalive_is_answered_with_the_return_window_and_keeps_the_leg() {
    let mut bench = Bench::new();
    let leg = bench.agent(7);
    bench.out();
    for _ in 0..5 {
        assert!(bench.wait(secs(99)).is_empty());
        assert_eq!(bench.frame(leg, ask()), ["1< KEEPALIVE"]);
    }
    let Some(Command::Send(_, Frame::Keepalive(answer))) = bench.commands.last() else {
        panic!()
    };
    assert_eq!((answer.ask, answer.return_window), (false, Some(30)));
    assert!(
        bench.frame(leg, pong()).is_empty(),
        "an answer is not answered"
    );
    assert_eq!(bench.wait(secs(101)), ["595000 1 drop", "595000 gone 7"]);
    bench.assert_empties();
}

#[test]
fn a_half_open_leg_is_found_behind_two_keepalives_and_its_place_is_free() {
    let mut bench = Bench::new();
    let half_open = bench.agent(7);
    let living = bench.agent(8);
    bench.out();
    for _ in 0..2 {
        assert!(bench.wait(secs(45)).is_empty());
        assert_eq!(bench.frame(living, ask()), ["2< KEEPALIVE"]);
    }
    assert_eq!(bench.wait(secs(10)), ["100000 1 drop", "100000 gone 7"]);
    assert_eq!(bench.node.census().ready, 1);
    // Nobody is asked whether the old one lives.
    bench.agent(7);
    assert_eq!(bench.out(), ["3< WELCOME", "ready 7"]);
    assert!(bench.frame(half_open, pong()).is_empty());
    assert_eq!(bench.node.census().ready, 2);
}

#[test]
fn a_ready_leg_that_leaves_is_told_out() {
    let mut bench = Bench::new();
    let leg = bench.agent(7);
    bench.out();
    assert_eq!(bench.gone(leg), ["gone 7"]);
    let leg = bench.agent(7);
    bench.out();
    let error = Error {
        code: Code::BadFrame.into(),
        retry: None,
        server_time: 0,
        attempt: None,
        supported: None,
        place: None,
    };
    assert_eq!(
        bench.frame(leg, Frame::Error(error)),
        ["2 drop", "gone 7"],
        "ERROR is the last frame of its leg"
    );
    bench.assert_empties();
}

#[test]
fn a_frame_that_ready_does_not_name_is_bad() {
    for frame in [hello(Role::Agent, 1, 2), connect(1), switch()] {
        let mut bench = Bench::new();
        let leg = bench.agent(7);
        bench.out();
        assert_eq!(
            bench.frame(leg, frame),
            ["1< ERROR BAD_FRAME", "1 close", "gone 7"]
        );
        bench.assert_empties();
    }
}

#[test]
fn a_path_that_ready_was_not_asked_about_is_unknown() {
    for frame in [accept(PathId([9; 16])), refuse(PathId([9; 16]), Code::Busy)] {
        let mut bench = Bench::new();
        let leg = bench.agent(7);
        bench.out();
        assert_eq!(
            bench.frame(leg, frame),
            ["1< ERROR PATH_UNKNOWN", "1 close", "gone 7"]
        );
    }
}

#[test]
fn news_reaches_ready_connections_of_its_scope_only() {
    let mut bench = Bench::new();
    for number in [1, 2] {
        bench.agent(number);
    }
    let other = bench.leg(agent_of(2, 1), Side::Both);
    bench.frame(other, hello(Role::Agent, 1, 1));
    let document = Some(Octets::try_from(vec![1, 2, 3]).unwrap());
    let news = News {
        kind: NewsKind::Stamp,
        version: 5,
        document,
    };
    for (scope, legs) in [
        (
            Scope::Device(organisation(1), device(2)),
            vec!["2< NEWS stamp 5"],
        ),
        (Scope::Device(organisation(1), device(9)), vec![]),
        (
            Scope::Organisation(organisation(1)),
            vec!["1< NEWS stamp 5", "2< NEWS stamp 5"],
        ),
        (
            Scope::All,
            vec!["1< NEWS stamp 5", "2< NEWS stamp 5", "3< NEWS stamp 5"],
        ),
    ] {
        bench.node.news(scope, &news);
        assert_eq!(bench.out(), legs);
    }
}

#[test]
fn a_new_snapshot_takes_legs_away() {
    let mut bench = Bench::new();
    bench.agent(7);
    let idle = bench.leg(client_of(1, 50), Side::Both);
    bench.frame(idle, hello(Role::Client, 1, 1));
    bench.client(1);
    let untouched = bench.leg(client_of(2, 7), Side::Both);
    bench.frame(untouched, hello(Role::Client, 1, 1));
    let mut next: Snapshot = snapshot();
    next.organisations
        .insert(organisation(1), Standing::Suspended);
    bench.node.set_snapshot(Arc::new(next), bench.now);
    assert_eq!(
        bench.out(),
        [
            "1< ERROR SUSPENDED",
            "1 close",
            "gone 7",
            "2< ERROR SUSPENDED",
            "2 close",
            "3< ERROR SUSPENDED",
            "3 close",
            "end 0 SUSPENDED route",
        ]
    );
    assert_eq!(bench.frame(untouched, connect(2)), ["ask 1"]);
}
