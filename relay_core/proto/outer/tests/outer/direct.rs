//! Which paths are direct: what agent and client decide, and what they learn (PROTOCOL.md §6).
use core::time::Duration;

use telerelay_outer::agent::Verdict;
use telerelay_outer::client::{Config, PathEnd};
use telerelay_outer::{Lesson, Network, Networks, PathChoice};
use telerelay_wire::ids::{NodeAddress, PathId, Stage};
use telerelay_wire::{Code, Moment};

use crate::bench::{local, node};
use crate::client::{Home, config, paired, welcome_direct};
use crate::office::{Office, incoming, paired as agent_paired};

const UNPROVEN: PathEnd = PathEnd::Unproven {
    stage: Stage::Auth,
    is_own: true,
    code: Code::PathLost,
};
const MINUTE: Duration = Duration::from_mins(1);

fn one_node() -> Vec<NodeAddress> {
    vec![node("n1", &["n1:1"])]
}

/// What a client does with PAIRED, dialled on this leg.
fn paired_on(home: &mut Home, leg: u64) -> String {
    home.up(leg);
    home.frame(leg, welcome_direct());
    home.frame(leg, paired()).pop().expect("a path")
}

#[test]
fn a_client_goes_direct_where_the_node_does() {
    assert_eq!(paired_on(&mut Home::new(), 0), "0 direct path");
}

#[test]
fn a_client_stays_wrapped_by_configuration() {
    let mut home = Home::set_to(Config {
        path: PathChoice::Wrapped,
        ..config(one_node())
    });
    assert_eq!(paired_on(&mut home, 0), "0 path");
}

#[test]
fn a_client_stays_wrapped_where_direct_failed_and_only_there() {
    for (node, expected) in [("n1", "0 path"), ("n2", "0 direct path")] {
        let mut networks = Networks::default();
        let network = Network::new(node.parse().expect("a name"), local());
        networks.learn(&network, Lesson::Failed, Moment::ZERO);
        let mut home = Home::set_to(Config {
            networks,
            ..config(one_node())
        });
        assert_eq!(paired_on(&mut home, 0), expected, "{node}");
    }
}

#[test]
fn a_leg_that_did_not_prove_itself_is_dialled_again_wrapped_as_another_attempt() {
    let mut home = Home::set_to(config(one_node()));
    paired_on(&mut home, 0);
    let first = home.client.attempt();
    assert_eq!(
        home.end(UNPROVEN),
        ["n1 from 192.0.2.0/24: Failed", "again", "1 dial n1:1"]
    );
    assert_ne!(home.client.attempt(), first);
    assert_eq!(paired_on(&mut home, 1), "1 path");
    home.client.reached(Stage::Session, home.now);
    assert_eq!(home.out(), ["session 0 ms"], "nothing is learnt from it");
}

#[test]
fn a_path_is_asked_for_again_once_and_whoevers_leg_it_was() {
    let mut home = Home::set_to(Config {
        path: PathChoice::Wrapped,
        ..config(one_node())
    });
    paired_on(&mut home, 0);
    let lost = PathEnd::Unproven {
        stage: Stage::Open,
        is_own: false,
        code: Code::PathLost,
    };
    assert_eq!(
        home.end(lost.clone()),
        ["again", "1 dial n1:1"],
        "the agent's was perhaps not let through"
    );
    assert_eq!(paired_on(&mut home, 1), "1 path");
    assert_eq!(home.end(lost.clone()), ["end PATH_LOST open"]);
    let mut home = Home::on_path();
    assert_eq!(
        home.end(lost),
        ["end PATH_LOST open"],
        "no leg was direct at this node"
    );
}

#[test]
fn an_alert_is_a_refusal_where_no_leg_can_have_broken() {
    let alert = PathEnd::Unproven {
        stage: Stage::Inner,
        is_own: false,
        code: Code::Identity,
    };
    let mut home = Home::on_path();
    assert_eq!(home.end(alert.clone()), ["end IDENTITY inner"]);
    let mut home = Home::new();
    paired_on(&mut home, 0);
    assert_eq!(home.end(alert.clone()), ["again", "1 dial n1:1"]);
    assert_eq!(paired_on(&mut home, 1), "1 path");
    assert_eq!(
        home.end(alert),
        ["end IDENTITY inner"],
        "wrapped it is told again"
    );
}

#[test]
fn a_client_tells_where_direct_proved_itself() {
    let mut home = Home::new();
    paired_on(&mut home, 0);
    home.client.reached(Stage::Open, home.now);
    home.client.reached(Stage::Session, home.now);
    assert_eq!(
        home.out(),
        ["open 0 ms", "n1 from 192.0.2.0/24: Proved", "session 0 ms"]
    );
}

/// An agent whose ready connection stands on leg 0, at a node that does SWITCH.
fn ready(path: PathChoice) -> Office {
    let mut office = Office::set_to(one_node(), path);
    office.start();
    office.up(0);
    office.frame(0, welcome_direct());
    office
}

/// The next path, on this leg; the next ready connection stands on the one behind it.
fn next_path(office: &mut Office, leg: u8) -> String {
    let path = leg + 1;
    office.frame(leg.into(), incoming(path));
    office.verdict(path, Verdict::Allow);
    let begun = office.frame(leg.into(), agent_paired(path)).pop();
    office.up(u64::from(leg) + 1);
    office.frame(u64::from(leg) + 1, welcome_direct());
    begun.expect("a path")
}

/// A path's direct leg did not prove itself.
fn fail(office: &mut Office, path: u8) {
    office.agent.unproven(PathId([path; 16]), office.now);
    office.end_path_at(path, Code::PathLost, Stage::Auth);
}

#[test]
fn an_agent_goes_direct_where_the_node_does_and_it_is_not_told_otherwise() {
    assert_eq!(next_path(&mut ready(PathChoice::Auto), 0), "0 direct path");
    assert_eq!(next_path(&mut ready(PathChoice::Wrapped), 0), "0 path");
    let mut office = Office::ready();
    office.frame(0, incoming(1));
    office.verdict(1, Verdict::Allow);
    assert_eq!(office.frame(0, agent_paired(1)), ["0 path"], "not listed");
}

#[test]
fn an_agent_stays_wrapped_for_a_while_where_a_leg_did_not_prove_itself() {
    let mut office = ready(PathChoice::Auto);
    next_path(&mut office, 0);
    fail(&mut office, 1);
    assert_eq!(next_path(&mut office, 1), "1 path");
    office.now += MINUTE;
    assert_eq!(next_path(&mut office, 2), "2 direct path");
    fail(&mut office, 3);
    office.now += MINUTE;
    assert_eq!(next_path(&mut office, 3), "3 path", "twice as long");
    office.now += MINUTE;
    assert_eq!(next_path(&mut office, 4), "4 direct path");
}

#[test]
fn an_agent_forgets_what_failed_once_a_session_ran() {
    let mut office = ready(PathChoice::Auto);
    next_path(&mut office, 0);
    fail(&mut office, 1);
    office.now += MINUTE;
    next_path(&mut office, 1);
    office.end_path(2, Code::Done);
    next_path(&mut office, 2);
    fail(&mut office, 3);
    office.now += MINUTE;
    assert_eq!(
        next_path(&mut office, 3),
        "3 direct path",
        "as the first time"
    );
}

#[test]
fn what_a_client_that_left_early_showed_says_nothing_of_the_network() {
    let mut office = ready(PathChoice::Auto);
    next_path(&mut office, 0);
    office.end_path_at(1, Code::Identity, Stage::Inner);
    assert_eq!(next_path(&mut office, 1), "1 direct path");
}
