//! What one device and one organisation may use, arrivals beyond the plan, and the return window (PROTOCOL.md §5.10).
use std::sync::Arc;

use telerelay_outer::LegKey;
use telerelay_outer::node::{Cause, Command, Decision, Node, Plan, Rule, Side, Snapshot};
use telerelay_wire::Moment;
use telerelay_wire::ids::Role;
use telerelay_wire::limits;
use telerelay_wire::outer::{Error, Frame};

use crate::bench::{
    Bench, EPOCH, accept, ask, client_of, connect, greeting, hello, ms, organisation, secs,
    snapshot,
};

/// A client's device that asks; what the node says to that.
fn asks(bench: &mut Bench, number: u8) -> (LegKey, Vec<String>) {
    let leg = bench.leg(client_of(1, number), Side::Both);
    bench.frame(leg, hello(Role::Client, number, 1));
    let said = bench.frame(leg, connect(number));
    (leg, said)
}

fn planned(arrivals_per_s: u32, handshakes_per_s: u32) -> Bench {
    let node = Node::new(greeting(), EPOCH, Moment::ZERO);
    Bench::with(node.with_plan(Plan {
        arrivals_per_s,
        handshakes_per_s,
    }))
}

fn is_asked(said: &[String]) -> bool {
    said.iter().any(|line| line.starts_with("ask"))
}

/// The rules that have refused somebody, and how often.
fn throttled(bench: &Bench) -> Vec<(Rule, u64)> {
    let counts = bench.node.throttled().into_iter();
    counts.filter(|(_, count)| *count > 0).collect()
}

/// The last ERROR that was sent.
fn error(bench: &Bench) -> &Error {
    let found = bench
        .commands
        .iter()
        .rev()
        .find_map(|command| match command {
            Command::Send(_, Frame::Error(error)) => Some(error),
            _ => None,
        });
    found.expect("an ERROR")
}

#[test]
fn who_guesses_is_throttled_and_nobody_else() {
    let mut bench = Bench::new();
    for _ in 0..=limits::CONNECTS_PER_MINUTE {
        let (leg, said) = asks(&mut bench, 50);
        assert!(is_asked(&said), "{said:?}");
        bench.gone(leg);
    }
    let (leg, said) = asks(&mut bench, 50);
    let key = leg.0;
    assert_eq!(
        said,
        [
            format!("{key}< ERROR THROTTLED 2"),
            format!("{key} close"),
            "end 31 THROTTLED route".to_owned()
        ]
    );
    assert_eq!(throttled(&bench), [(Rule::ConnectsPerMinute, 1)]);
    // The computer's owner asks for the same one.
    assert!(is_asked(&asks(&mut bench, 51).1));
    // The next try is one's own again when it was said to be.
    bench.wait(secs(2));
    assert!(is_asked(&asks(&mut bench, 50).1));
    assert!(!is_asked(&asks(&mut bench, 50).1));
}

#[test]
fn a_device_has_so_many_legs() {
    let mut bench = Bench::new();
    for _ in 0..limits::LEGS_PER_DEVICE {
        let leg = bench.leg(client_of(1, 50), Side::Both);
        assert!(bench.frame(leg, hello(Role::Client, 1, 1))[0].contains("WELCOME"));
    }
    let late = bench.leg(client_of(1, 50), Side::Both);
    assert!(bench.frame(late, hello(Role::Client, 1, 1))[0].contains("ERROR THROTTLED"));
    assert_eq!(throttled(&bench), [(Rule::LegsPerDevice, 1)]);
    let other = bench.leg(client_of(1, 51), Side::Both);
    assert!(bench.frame(other, hello(Role::Client, 1, 1))[0].contains("WELCOME"));
    bench.gone(LegKey(1));
    let again = bench.leg(client_of(1, 50), Side::Both);
    assert!(bench.frame(again, hello(Role::Client, 1, 1))[0].contains("WELCOME"));
    bench.assert_empties();
}

#[test]
fn an_organisation_has_as_many_sessions_as_the_operator_gives_it() {
    let mut bench = Bench::new();
    let (_, _, path, _) = bench.paired(7);
    let given = Snapshot {
        sessions: [(organisation(1), 2)].into(),
        ..snapshot()
    };
    bench.node.set_snapshot(Arc::new(given), bench.now);
    let (waiting, said) = asks(&mut bench, 50);
    assert!(is_asked(&said));
    let (_, said) = asks(&mut bench, 51);
    assert!(said[0].contains("ERROR QUOTA"), "{said:?}");
    assert_eq!(throttled(&bench), [(Rule::OrganisationSessions, 1)]);
    // Another organisation has its own.
    let theirs = bench.leg(client_of(2, 52), Side::Both);
    bench.frame(theirs, hello(Role::Client, 1, 1));
    assert!(is_asked(&bench.frame(theirs, connect(9))));
    bench.gone(waiting);
    assert!(is_asked(&asks(&mut bench, 53).1));
    bench.path_ended(path, Cause::Leg);
    assert!(is_asked(&asks(&mut bench, 54).1));
    assert!(!is_asked(&asks(&mut bench, 55).1));
}

#[test]
fn an_organisation_has_so_many_requests_under_way() {
    let mut bench = planned(1_000_000, 1);
    let per_device = 16;
    for number in 0..limits::ORGANISATION_REQUESTS {
        let number = u8::try_from(number / per_device).expect("few");
        assert!(is_asked(&asks(&mut bench, number).1));
    }
    let (_, said) = asks(&mut bench, 200);
    assert!(said[0].contains("ERROR BUSY"), "{said:?}");
    assert_eq!(throttled(&bench), [(Rule::OrganisationRequests, 1)]);
}

#[test]
fn arrivals_beyond_the_plan_wait_in_turn_and_the_rest_is_told_its_place() {
    // Ten a second: one at once and one ahead of its time; twenty wait.
    let mut bench = planned(10, 1);
    let came: Vec<_> = (0..22).map(|number| asks(&mut bench, number)).collect();
    let at_once = came.iter().filter(|(_, said)| is_asked(said)).count();
    assert_eq!(at_once, 2);
    assert_eq!(bench.node.census().waiting, 20);
    for place in 21..=23 {
        let (_, said) = asks(&mut bench, 100 + place);
        assert!(said[0].contains("ERROR BUSY 3"), "{said:?}");
        assert_eq!(error(&bench).place, Some(u32::from(place)));
    }
    assert_eq!(throttled(&bench), [(Rule::Arrivals, 3)]);
    // Who leaves makes room, and those who wait are asked about in the order in which they came.
    bench.gone(came[2].0);
    assert!(asks(&mut bench, 60).1.is_empty());
    let asked: Vec<_> = bench
        .wait(secs(2))
        .into_iter()
        .filter(|line| line.contains("ask"))
        .collect();
    assert_eq!(asked.len(), 20, "{asked:?}");
    assert!(asked[0].starts_with("100 ask 3"), "{asked:?}");
    assert!(asked[1].starts_with("200 ask 4"), "{asked:?}");
}

#[test]
fn nobody_is_sent_away_for_longer_than_a_minute() {
    let mut bench = planned(1, 1);
    for number in 0..100 {
        asks(&mut bench, number);
    }
    assert_eq!(error(&bench).retry, Some(60));
}

#[test]
fn a_live_session_does_not_notice_twice_the_planned_arrivals() {
    let mut bench = planned(10, 1);
    let (agent, _, path) = bench.claimed(7);
    bench.frame(agent, accept(path));
    bench.recorded(0);
    bench.out();
    let mut asked = 0;
    for number in 0..200_u8 {
        asked += usize::from(is_asked(&asks(&mut bench, number).1));
        asked += bench
            .wait(ms(50))
            .iter()
            .filter(|line| line.contains("ask"))
            .count();
    }
    // Ten seconds at ten a second, and what may come ahead.
    assert!((100..=102).contains(&asked), "{asked}");
    assert_eq!(bench.node.census().paths, 1);
}

#[test]
fn a_denial_leaves_its_time_after_the_question_however_long_it_waited() {
    let mut bench = planned(10, 1);
    for number in 0..4 {
        asks(&mut bench, number);
    }
    bench.wait(ms(100));
    let denied = Decision::Deny(telerelay_wire::Code::Denied.into());
    assert!(bench.decide(2, denied).is_empty());
    let said = bench.wait(ms(200));
    assert!(
        said.iter()
            .any(|line| line.starts_with("300 3< ERROR DENIED")),
        "{said:?}"
    );
}

#[test]
fn the_return_window_grows_with_those_who_would_come_back() {
    // Eight handshakes a second, six of them for agents; the setting says 30 at least.
    let mut bench = planned(10, 8);
    let mut ready = LegKey(0);
    let told = |bench: &mut Bench, leg| {
        bench.frame(leg, ask());
        let last = bench
            .commands
            .iter()
            .rev()
            .find_map(|command| match command {
                Command::Send(_, Frame::Keepalive(keepalive)) => keepalive.return_window,
                _ => None,
            });
        last.expect("a window")
    };
    for number in 0..=200 {
        ready = bench.agent(number);
        bench.out();
        if number == 100 {
            assert_eq!(told(&mut bench, ready), 30);
        }
    }
    // One of them is revoked.
    assert_eq!(told(&mut bench, ready), 34);
}
