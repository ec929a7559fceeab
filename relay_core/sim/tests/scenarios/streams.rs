//! What a session does where an end takes less than the other one gives.
use std::time::Duration;

use telerelay_sim::{
    AgentPlan, ClientPlan, Ends, NetworkPlan, Produces, ProgramPlan, Scenario, What, Who,
};
use telerelay_wire::{Code, limits};

use crate::told::play;

/// More than windows, sockets and the network hold together.
const PLENTY: u64 = 16 << 20;

/// One agent, one client, and what stands before them.
fn pair(desktop: ProgramPlan, viewer: ProgramPlan) -> Scenario {
    Scenario {
        agents: vec![AgentPlan::of(1, desktop)],
        clients: vec![ClientPlan::of(1, 1, viewer)],
        runs_for: Duration::from_mins(3),
        ..Scenario::calm(1, 1)
    }
}

#[test]
fn a_viewer_that_is_frozen_for_a_minute_costs_no_path_and_no_byte() {
    let frozen = Duration::from_mins(1);
    let viewer = ProgramPlan {
        freezes: Some((Duration::from_millis(100), frozen)),
        ..ProgramPlan::eager(Produces::Bytes(1_000), Ends::WhenDone)
    };
    let desktop = ProgramPlan::eager(Produces::Bytes(PLENTY), Ends::WhenDone);
    // Its resume limit is 0: a lost path would be its end.
    let told = play(&pair(desktop, viewer));

    assert_eq!(told.ends(0), [Code::Done]);
    told.brought(PLENTY, 1_000);
    assert_eq!(told.joined().len(), 1);
    for never in [What::PathLost, What::Disconnected, What::DialsBeside] {
        assert_eq!(told.ever(&never), [], "{never:?}");
    }
    // It stood still with a full window, and the agent asked all the time whether the path lives.
    assert_eq!(told.session().screen.most_under_way, limits::WINDOW_SCREEN);
    let pings = told.when(Who::Agent(0), &What::Said("PING")).len() as u64;
    assert!(
        pings >= frozen.as_secs() / limits::PING_BUSY.as_secs() - 1,
        "{pings}"
    );
}

#[test]
fn an_echo_with_more_data_than_all_buffers_never_stalls() {
    // The viewer writes far faster than it reads, and the echo reads no more than it is rid of.
    let viewer = ProgramPlan {
        reads: 1_000,
        ..ProgramPlan::eager(Produces::Bytes(PLENTY), Ends::WhenDone)
    };
    let desktop = ProgramPlan::eager(Produces::Echo, Ends::BehindTheOther);
    let network = NetworkPlan {
        latency: (Duration::from_millis(1), Duration::from_millis(2)),
        ..NetworkPlan::CALM
    };
    let told = play(&Scenario {
        network,
        ..pair(desktop, viewer)
    });

    assert_eq!(told.ends(0), [Code::Done]);
    told.brought(PLENTY, PLENTY);
    let session = told.session();
    // Full but for what was written and is not acknowledged yet.
    for (stream, window) in [
        (session.screen, limits::WINDOW_SCREEN),
        (session.input, limits::WINDOW_INPUT),
    ] {
        let full = window - limits::ACK_BYTES..=window;
        assert!(full.contains(&stream.most_under_way), "{stream:?}");
    }
}
