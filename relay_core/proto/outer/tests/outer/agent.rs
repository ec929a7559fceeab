//! The agent's state table row by row, and how it comes back (PROTOCOL.md §5.4, §5.7).
use core::time::Duration;

use telerelay_outer::LegKey;
use telerelay_outer::agent::{Command, Verdict};
use telerelay_wire::ids::{AttemptId, DeviceId, NewsKind, PathId};
use telerelay_wire::outer::{Cut, Frame, Goaway, Keepalive, News, Redirect, SessionEnd, Welcome};
use telerelay_wire::{Code, FrameError, limits};

use crate::bench::{Seeded, ask, connect, ms, node, pong, secs};
use crate::office::{Office, error, incoming, paired, welcome};

#[test]
fn an_agent_dials_at_once_says_hello_and_is_ready_when_welcomed() {
    let mut office = Office::new();
    assert!(office.wait(secs(60)).is_empty(), "not before it is started");
    assert_eq!(office.start(), ["0 dial n1:1"]);
    assert!(office.start().is_empty());
    assert_eq!(office.up(0), ["0< HELLO agent 1"]);
    assert!(office.up(0).is_empty());
    assert_eq!(office.frame(0, welcome(45, 20)), ["online n1:1"]);
    let Some(Command::Online { welcome, .. }) = office.commands.last() else {
        panic!()
    };
    assert_eq!(welcome.nodes_version, 3);
}

#[test]
fn an_address_that_does_not_answer_costs_five_seconds_and_a_round_fails_as_one() {
    let mut office = Office::new();
    office.start();
    assert_eq!(office.wait(secs(5)), ["5000 0 drop", "5000 1 dial n1:2"]);
    assert!(office.up(0).is_empty(), "too late");
    assert_eq!(office.gone(1), ["offline UNREACHABLE"]);
    assert!(
        office.next_dial() <= secs(1),
        "one failure: its window as it was"
    );
    assert_eq!(
        office
            .wait(secs(1))
            .first()
            .map(|line| line.ends_with("2 dial n1:1")),
        Some(true)
    );
}

#[test]
fn a_telling_failure_is_told() {
    let mut office = Office::new();
    office.start();
    office
        .agent
        .leg_gone(LegKey(0), Code::Pin, office.now, &mut office.entropy);
    office.out();
    assert_eq!(office.gone(1), ["offline PIN"]);
    let Some(Command::Offline { wait, .. }) = office.commands.last() else {
        panic!()
    };
    assert_eq!(*wait, Some(office.next_dial()));
}

#[test]
fn a_leg_that_is_lost_before_welcome_leads_to_the_next_address() {
    let mut office = Office::new();
    office.start();
    office.up(0);
    assert_eq!(office.gone(0), ["1 dial n1:2"]);
    office.up(1);
    // HELLO of every dial has a higher counter.
    let Some(Command::Send(_, Frame::Hello(hello))) = office.commands.last() else {
        panic!()
    };
    assert_eq!(hello.counter, 2);
    // WELCOME does not come.
    assert_eq!(
        office.wait(secs(10)),
        ["10000 1 drop", "10000 offline UNREACHABLE"]
    );
}

#[test]
fn errors_retry_is_a_lower_bound() {
    for retry in [0, 15, 300] {
        let mut office = Office::new();
        office.start();
        office.up(0);
        assert_eq!(
            office.frame(0, error(Code::TryLater, Some(retry))),
            ["0 drop", "offline TRY_LATER"]
        );
        let bounds = secs(retry.into())..=secs(u64::from(retry) + 2);
        assert!(
            bounds.contains(&office.next_dial()),
            "{:?}",
            office.next_dial()
        );
        // Not even for a live session.
        office.agent.set_live(true, office.now);
        assert_eq!(office.next_dial(), secs(retry.into()));
    }
}

#[test]
fn without_retry_the_agent_does_not_come_back() {
    for ready in [false, true] {
        let mut office = if ready {
            Office::ready()
        } else {
            Office::new()
        };
        if !ready {
            office.start();
            office.up(0);
        }
        office.out();
        assert_eq!(
            office.frame(0, error(Code::Revoked, None)),
            ["0 drop", "offline REVOKED for good"]
        );
        assert_eq!(office.agent.next_timeout(), None);
        office.agent.set_live(true, office.now);
        assert_eq!(office.agent.next_timeout(), None);
        assert_eq!(
            office.start(),
            ["1 dial n1:1"],
            "its owner may start it again"
        );
    }
}

#[test]
fn a_lost_ready_connection_comes_back_within_the_window_that_was_told() {
    let mut longest = Duration::ZERO;
    for seed in 0..200 {
        let mut office = Office::ready();
        office.entropy = Seeded(seed);
        assert_eq!(office.gone(0), ["offline UNREACHABLE"]);
        assert!(office.next_dial() <= secs(20));
        longest = longest.max(office.next_dial());
    }
    assert!(longest > secs(18), "{longest:?}");
    // KEEPALIVE's answer tells a newer one.
    let mut office = Office::ready();
    office.frame(
        0,
        Frame::Keepalive(Keepalive {
            ask: false,
            return_window: Some(1),
        }),
    );
    office.gone(0);
    assert!(office.next_dial() <= secs(1));
}

#[test]
fn busy_nodes_are_left_alone_for_a_while_before_the_window() {
    let mut longest = Duration::ZERO;
    for seed in 0..200 {
        let mut office = Office::ready();
        office.entropy = Seeded(seed);
        office.gone(0);
        office.wait(office.next_dial());
        office.gone_with(1, Code::Busy);
        assert_eq!(office.gone(2), ["offline BUSY"]);
        // Added, not the greater of the two: everybody was sent away with the same number.
        let window = office.next_dial().checked_sub(limits::BUSY_RETRY);
        longest = longest.max(window.expect("not before `busy_retry_s`"));
        assert!(longest <= secs(20));
    }
    assert!(longest > secs(18), "{longest:?}");
}

#[test]
fn a_success_ends_the_doubling() {
    for seed in 0..100 {
        let mut office = Office::new();
        office.start();
        for round in 0..4 {
            office.gone(2 * round);
            office.gone(2 * round + 1);
            let due = office.next_dial();
            office.wait(due);
        }
        office.up(8);
        office.frame(8, welcome(45, 20));
        office.entropy = Seeded(seed);
        assert_eq!(office.gone(8), ["offline UNREACHABLE"]);
        assert!(office.next_dial() <= secs(20));
    }
}

#[test]
fn with_a_live_session_it_dials_at_once() {
    let mut office = Office::on_path();
    office.agent.set_live(true, office.now);
    office.gone(1);
    assert_eq!(office.wait(Duration::ZERO), ["0 2 dial n1:1"]);
    // A session that comes to life while the agent waits.
    let mut office = Office::ready();
    office.gone(0);
    office.agent.set_live(true, office.now);
    assert_eq!(office.wait(Duration::ZERO), ["0 1 dial n1:1"]);
}

#[test]
fn keepalive_every_45_seconds_and_ten_to_answer() {
    let mut office = Office::ready();
    assert_eq!(office.wait(secs(45)), ["45000 0< KEEPALIVE ask"]);
    office.wait(secs(9));
    assert!(office.frame(0, pong()).is_empty());
    assert_eq!(office.wait(secs(45)), ["99000 0< KEEPALIVE ask"]);
    assert_eq!(
        office.wait(secs(10)),
        ["109000 0 drop", "109000 offline UNREACHABLE"]
    );
}

#[test]
fn the_node_may_ask_for_more_keepalives_not_for_fewer() {
    for (told, every) in [(0, 1), (10, 10), (600, 45)] {
        let mut office = Office::new();
        office.start();
        office.up(0);
        office.frame(0, welcome(told, 20));
        assert_eq!(
            office.wait(secs(every)),
            [format!("{every}000 0< KEEPALIVE ask")]
        );
    }
}

#[test]
fn a_ping_is_answered_at_once() {
    let mut office = Office::ready();
    assert_eq!(office.frame(0, ask()), ["0< KEEPALIVE"]);
    office.frame(0, incoming(1));
    assert_eq!(
        office.frame(0, ask()),
        ["0< KEEPALIVE"],
        "while a request is looked at, too"
    );
}

#[test]
fn what_a_node_tells_is_told_out() {
    let mut office = Office::ready();
    let news = News {
        kind: NewsKind::Computer,
        version: 8,
        document: None,
    };
    assert_eq!(office.frame(0, Frame::News(news)), ["news computer 8"]);
    let goaway = Goaway {
        nodes: Vec::new().try_into().expect("fits"),
        spread: 9,
    };
    assert_eq!(office.frame(0, Frame::Goaway(goaway)), ["goaway"]);
    let cut = Cut {
        path: PathId([1; 16]),
        code: Code::Revoked.into(),
    };
    assert_eq!(office.frame(0, Frame::Cut(cut)), ["cut REVOKED"]);
}

#[test]
fn an_allowed_request_is_accepted_and_the_next_dial_begins() {
    let mut office = Office::ready();
    assert_eq!(office.frame(0, incoming(1)), ["verdict"]);
    assert_eq!(
        office.verdict(1, Verdict::Allow),
        ["0< ACCEPT", "1 dial n1:1"]
    );
    assert_eq!(
        office.frame(0, pong()),
        Vec::<String>::new(),
        "the answer to a KEEPALIVE that INCOMING crossed"
    );
    assert_eq!(office.frame(0, paired(1)), ["0 path"]);
    let Some(Command::StartPath { incoming: told, .. }) = office.commands.last() else {
        panic!()
    };
    assert_eq!(
        (told.client, told.path),
        (DeviceId([9; 32]), PathId([1; 16]))
    );
    assert!(
        office.frame(0, ask()).is_empty(),
        "the leg is the driver's now"
    );
    assert!(
        office.verdict(1, Verdict::Allow).is_empty(),
        "a second verdict is ignored"
    );
}

#[test]
fn a_refused_request_leaves_the_leg_ready() {
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    assert_eq!(
        office.verdict(1, Verdict::Refuse(Code::Sessions.into())),
        ["0< REFUSE SESSIONS"]
    );
    let Some(Command::Send(_, Frame::Refuse(refuse))) = office.commands.last() else {
        panic!()
    };
    assert_eq!(
        (refuse.path, refuse.attempt),
        (PathId([1; 16]), AttemptId([1; 5]))
    );
    assert_eq!(office.frame(0, incoming(2)), ["verdict"]);
    assert!(
        office.verdict(1, Verdict::Allow).is_empty(),
        "the verdict on another request"
    );
    assert_eq!(
        office.wait(secs(5)),
        ["4000 0< REFUSE TRY_LATER"],
        "no verdict in time"
    );
    assert!(office.verdict(2, Verdict::Allow).is_empty(), "too late");
    assert_eq!(office.wait(secs(44)), ["49000 0< KEEPALIVE ask"]);
}

#[test]
fn without_paired_an_accepted_leg_is_closed() {
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    office.verdict(1, Verdict::Allow);
    office.up(1);
    office.frame(1, welcome(45, 20));
    assert_eq!(office.wait(secs(10)), ["10000 0 drop"]);
    assert!(office.frame(0, paired(1)).is_empty());

    for (told, lines) in [
        (error(Code::ClientGone, None), vec!["0 drop"]),
        (paired(2), vec!["0< ERROR PATH_UNKNOWN", "0 close"]),
        (incoming(2), vec!["0< ERROR BAD_FRAME", "0 close"]),
        (ask(), vec!["0< ERROR BAD_FRAME", "0 close"]),
    ] {
        let mut office = Office::ready();
        office.frame(0, incoming(1));
        office.verdict(1, Verdict::Allow);
        assert_eq!(office.frame(0, told), lines);
        office.up(1);
        office.frame(1, welcome(45, 20));
        assert!(
            office.wait(secs(20)).is_empty(),
            "and nothing is left of it"
        );
    }
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    office.verdict(1, Verdict::Allow);
    assert!(office.gone(0).is_empty());
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    office.verdict(1, Verdict::Allow);
    office.agent.frame_error(
        LegKey(0),
        FrameError::TooShort { kind: 0x30 },
        office.now,
        &mut office.entropy,
    );
    assert_eq!(office.out(), ["0< ERROR BAD_FRAME", "0 close"]);
}

#[test]
fn paired_without_consent_starts_nothing() {
    for asked in [false, true] {
        let mut office = Office::ready();
        if asked {
            office.frame(0, incoming(1));
        }
        let lines = office.frame(0, paired(1));
        assert_eq!(
            lines,
            ["0< ERROR BAD_FRAME", "0 close", "offline BAD_FRAME"]
        );
        assert!(office.verdict(1, Verdict::Allow).is_empty());
    }
}

#[test]
fn a_path_that_is_in_use_is_not_asked_for_again() {
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    office.verdict(1, Verdict::Allow);
    office.up(1);
    office.frame(1, welcome(45, 20));
    let refused = office.frame(1, incoming(1));
    assert_eq!(refused[..2], ["1< ERROR PATH_UNKNOWN", "1 close"]);
    let mut office = Office::on_path();
    let refused = office.frame(1, incoming(1));
    assert_eq!(refused[..2], ["1< ERROR PATH_UNKNOWN", "1 close"]);
}

#[test]
fn frames_that_a_state_does_not_name_end_the_leg() {
    let mut office = Office::new();
    office.start();
    office.up(0);
    assert_eq!(
        office.frame(0, incoming(1)),
        ["0< ERROR BAD_FRAME", "0 close", "offline BAD_FRAME"]
    );
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    assert_eq!(
        office.frame(0, incoming(2))[0],
        "0< ERROR BAD_FRAME",
        "a second request"
    );
    let mut office = Office::ready();
    assert_eq!(office.frame(0, connect(1))[0], "0< ERROR BAD_FRAME");
    let mut office = Office::ready();
    office.agent.frame_error(
        LegKey(0),
        FrameError::TooShort { kind: 0x30 },
        office.now,
        &mut office.entropy,
    );
    assert_eq!(
        office.out(),
        ["0< ERROR BAD_FRAME", "0 close", "offline BAD_FRAME"]
    );
    let mut office = Office::ready();
    let redirect = Redirect {
        node: node("n2", &["n2:1"]),
        attempt: None,
    };
    assert_eq!(
        office.frame(0, Frame::Redirect(redirect))[0],
        "0< ERROR UNSUPPORTED",
        "agents are not redirected yet"
    );
    let mut office = Office::new();
    office.start();
    office.up(0);
    let Frame::Welcome(plain) = welcome(45, 20) else {
        unreachable!()
    };
    assert_eq!(
        office.frame(
            0,
            Frame::Welcome(Welcome {
                version: 2,
                ..plain
            })
        )[0],
        "0< ERROR VERSION"
    );
}

#[test]
fn a_request_whose_leg_is_lost_needs_no_verdict() {
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    assert_eq!(office.gone(0), ["offline UNREACHABLE"]);
    assert!(office.verdict(1, Verdict::Allow).is_empty());
}

#[test]
fn the_end_of_a_path_is_reported_on_the_ready_connection() {
    let mut office = Office::on_path();
    assert_eq!(
        office.end_path(1, Code::Done),
        ["1< SESSION_END DONE session"]
    );
    assert!(office.end_path(1, Code::Done).is_empty(), "once");
    assert!(
        office.end_path(9, Code::Done).is_empty(),
        "a path that never was"
    );
}

#[test]
fn reports_wait_for_a_ready_connection() {
    let mut office = Office::on_path();
    office.gone(1);
    assert!(office.end_path(1, Code::PathLost).is_empty());
    office.agent.set_live(true, office.now);
    office.wait(Duration::ZERO);
    office.up(2);
    assert_eq!(
        office.frame(2, welcome(45, 20)),
        ["online n1:1", "2< SESSION_END PATH_LOST session"]
    );
    // While a request is looked at they wait, too.
    let mut office = Office::on_path();
    office.frame(1, incoming(2));
    assert!(office.end_path(1, Code::Done).is_empty());
    assert_eq!(
        office.verdict(2, Verdict::Refuse(Code::Busy.into())),
        ["1< REFUSE BUSY", "1< SESSION_END DONE session"]
    );
}

#[test]
fn at_most_64_reports_wait_and_the_oldest_go() {
    let mut office = Office::on_path();
    let mut leg = 1;
    for path in 2..=70 {
        office.frame(leg, incoming(path));
        office.verdict(path, Verdict::Allow);
        office.frame(leg, paired(path));
        leg += 1;
        office.up(leg);
        office.frame(leg, welcome(45, 20));
    }
    office.gone(leg);
    for path in 1..=70 {
        office.end_path(path, Code::PathLost);
    }
    office.agent.set_live(true, office.now);
    office.wait(Duration::ZERO);
    office.up(leg + 1);
    office.commands.clear();
    office.frame(leg + 1, welcome(45, 20));
    let reported: Vec<_> = office
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Send(_, Frame::SessionEnd(SessionEnd { path, .. })) => Some(path.0[0]),
            _ => None,
        })
        .collect();
    assert_eq!(reported.len(), limits::SESSION_END_BACKLOG);
    assert_eq!(reported, (7..=70).collect::<Vec<_>>());
}

#[test]
fn an_agent_that_stops_leaves_cleanly() {
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    office.verdict(1, Verdict::Allow);
    office.up(1);
    office.frame(1, welcome(45, 20));
    office.frame(1, incoming(2));
    office.agent.stop();
    assert_eq!(office.out(), ["1< REFUSE ABSENT", "1 close", "0 drop"]);
    assert_eq!(office.agent.next_timeout(), None);
    assert!(office.verdict(2, Verdict::Allow).is_empty());
}

#[test]
fn a_new_node_list_counts_for_the_next_dial() {
    let mut office = Office::ready();
    office.agent.set_nodes(Vec::new());
    office.agent.set_nodes(vec![node("n9", &["n9:1"])]);
    office.gone(0);
    assert!(
        office
            .wait(secs(20))
            .iter()
            .any(|line| line.ends_with("1 dial n9:1"))
    );
    let mut nobody = Office::with(Vec::new());
    assert_eq!(nobody.start(), ["offline UNREACHABLE"]);
    assert!(nobody.next_dial() > ms(0));
}
