//! From CONNECT to PAIRED: routes, claims, waiting in the gap, consent and record (PROTOCOL.md §5.2, §5.3).
use std::sync::Arc;

use telerelay_outer::Purpose;
use telerelay_outer::node::{
    Asked, AttemptTicket, Command, Decision, Rule, SetUp, Side, Snapshot, Terminal,
};
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{ComputerId, NodeAddress, Role, Service};
use telerelay_wire::outer::{Connect, Early, Frame};
use telerelay_wire::{Code, Reason, limits};

use crate::bench::{
    Bench, accept, agent_of, client_of, connect, device, hello, ms, organisation, program, refuse,
    secs, snapshot,
};

pub(crate) fn here(number: u8) -> Decision {
    Decision::Here(device(number))
}

pub(crate) fn deny(code: Code) -> Decision {
    Decision::Deny(Reason::from(code))
}

pub(crate) fn terminal(bench: &Bench) -> &Terminal {
    let told = bench
        .commands
        .iter()
        .rev()
        .find_map(|command| match command {
            Command::Terminal(terminal) => Some(terminal),
            _ => None,
        });
    told.expect("a terminal event")
}

#[test]
fn connect_asks_once_with_everything_that_is_known() {
    let mut bench = Bench::new();
    bench.agent(7);
    let client = bench.leg(client_of(1, 50), Side::Both);
    bench.frame(client, hello(Role::Client, 1, 1));
    assert_eq!(bench.frame(client, connect(3)), ["ask 0"]);
    let Some(Command::Ask(request)) = bench.commands.last() else {
        panic!()
    };
    assert_eq!(
        (request.organisation, request.client),
        (organisation(1), device(50))
    );
    assert_eq!((request.attempt.0[4], request.computer.0[0]), (3, 1));
    assert_eq!(
        (request.address.as_str(), &request.program),
        ("192.0.2.1:50000", &program())
    );
}

#[test]
fn a_request_becomes_a_path_by_accept_and_record_in_either_order() {
    for accept_first in [true, false] {
        let mut bench = Bench::new();
        bench.agent(7);
        let client = bench.client(1);
        bench.out();
        assert_eq!(bench.decide(0, here(7)), ["1< INCOMING 1"]);
        let path = bench.path(0);
        let (agent, paired) = (
            telerelay_outer::LegKey(1),
            ["2< PAIRED", "1< PAIRED", "join 1 2"],
        );
        if accept_first {
            assert!(bench.frame(agent, accept(path)).is_empty());
            assert_eq!(bench.recorded(0), paired);
        } else {
            assert!(bench.recorded(0).is_empty());
            assert_eq!(bench.frame(agent, accept(path)), paired);
        }
        assert!(
            matches!(bench.commands.last(), Some(Command::Join(join)) if join.path == path && join.client == client)
        );
        assert!(bench.recorded(0).is_empty(), "a second answer is ignored");
        assert!(
            bench
                .wait(secs(600))
                .iter()
                .all(|line| line == "3000 gone 7"),
            "a path has no deadline"
        );
    }
}

#[test]
fn what_an_organisation_was_admitted_for_is_told_of_each_of_its_attempts() {
    for (tests, purpose) in [
        ([].into(), Purpose::Staff),
        ([organisation(1)].into(), Purpose::Test),
    ] {
        let mut bench = Bench::new();
        let given = Snapshot {
            tests,
            ..snapshot()
        };
        bench.node.set_snapshot(Arc::new(given), bench.now);
        let (_, _, path, _) = bench.paired(7);
        let join = bench.commands.iter().find_map(|command| match command {
            Command::Join(join) => Some(join),
            _ => None,
        });
        let join = join.expect("a path");
        assert_eq!((join.purpose, join.resumes), (purpose, false));
        bench.path_ended(path, telerelay_outer::node::Cause::Leg);
        bench.wait(secs(60));
        assert_eq!(terminal(&bench).purpose, purpose);
        bench.client(2);
        bench.decide(1, deny(Code::Denied));
        bench.wait(secs(60));
        assert_eq!(terminal(&bench).code, Code::Denied);
        assert_eq!(terminal(&bench).purpose, purpose);
    }
}

#[test]
fn a_path_says_how_long_each_step_to_it_took() {
    for accept_first in [true, false] {
        let mut bench = Bench::new();
        let client = bench.leg(client_of(1, 50), Side::Both);
        bench.wait(ms(1));
        bench.frame(client, hello(Role::Client, 1, 1));
        bench.wait(ms(2));
        bench.frame(client, connect(3));
        // The agent was here, and is between two ready connections.
        let gone = bench.agent(7);
        bench.gone(gone);
        bench.wait(ms(4));
        bench.decide(0, here(7));
        bench.wait(ms(8));
        let agent = bench.agent_hello(7, 7, 2);
        bench.wait(ms(16));
        let path = bench.path(0);
        if accept_first {
            bench.frame(agent, accept(path));
            bench.wait(ms(32));
            bench.recorded(0);
        } else {
            bench.recorded(0);
            bench.wait(ms(32));
            bench.frame(agent, accept(path));
        }
        let Some(Command::Join(join)) = bench.commands.last() else {
            panic!("no path")
        };
        let [accepted, recorded] = if accept_first { [16, 32] } else { [48, 0] };
        let expected = SetUp {
            hello: ms(1),
            connect: ms(2),
            route: ms(4),
            claim: ms(8),
            accept: ms(accepted),
            recorded: ms(recorded),
        };
        assert_eq!(join.set_up, expected);
    }
}

#[test]
fn incoming_says_who_asks_for_what_and_passes_the_first_flight_on() {
    let mut bench = Bench::new();
    bench.agent(7);
    let client = bench.leg(client_of(1, 50), Side::Both);
    bench.frame(client, hello(Role::Client, 1, 1));
    let Frame::Connect(plain) = connect(3) else {
        unreachable!()
    };
    let early = Some(Early::try_from(vec![5; 4_096]).unwrap());
    bench.frame(
        client,
        Frame::Connect(Connect {
            early: early.clone(),
            ..plain
        }),
    );
    bench.decide(0, here(7));
    let path = bench.path(0);
    let Some(Command::Send(_, Frame::Incoming(incoming))) = bench.commands.last() else {
        panic!()
    };
    assert_eq!(
        (incoming.client, incoming.address.as_str()),
        (device(50), "192.0.2.1:50000")
    );
    assert_eq!(
        (&incoming.program, incoming.attempt.0[4], &incoming.early),
        (&program(), 3, &early)
    );
    assert_eq!(incoming.path, path);
}

#[test]
fn no_route_in_time_is_try_later() {
    let mut bench = Bench::new();
    bench.client(1);
    bench.out();
    assert!(bench.node.is_asked(AttemptTicket(0)));
    assert_eq!(
        bench.wait(secs(6)),
        [
            "5000 1< ERROR TRY_LATER 15",
            "5000 1 close",
            "5000 end 0 TRY_LATER route"
        ]
    );
    assert!(!bench.node.is_asked(AttemptTicket(0)));
    assert!(
        bench.decide(0, here(7)).is_empty(),
        "a late answer is ignored"
    );
    assert_eq!(terminal(&bench).agent, None);
    let asked = Asked {
        address: "192.0.2.1:50000".try_into().expect("fits"),
        computer: ComputerId([1; 10]),
        service: Service::Rfb,
    };
    assert_eq!(terminal(&bench).asked, Some(asked), "no START says it");
    bench.assert_empties();
}

#[test]
fn every_denial_leaves_at_the_same_time() {
    for code in [
        Code::Denied,
        Code::PolicyStale,
        Code::Throttled,
        Code::Revoked,
    ] {
        for decided_after in [0, 1, 60, 199, 200] {
            let mut bench = Bench::new();
            bench.wait(ms(1_234));
            bench.client(1);
            bench.out();
            bench.wait(ms(decided_after));
            let mut lines = bench.decide(0, deny(code));
            if decided_after < 200 {
                assert!(lines.is_empty(), "nothing before its time");
                lines = bench.wait(secs(1));
            }
            let lines: Vec<_> = lines
                .iter()
                .map(|line| line.strip_prefix("1434 ").unwrap_or(line))
                .collect();
            assert!(
                lines[0].starts_with(&format!("1< ERROR {code}")),
                "{lines:?}"
            );
            assert_eq!(lines[1..], ["1 close", &format!("end 0 {code} route")]);
            assert_eq!(terminal(&bench).duration, ms(200));
            bench.assert_empties();
        }
    }
}

#[test]
fn a_client_that_leaves_before_its_denial_is_recorded_as_denied() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    bench.out();
    bench.decide(0, deny(Code::Denied));
    assert_eq!(bench.gone(client), ["end 0 DENIED route"]);
    let client = bench.client(2);
    bench.out();
    bench.decide(1, deny(Code::Denied));
    // Even to one that sends too early nothing tells that it was denied before the time has come.
    assert_eq!(
        bench.frame(client, connect(3)),
        ["2< ERROR BAD_FRAME", "2 close", "end 1 DENIED route"]
    );
    bench.assert_empties();
}

#[test]
fn later_and_redirect_leave_at_once_and_a_redirect_is_no_end() {
    let mut bench = Bench::new();
    bench.client(1);
    bench.out();
    assert_eq!(
        bench.decide(0, Decision::Later(7)),
        ["1< ERROR TRY_LATER 7", "1 close", "end 0 TRY_LATER route"]
    );
    bench.client(2);
    bench.out();
    let addresses = List::try_from(vec!["198.51.100.7:8443".try_into().unwrap()]).unwrap();
    let node = NodeAddress {
        name: "node-2".parse().unwrap(),
        addresses,
    };
    assert_eq!(
        bench.decide(1, Decision::Redirect(node.clone())),
        ["2< REDIRECT node-2", "2 close"]
    );
    let Some(Command::Send(_, Frame::Redirect(redirect))) = bench.commands.iter().rev().nth(1)
    else {
        panic!()
    };
    assert_eq!(
        (redirect.attempt.map(|attempt| attempt.0[4]), &redirect.node),
        (Some(2), &node)
    );
    bench.assert_empties();
}

#[test]
fn error_names_the_attempt() {
    let mut bench = Bench::new();
    bench.client(9);
    bench.decide(0, here(7));
    let error = bench.commands.iter().find_map(|command| match command {
        Command::Send(_, Frame::Error(error)) => Some(error),
        _ => None,
    });
    assert_eq!(
        error
            .and_then(|error| error.attempt)
            .map(|attempt| attempt.0[4]),
        Some(9)
    );
}

#[test]
fn an_agent_that_was_never_here_or_belongs_to_others_is_absent() {
    let mut bench = Bench::new();
    let other = bench.leg(agent_of(2, 7), Side::Both);
    bench.frame(other, hello(Role::Agent, 1, 1));
    bench.client(1);
    bench.out();
    // The device of this number is another organisation's: a node never pairs across two.
    assert_eq!(
        bench.decide(0, here(7)),
        ["2< ERROR ABSENT 15", "2 close", "end 0 ABSENT claim"]
    );
    assert_eq!(terminal(&bench).agent, Some(device(7)));
    assert_eq!(terminal(&bench).asked, None, "START says it");
}

#[test]
fn two_connects_race_for_one_ready_connection() {
    let mut bench = Bench::new();
    bench.agent(7);
    bench.client(1);
    bench.client(2);
    bench.out();
    // Both are decided in the same moment: one wins …
    assert_eq!(bench.decide(0, here(7)), ["1< INCOMING 1"]);
    assert!(bench.decide(1, here(7)).is_empty());
    // … and the other gets the next ready connection.
    bench.wait(ms(400));
    bench.agent_hello(7, 7, 2);
    assert_eq!(bench.out(), ["4< WELCOME", "ready 7", "4< INCOMING 2"]);
}

#[test]
fn the_loser_of_a_race_is_absent_when_the_agent_does_not_come_back() {
    let mut bench = Bench::new();
    bench.agent(7);
    bench.client(1);
    bench.client(2);
    bench.decide(0, here(7));
    bench.decide(1, here(7));
    let lines = bench.wait(secs(4));
    assert_eq!(
        lines,
        [
            "3000 3< ERROR ABSENT 15",
            "3000 3 close",
            "3000 end 1 ABSENT claim"
        ]
    );
}

#[test]
fn waiting_connects_are_served_in_order_of_arrival_and_the_fifth_is_busy() {
    let mut bench = Bench::new();
    let leg = bench.agent(7);
    bench.gone(leg);
    for number in 0..5 {
        bench.client(number);
        bench.out();
        let lines = bench.decide(number.into(), here(7));
        if usize::from(number) < limits::GAP_WAITERS {
            assert!(lines.is_empty());
        } else {
            assert_eq!(lines, ["6< ERROR BUSY 15", "6 close", "end 4 BUSY claim"]);
        }
    }
    let (_, busy) = bench.node.throttled()[Rule::GapWaiters as usize];
    assert_eq!(busy, 1);
    for number in 0..4 {
        bench.agent_hello(7, 7, 2 + number);
        let lines = bench.out();
        assert_eq!(lines[2..], [format!("{}< INCOMING {number}", 7 + number)]);
    }
}

#[test]
fn connect_in_the_gap_waits_only_where_the_agent_was_within_a_minute() {
    for (away, waits) in [(secs(59), true), (secs(61), false)] {
        let mut bench = Bench::new();
        let leg = bench.agent(7);
        bench.gone(leg);
        bench.wait(away);
        bench.client(1);
        bench.out();
        let lines = bench.decide(0, here(7));
        assert_eq!(lines.is_empty(), waits, "{lines:?}");
        if waits {
            // It is not forgotten while somebody waits, and it is afterwards.
            assert_eq!(
                bench.wait(secs(3)).last().map(String::as_str),
                Some("62000 end 0 ABSENT claim")
            );
        }
        bench.assert_empties();
    }
}

#[test]
fn a_device_is_not_forgotten_while_somebody_waits_for_it() {
    let mut bench = Bench::new();
    let leg = bench.agent(7);
    bench.gone(leg);
    bench.wait(secs(59));
    bench.client(1);
    bench.decide(0, here(7));
    bench.wait(secs(2));
    bench.agent_hello(7, 7, 2);
    assert_eq!(bench.out(), ["3< WELCOME", "ready 7", "3< INCOMING 1"]);
}

#[test]
fn a_record_that_comes_while_the_request_waits_counts() {
    let mut bench = Bench::new();
    let leg = bench.agent(7);
    bench.gone(leg);
    bench.client(1);
    bench.decide(0, here(7));
    assert!(bench.recorded(0).is_empty());
    let agent = bench.agent_hello(7, 7, 2);
    bench.out();
    let path = bench.path(0);
    assert_eq!(
        bench.frame(agent, accept(path)),
        ["2< PAIRED", "3< PAIRED", "join 3 2"]
    );
}

#[test]
fn a_refusal_makes_the_leg_ready_again_for_the_next_in_line() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    bench.client(2);
    bench.decide(1, here(7));
    assert_eq!(
        bench.frame(agent, refuse(path, Code::Sessions)),
        [
            "2< ERROR SESSIONS 15",
            "2 close",
            "end 0 SESSIONS accept",
            "1< INCOMING 2"
        ]
    );
    let path = bench.path(1);
    assert_eq!(
        bench.frame(agent, refuse(path, Code::PolicyStale)),
        [
            "3< ERROR POLICY_STALE 15",
            "3 close",
            "end 1 POLICY_STALE accept"
        ]
    );
    assert_eq!(
        bench.wait(secs(101)),
        ["100000 1 drop", "100000 gone 7"],
        "it is a ready connection as before"
    );
    bench.assert_empties();
}

#[test]
fn an_agent_that_takes_its_time_to_refuse_is_not_told_out_as_gone() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    assert!(bench.wait(ms(4_900)).is_empty());
    bench.frame(agent, refuse(path, Code::TryLater));
    assert_eq!(
        bench.wait(secs(101)),
        ["104900 1 drop", "104900 gone 7"],
        "it was there all the time"
    );
}

#[test]
fn an_agent_that_accepts_and_does_not_dial_is_told_out_as_gone() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    bench.recorded(0);
    bench.wait(ms(1_500));
    bench.frame(agent, accept(path));
    assert_eq!(bench.wait(secs(10)), ["4500 gone 7"]);
}

#[test]
fn a_silent_agent_is_absent_and_its_leg_is_closed() {
    let mut bench = Bench::new();
    bench.claimed(7);
    bench.recorded(0);
    assert_eq!(
        bench.wait(secs(6)),
        [
            "5000 2< ERROR ABSENT 15",
            "5000 2 close",
            "5000 end 0 ABSENT accept",
            "5000 1 drop",
            "5000 gone 7"
        ]
    );
    bench.assert_empties();
}

#[test]
fn no_record_in_time_or_a_failed_one_joins_nobody() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    bench.wait(secs(4));
    bench.frame(agent, accept(path));
    let expected = [
        "2< ERROR AUDIT_UNAVAILABLE 15",
        "2 close",
        "end 0 AUDIT_UNAVAILABLE accept",
        "1 drop",
    ];
    let mut lines = bench.wait(secs(2));
    assert_eq!(lines.pop().as_deref(), Some("5000 gone 7"));
    assert_eq!(lines, expected.map(|line| format!("5000 {line}")));
    assert!(bench.recorded(0).is_empty(), "too late");
    bench.assert_empties();

    let mut bench = Bench::new();
    bench.claimed(7);
    bench
        .node
        .recorded(AttemptTicket(0), Err(Code::AuditUnavailable), bench.now);
    let lines = bench.out();
    assert_eq!(
        (&lines[..4], &lines[4..]),
        (&expected.map(String::from)[..], &["gone 7".to_owned()][..])
    );
    bench.assert_empties();
}
