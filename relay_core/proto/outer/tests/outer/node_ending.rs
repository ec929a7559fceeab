//! From the end of a path to its one terminal event (PROTOCOL.md §5.2, §5.6, §14).
use std::sync::Arc;

use telerelay_outer::node::{Cause, Command, Scope, Standing, Terminal};
use telerelay_outer::{LegKey, PathKind, Traffic};
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{NoticeHash, PathId, SessionId, Stage};
use telerelay_wire::outer::{Frame, Path, SessionEnd};
use telerelay_wire::{Code, FrameError};

use crate::bench::{
    Bench, agent_of, ask, device, ms, organisation, secs, session_end, snapshot, switch,
};

fn terminal(bench: &Bench) -> &Terminal {
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
fn a_reported_session_ends_with_the_agents_words_and_the_nodes_counts() {
    for report_first in [true, false] {
        let mut bench = Bench::new();
        let (_, _, path, ready) = bench.paired(7);
        bench.wait(secs(60));
        let report = SessionEnd {
            path,
            code: Code::Done.into(),
            stage: Stage::Session,
            session: Some(SessionId([5; 16])),
            notices: List::try_from(vec![NoticeHash([6; 32])]).unwrap(),
        };
        if report_first {
            assert!(bench.frame(ready, Frame::SessionEnd(report)).is_empty());
            assert_eq!(bench.path_ended(path, Cause::Leg), ["end 0 DONE session"]);
        } else {
            assert!(bench.path_ended(path, Cause::Leg).is_empty());
            bench.wait(ms(4_900));
            assert_eq!(
                bench.frame(ready, Frame::SessionEnd(report)),
                ["end 0 DONE session"]
            );
        }
        let end = terminal(&bench);
        assert_eq!(
            (&end.asked, end.path, end.path_kind),
            (&None, path, Some(PathKind::Wrapped))
        );
        assert_eq!(
            (end.organisation, end.client, end.agent),
            (organisation(1), device(101), Some(device(7)))
        );
        assert_eq!(
            end.duration,
            secs(60),
            "waiting for the report is not part of it"
        );
        assert_eq!(
            end.traffic,
            Traffic {
                to_client: 7_000,
                to_agent: 300
            }
        );
        assert_eq!(
            (end.session, end.notices.as_slice()),
            (Some(SessionId([5; 16])), &[NoticeHash([6; 32])][..])
        );
        assert!(
            bench.frame(ready, session_end(path, Code::Cut)).is_empty(),
            "a second word comes too late"
        );
        assert_eq!(bench.node.census().legs, 1);
        bench.gone(ready);
        bench.assert_empties();
    }
}

#[test]
fn a_session_that_nobody_reports_is_lost_after_five_seconds() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    assert!(bench.path_ended(path, Cause::Leg).is_empty());
    assert_eq!(bench.wait(secs(6)), ["5000 end 0 PATH_LOST inner"]);
    assert!(
        bench.frame(ready, session_end(path, Code::Done)).is_empty(),
        "too late, and no offence"
    );
    assert!(bench.path_ended(path, Cause::Leg).is_empty());
}

#[test]
fn the_first_report_counts() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    bench.frame(ready, session_end(path, Code::ViewerGone));
    bench.frame(ready, session_end(path, Code::Done));
    assert_eq!(
        bench.path_ended(path, Cause::Leg),
        ["end 0 VIEWER_GONE session"]
    );
}

#[test]
fn a_report_for_the_path_of_another_device_is_an_offence() {
    let mut bench = Bench::new();
    let (_, _, path, _) = bench.paired(7);
    let stranger = bench.agent(8);
    bench.out();
    assert_eq!(
        bench.frame(stranger, session_end(path, Code::Done)),
        ["4< ERROR PATH_UNKNOWN", "4 close", "gone 8"]
    );
    // The same device number in another organisation is a stranger too.
    let stranger = bench.leg(agent_of(2, 7), telerelay_outer::node::Side::Both);
    bench.frame(
        stranger,
        crate::bench::hello(telerelay_wire::ids::Role::Agent, 7, 1),
    );
    bench.path_ended(path, Cause::Leg);
    assert_eq!(
        bench.frame(stranger, session_end(path, Code::Done))[0],
        "5< ERROR PATH_UNKNOWN"
    );
    assert_eq!(bench.wait(secs(6)), ["5000 end 0 PATH_LOST inner"]);
}

#[test]
fn a_report_before_paired_is_an_offence() {
    let mut bench = Bench::new();
    let (agent, _, path) = bench.claimed(7);
    assert_eq!(
        bench.frame(agent, session_end(path, Code::Done))[0],
        "1< ERROR PATH_UNKNOWN"
    );
    assert!(
        bench
            .frame(LegKey(77), session_end(PathId([0; 16]), Code::Done))
            .is_empty()
    );
}

#[test]
fn switch_without_direct_ends_the_path() {
    for from_agent in [true, false] {
        let mut bench = Bench::new();
        let (agent, client, path, ready) = bench.paired(7);
        let leg = if from_agent { agent } else { client };
        assert_eq!(bench.frame(leg, switch()), ["1 close", "2 close"]);
        assert!(bench.frame(leg, switch()).is_empty(), "once is enough");
        bench.path_ended(path, Cause::Leg);
        assert_eq!(
            bench.frame(ready, session_end(path, Code::PathLost)),
            ["end 0 UNSUPPORTED session"]
        );
    }
}

#[test]
fn anything_but_path_on_a_path_is_bad() {
    let mut bench = Bench::new();
    let (agent, client, path, _) = bench.paired(7);
    assert!(
        bench
            .frame(agent, Frame::Path(Path { bytes: b"x" }))
            .is_empty()
    );
    assert_eq!(bench.frame(client, ask()), ["1 close", "2 close"]);
    bench.path_ended(path, Cause::Leg);
    assert_eq!(bench.wait(secs(6)), ["5000 end 0 BAD_FRAME inner"]);

    let mut bench = Bench::new();
    let (agent, _, path, _) = bench.paired(7);
    bench.node.frame_error(
        agent,
        FrameError::Flags {
            kind: 0x30,
            flags: 2,
        },
        bench.now,
    );
    assert_eq!(bench.out(), ["1 close", "2 close"]);
    bench.path_ended(path, Cause::Leg);
    assert_eq!(bench.wait(secs(6)), ["5000 end 0 BAD_FRAME inner"]);

    // The driver found it itself.
    let mut bench = Bench::new();
    let (_, _, path, _) = bench.paired(7);
    bench.path_ended(path, Cause::Breach(Code::BadFrame));
    assert_eq!(bench.wait(secs(6)), ["5000 end 0 BAD_FRAME inner"]);
}

#[test]
fn the_legs_of_a_path_end_by_path_ended_only() {
    let mut bench = Bench::new();
    let (agent, client, path, ready) = bench.paired(7);
    assert!(bench.gone(agent).is_empty() && bench.gone(client).is_empty());
    assert_eq!(bench.node.census().paths, 1);
    bench.path_ended(path, Cause::Leg);
    assert_eq!(
        (bench.node.census().paths, bench.node.census().legs),
        (0, 1)
    );
    bench.gone(ready);
    bench.assert_empties();
}

#[test]
fn a_cut_tells_the_agent_waits_a_second_and_closes_both() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    assert_eq!(
        bench.node.cut(
            Scope::Device(organisation(1), device(7)),
            Code::Cut,
            bench.now
        ),
        1
    );
    assert_eq!(bench.out(), ["3< CUT CUT"]);
    assert_eq!(bench.node.cut(Scope::All, Code::Drained, bench.now), 0);
    assert!(bench.out().is_empty(), "the first word counts");
    assert_eq!(bench.wait(ms(1_500)), ["1000 1 close", "1000 2 close"]);
    bench.path_ended(path, Cause::Leg);
    // Code of the node, everything else of the agent.
    assert_eq!(
        bench.frame(ready, session_end(path, Code::Done)),
        ["end 0 CUT session"]
    );
}

#[test]
fn a_cut_path_that_ends_in_its_last_second_is_not_closed_again() {
    let mut bench = Bench::new();
    let (_, client, path, _) = bench.paired(7);
    bench
        .node
        .cut(Scope::Organisation(organisation(1)), Code::Cut, bench.now);
    bench.out();
    bench.wait(ms(300));
    assert!(bench.path_ended(path, Cause::Leg).is_empty());
    assert_eq!(bench.wait(secs(6)), ["5300 end 0 CUT inner"]);
    assert!(bench.gone(client).is_empty());
}

#[test]
fn without_a_ready_connection_there_is_nobody_to_tell() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    bench.gone(ready);
    bench.node.cut(
        Scope::Device(organisation(1), device(101)),
        Code::Revoked,
        bench.now,
    );
    assert_eq!(bench.out(), ["1 close", "2 close"]);
    bench.path_ended(path, Cause::Leg);
    assert_eq!(bench.wait(secs(6)), ["5000 end 0 REVOKED inner"]);
    bench.assert_empties();
}

#[test]
fn a_cut_hits_its_scope_only_and_attempts_that_are_no_path_yet() {
    let mut bench = Bench::new();
    bench.claimed(7);
    bench.client(2);
    bench.out();
    assert_eq!(
        bench
            .node
            .cut(Scope::Organisation(organisation(2)), Code::Cut, bench.now),
        0
    );
    assert_eq!(
        bench.node.cut(
            Scope::Device(organisation(2), device(7)),
            Code::Cut,
            bench.now
        ),
        0
    );
    assert!(bench.out().is_empty());
    assert_eq!(
        bench.node.cut(
            Scope::Device(organisation(1), device(102)),
            Code::Cut,
            bench.now
        ),
        1
    );
    assert_eq!(
        bench.out(),
        ["3< ERROR CUT 15", "3 close", "end 1 CUT route"]
    );
    assert_eq!(
        bench.node.cut(
            Scope::Device(organisation(1), device(7)),
            Code::Cut,
            bench.now
        ),
        1
    );
    assert_eq!(
        bench.out(),
        [
            "2< ERROR CUT 15",
            "2 close",
            "end 0 CUT accept",
            "1 drop",
            "gone 7"
        ]
    );
}

#[test]
fn a_revoked_client_loses_its_path_through_the_agents_ready_connection() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    let mut next = snapshot();
    next.revoked.insert((organisation(1), device(101)));
    bench.node.set_snapshot(Arc::new(next), bench.now);
    assert_eq!(bench.out(), ["3< CUT REVOKED"]);
    assert_eq!(bench.wait(secs(1)), ["1000 1 close", "1000 2 close"]);
    bench.path_ended(path, Cause::Leg);
    assert_eq!(
        bench.frame(ready, session_end(path, Code::Revoked)),
        ["end 0 REVOKED session"]
    );
}

#[test]
fn a_revoked_agent_hears_of_its_paths_before_it_is_sent_away() {
    let mut bench = Bench::new();
    let (_, _, path, _) = bench.paired(7);
    let mut next = snapshot();
    next.revoked.insert((organisation(1), device(7)));
    bench.node.set_snapshot(Arc::new(next), bench.now);
    assert_eq!(
        bench.out(),
        ["3< CUT REVOKED", "3< ERROR REVOKED", "3 close", "gone 7"]
    );
    assert_eq!(bench.wait(secs(1)), ["1000 1 close", "1000 2 close"]);
    assert_eq!(
        bench.path_ended(path, Cause::Leg),
        ["end 0 REVOKED inner"],
        "no report of it can come"
    );
    bench.assert_empties();
}

#[test]
fn a_suspended_organisation_is_not_waited_for() {
    let mut suspended = snapshot();
    suspended
        .organisations
        .insert(organisation(1), Standing::Suspended);
    // Suspended while the path runs, and while its report is awaited.
    for path_first in [false, true] {
        let mut bench = Bench::new();
        let (_, _, path, _) = bench.paired(7);
        if path_first {
            assert!(bench.path_ended(path, Cause::Leg).is_empty());
        }
        bench
            .node
            .set_snapshot(Arc::new(suspended.clone()), bench.now);
        let told = bench.out();
        if path_first {
            assert_eq!(told.last().unwrap(), "end 0 PATH_LOST inner");
        } else {
            bench.wait(secs(1));
            assert_eq!(
                bench.path_ended(path, Cause::Leg),
                ["end 0 SUSPENDED inner"]
            );
        }
        bench.assert_empties();
    }
}

#[test]
fn what_an_agent_reported_before_it_was_turned_away_counts() {
    let mut bench = Bench::new();
    let (_, _, path, ready) = bench.paired(7);
    bench.frame(ready, session_end(path, Code::Done));
    let mut next = snapshot();
    next.revoked.insert((organisation(1), device(7)));
    bench.node.set_snapshot(Arc::new(next), bench.now);
    bench.out();
    // The node's code, the agent's stage.
    assert_eq!(
        bench.path_ended(path, Cause::Leg),
        ["end 0 REVOKED session"]
    );
}
