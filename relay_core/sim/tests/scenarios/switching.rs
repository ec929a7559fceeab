//! Legs that put their outer TLS down while bytes flow: early, late, one before the other, one never.
use std::time::Duration;

use telerelay_outer::PathKind;
use telerelay_sim::{AgentPlan, ClientPlan, Ends, Produces, ProgramPlan, Scenario, What, Who};
use telerelay_wire::Code;

use crate::told::{Told, play};

const BYTES: u64 = 500_000;

/// When a leg switches, counted from the end of its inner handshake.
const TIMES: [Option<Duration>; 4] = [
    None,
    Some(Duration::ZERO),
    Some(Duration::from_secs(1)),
    Some(Duration::from_secs(3)),
];

/// An echo that takes several seconds, over a path whose legs switch at these times.
fn echo(seed: u64, agent: Option<Duration>, client: Option<Duration>) -> Scenario {
    let at = |time: Option<Duration>| time.map(|time| (time, time));
    let viewer = ProgramPlan {
        writes: 2_000,
        pause: (Duration::from_millis(10), Duration::from_millis(10)),
        ..ProgramPlan::eager(Produces::Bytes(BYTES), Ends::WhenDone)
    };
    let desktop = ProgramPlan::eager(Produces::Echo, Ends::BehindTheOther);
    let mut scenario = Scenario::calm(seed, 1);
    scenario.nodes[0].is_direct = true;
    scenario.agents = vec![AgentPlan {
        switches: at(agent),
        ..AgentPlan::of(1, desktop)
    }];
    scenario.clients = vec![ClientPlan {
        switches: at(client),
        ..ClientPlan::of(1, 1, viewer)
    }];
    scenario
}

/// The only path, and whose legs switched, in turn.
fn path(told: &Told) -> (PathKind, Vec<Who>) {
    assert_eq!(told.ends(0), [Code::Done]);
    told.brought(BYTES, BYTES);
    let kinds = told.all(|_, what| match what {
        What::PathOver { kind, .. } => Some(*kind),
        _ => None,
    });
    let [(over, kind)] = kinds[..] else {
        panic!("one path: {kinds:?}");
    };
    let switched = told.all(|_, what| match what {
        What::Switched { leg, .. } => Some(*leg),
        _ => None,
    });
    let took = over.since(told.joined()[0].at);
    assert!(
        took > Duration::from_secs(4),
        "bytes flow all the time: {took:?}"
    );
    (kind, switched.into_iter().map(|(_, leg)| leg).collect())
}

#[test]
fn legs_switch_each_on_its_own_while_bytes_flow() {
    let mut seed = 0;
    for agent in TIMES {
        for client in TIMES {
            seed += 1;
            let (kind, switched) = path(&play(&echo(seed, agent, client)));
            let mut due: Vec<_> = [(agent, Who::Agent(0)), (client, Who::Client(0))]
                .into_iter()
                .filter_map(|(time, who)| Some((time?, who)))
                .collect();
            due.sort();
            let expected = match due.len() {
                0 => PathKind::Wrapped,
                1 => PathKind::Mixed,
                _ => PathKind::Direct,
            };
            assert_eq!(kind, expected, "{agent:?} {client:?}");
            assert_eq!(switched.len(), due.len());
            if agent != client {
                let due: Vec<_> = due.into_iter().map(|(_, who)| who).collect();
                assert_eq!(switched, due);
            }
        }
    }
}

#[test]
fn no_leg_switches_at_a_node_that_does_not_say_direct() {
    for time in TIMES {
        let mut scenario = echo(1, time, time);
        scenario.nodes[0].is_direct = false;
        assert_eq!(path(&play(&scenario)), (PathKind::Wrapped, Vec::new()));
    }
}
