//! One request of a client, from its first dial to its one end (PROTOCOL.md §5.5).
use core::time::Duration;

use telerelay_outer::client::{Client, Command, Config, PathEnd};
use telerelay_outer::{DIRECT, LegKey, Networks, PathChoice};
use telerelay_wire::ids::{
    AttemptId, ComputerId, Instance, NodeAddress, PathId, Resume, Service, SessionId, Stage,
};
use telerelay_wire::outer::{Error, Frame, Paired, Redirect, Welcome};
use telerelay_wire::{Code, FrameError, Moment};

use crate::bench::{EPOCH, Seeded, ask, local, ms, node, program, secs};
use crate::show;

/// A client with a virtual clock; the test plays the node.
pub(crate) struct Home {
    pub(crate) client: Client,
    pub(crate) now: Moment,
    entropy: Seeded,
    commands: Vec<Command>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::with(vec![node("n1", &["n1:1", "n1:2"])])
    }

    fn with(nodes: Vec<NodeAddress>) -> Self {
        Self::set_to(config(nodes))
    }

    pub(crate) fn set_to(config: Config) -> Self {
        let mut entropy = Seeded(1);
        let client = Client::new(config, EPOCH, Moment::ZERO, &mut entropy);
        Self::of(client, entropy)
    }

    fn of(client: Client, entropy: Seeded) -> Self {
        Self {
            client,
            now: Moment::ZERO,
            entropy,
            commands: Vec::new(),
        }
    }

    pub(crate) fn out(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(command) = self.client.poll_command() {
            lines.push(show::of_client(&command));
            self.commands.push(command);
        }
        lines
    }

    fn wait(&mut self, duration: Duration) -> Vec<String> {
        let until = self.now + duration;
        let mut lines = Vec::new();
        while let Some(at) = self.client.next_timeout().filter(|&at| at <= until) {
            self.now = at;
            self.client.timeout(at);
            lines.extend(
                self.out()
                    .into_iter()
                    .map(|line| format!("{} {line}", at.micros() / 1_000)),
            );
        }
        self.now = until;
        lines
    }

    pub(crate) fn up(&mut self, leg: u64) -> Vec<String> {
        self.client.leg_up(LegKey(leg), local(), self.now);
        self.out()
    }

    fn gone(&mut self, leg: u64, code: Code) -> Vec<String> {
        self.client.leg_gone(LegKey(leg), code, self.now);
        self.out()
    }

    pub(crate) fn frame(&mut self, leg: u64, frame: Frame<'_>) -> Vec<String> {
        self.client.frame(LegKey(leg), frame, self.now);
        self.out()
    }

    fn lose(&mut self, resume: Option<Resume>) -> Vec<String> {
        self.end(PathEnd::Lost {
            stage: Stage::Session,
            resume,
        })
    }

    pub(crate) fn end(&mut self, end: PathEnd) -> Vec<String> {
        self.client.path_ended(end, self.now, &mut self.entropy);
        self.out()
    }

    /// Asked on leg 0.
    fn asked() -> Self {
        let mut home = Self::new();
        home.up(0);
        home.frame(0, welcome());
        home
    }

    /// Path 1 on leg 0.
    pub(crate) fn on_path() -> Self {
        let mut home = Self::asked();
        home.frame(0, paired());
        home
    }
}

pub(crate) fn config(nodes: Vec<NodeAddress>) -> Config {
    Config {
        nodes,
        instance: Instance([1; 16]),
        features: Vec::new().try_into().expect("fits"),
        program: program(),
        computer: ComputerId([1; 10]),
        service: Service::Rfb,
        path: PathChoice::Auto,
        networks: Networks::default(),
    }
}

fn welcome() -> Frame<'static> {
    welcome_with(&[])
}

/// WELCOME of a node that does SWITCH.
pub(crate) fn welcome_direct() -> Frame<'static> {
    welcome_with(&[DIRECT])
}

fn welcome_with(features: &[&str]) -> Frame<'static> {
    let features: Vec<_> = features
        .iter()
        .map(|&feature| feature.try_into().expect("fits"))
        .collect();
    Frame::Welcome(Welcome {
        version: 1,
        features: features.try_into().expect("fits"),
        node: "n1".parse().expect("a name"),
        keepalive: 45,
        nodes_version: 3,
        return_window: 5,
        banner: None,
    })
}

pub(crate) fn paired() -> Frame<'static> {
    Frame::Paired(Paired {
        path: PathId([1; 16]),
    })
}

fn error(code: Code, retry: Option<u32>) -> Frame<'static> {
    Frame::Error(Error {
        code: code.into(),
        retry,
        server_time: EPOCH + 5,
        attempt: None,
        supported: None,
        place: None,
    })
}

fn redirect(name: &str, addresses: &[&str]) -> Frame<'static> {
    Frame::Redirect(Redirect {
        node: node(name, addresses),
        attempt: None,
    })
}

fn session(generation: u32) -> Resume {
    Resume {
        session: SessionId([3; 16]),
        generation,
    }
}

#[test]
fn a_request_tells_its_stages_and_becomes_a_path() {
    let mut home = Home::new();
    assert_eq!(home.out(), ["0 dial n1:1"]);
    home.wait(ms(18));
    assert_eq!(
        home.up(0),
        ["dial 18 ms", "0< HELLO client 1", "0< CONNECT"],
        "in one flight"
    );
    assert!(home.up(0).is_empty());
    home.wait(ms(4));
    assert_eq!(home.frame(0, welcome()), ["hello 22 ms"]);
    home.wait(ms(30));
    assert_eq!(home.frame(0, paired()), ["accept 52 ms", "0 path"]);
    let Some(&Command::StartPath {
        path,
        attempt,
        resume,
        ..
    }) = home.commands.last()
    else {
        panic!()
    };
    assert_eq!(
        (path, attempt, resume),
        (PathId([1; 16]), home.client.attempt(), None)
    );
    home.wait(ms(10));
    home.client.reached(Stage::Inner, home.now);
    home.client.reached(Stage::Session, home.now);
    assert_eq!(home.out(), ["inner 62 ms", "session 62 ms"]);
    assert!(
        home.wait(secs(600)).is_empty(),
        "a path has no deadline here"
    );
    home.client.path_ended(
        PathEnd::Closed {
            code: Code::Done.into(),
            stage: Stage::Session,
        },
        home.now,
        &mut home.entropy,
    );
    assert_eq!(home.out(), ["end DONE session"]);
}

#[test]
fn every_address_is_tried_and_the_telling_failure_is_shown() {
    let mut home = Home::new();
    assert_eq!(home.wait(secs(4)), Vec::<String>::new());
    assert_eq!(home.out(), ["0 dial n1:1"]);
    assert_eq!(home.wait(secs(1)), ["5000 0 drop", "5000 1 dial n1:2"]);
    assert_eq!(home.gone(1, Code::Unreachable), ["end UNREACHABLE dial"]);
    let mut home = Home::new();
    home.out();
    assert_eq!(home.gone(0, Code::Pin), ["1 dial n1:2"]);
    assert_eq!(home.gone(1, Code::Unreachable), ["end PIN dial"]);
    let mut nobody = Home::with(Vec::new());
    assert_eq!(nobody.out(), ["end UNREACHABLE dial"]);
}

#[test]
fn busy_nodes_say_when_to_come_back() {
    let mut home = Home::new();
    home.out();
    assert_eq!(home.gone(0, Code::Busy), ["1 dial n1:2"]);
    assert_eq!(home.gone(1, Code::Unreachable), ["end BUSY dial"]);
    let Some(Command::Ended(end)) = home.commands.last() else {
        panic!()
    };
    assert_eq!(end.retry, Some(5));
}

#[test]
fn a_node_that_leaves_before_welcome_is_an_address_that_failed() {
    let mut home = Home::new();
    home.up(0);
    assert_eq!(home.gone(0, Code::Unreachable), ["1 dial n1:2"]);
    home.up(1);
    let mut home = Home::asked();
    home.out();
    assert_eq!(
        home.gone(0, Code::Unreachable),
        ["end UNREACHABLE route"],
        "an attempt is not made twice"
    );
}

#[test]
fn error_ends_the_attempt_with_its_code() {
    for welcomed in [false, true] {
        let mut home = Home::new();
        home.up(0);
        if welcomed {
            home.frame(0, welcome());
        }
        let stage = if welcomed { "route" } else { "hello" };
        assert_eq!(
            home.frame(0, error(Code::Busy, Some(9))),
            ["0 drop".to_owned(), format!("end BUSY {stage}")]
        );
        let Some(Command::Ended(end)) = home.commands.last() else {
            panic!()
        };
        assert_eq!((end.retry, end.server_time), (Some(9), Some(EPOCH + 5)));
    }
}

#[test]
fn a_code_of_another_version_is_kept() {
    let mut home = Home::asked();
    let Frame::Error(plain) = error(Code::Busy, None) else {
        unreachable!()
    };
    let code = "COFFEE_BREAK".parse().expect("a code");
    assert_eq!(
        home.frame(0, Frame::Error(Error { code, ..plain })),
        ["0 drop", "end COFFEE_BREAK route"]
    );
}

#[test]
fn no_answer_within_15_seconds_of_connect_is_unreachable() {
    let mut home = Home::new();
    home.wait(secs(4));
    home.up(0);
    home.wait(secs(10));
    home.frame(0, welcome());
    assert_eq!(
        home.wait(secs(6)),
        ["19000 0 drop", "19000 end UNREACHABLE route"]
    );
}

#[test]
fn three_redirects_are_followed_and_a_fourth_is_not() {
    let mut home = Home::asked();
    home.out();
    let attempt = home.client.attempt();
    for leg in 0..3 {
        let lines = home.frame(leg, redirect("n2", &["n2:1", "n2:2"]));
        assert_eq!(
            lines,
            [format!("{leg} drop"), format!("{} dial n2:1", leg + 1)]
        );
        home.up(leg + 1);
        let Some(Command::Send(_, Frame::Connect(connect))) = home.commands.last() else {
            panic!()
        };
        assert_eq!(connect.attempt, attempt, "the same attempt goes on there");
        home.frame(leg + 1, welcome());
    }
    assert_eq!(
        home.frame(3, redirect("n2", &["n2:1"])),
        ["3 drop", "end UNREACHABLE route"]
    );
}

#[test]
fn a_redirect_to_a_node_that_does_not_answer_is_unreachable() {
    let mut home = Home::asked();
    home.frame(0, redirect("n2", &["n2:1", "n2:2"]));
    assert_eq!(
        home.gone(1, Code::Unreachable),
        ["2 dial n2:2"],
        "only that node's addresses"
    );
    assert_eq!(home.gone(2, Code::Unreachable), ["end UNREACHABLE dial"]);
}

#[test]
fn a_node_that_breaks_the_rules_ends_the_request() {
    let broke = ["0< ERROR BAD_FRAME", "0 close"];
    let mut home = Home::new();
    home.up(0);
    assert_eq!(
        home.frame(0, paired()),
        [&broke[..], &["end BAD_FRAME hello"]].concat(),
        "PAIRED before WELCOME"
    );
    let mut home = Home::asked();
    home.out();
    assert_eq!(
        home.frame(0, ask()),
        [&broke[..], &["end BAD_FRAME route"]].concat()
    );
    let mut home = Home::asked();
    home.out();
    home.client
        .frame_error(LegKey(0), FrameError::TooShort { kind: 0x30 }, home.now);
    assert_eq!(home.out(), [&broke[..], &["end BAD_FRAME route"]].concat());
    let mut home = Home::new();
    home.up(0);
    let Frame::Welcome(plain) = welcome() else {
        unreachable!()
    };
    let lines = home.frame(
        0,
        Frame::Welcome(Welcome {
            version: 2,
            ..plain
        }),
    );
    assert_eq!(lines, ["0< ERROR VERSION", "0 close", "end VERSION hello"]);
}

#[test]
fn a_lost_path_is_asked_for_once_more_as_an_attempt_of_its_own() {
    let mut home = Home::on_path();
    home.wait(secs(60));
    let first = home.client.attempt();
    home.out();
    assert_eq!(home.lose(Some(session(1))), ["again", "1 dial n1:1"]);
    assert_ne!(home.client.attempt(), first);
    home.wait(ms(20));
    assert_eq!(
        home.up(1),
        ["dial 20 ms", "1< HELLO client 2", "1< CONNECT resume"]
    );
    let Some(Command::Send(_, Frame::Connect(connect))) = home.commands.last() else {
        panic!()
    };
    assert_eq!(
        (connect.attempt, connect.resume),
        (home.client.attempt(), Some(session(1)))
    );
    home.frame(1, welcome());
    let mut refused = home;
    assert_eq!(
        refused.frame(1, error(Code::Absent, Some(15))),
        ["1 drop", "end ABSENT route"],
        "its answer is the end"
    );
}

#[test]
fn the_standby_is_dialled_first_by_whoever_resumes() {
    let nodes = [node("n1", &["n1:1"]), node("n2", &["n2:1"])];
    for seed in 0..10 {
        let mut home = Home::on_path();
        home.entropy = Seeded(seed);
        home.client.set_standby(nodes[1].clone());
        assert_eq!(home.lose(Some(session(1))), ["again", "1 dial n2:1"]);
        assert_eq!(home.gone(1, Code::Unreachable), ["2 dial n1:1"]);

        let mut entropy = Seeded(seed);
        let standby = Some(nodes[1].clone());
        let beside = Client::resuming(
            config(nodes.to_vec()),
            session(4),
            standby,
            EPOCH,
            Moment::ZERO,
            &mut entropy,
        );
        let mut beside = Home::of(beside, entropy);
        assert_eq!(beside.out(), ["0 dial n2:1"]);
        assert_eq!(
            beside.up(0),
            ["dial 0 ms", "0< HELLO client 1", "0< CONNECT resume"]
        );
        beside.frame(0, welcome());
        assert_eq!(
            beside.frame(0, paired()),
            ["accept 0 ms", "0 path resume 4"]
        );
    }
}

#[test]
fn a_resumed_path_may_be_lost_again() {
    let mut home = Home::on_path();
    home.lose(Some(session(1)));
    home.up(1);
    home.frame(1, welcome());
    assert_eq!(home.frame(1, paired()), ["accept 0 ms", "1 path resume 1"]);
    assert_eq!(home.lose(Some(session(2))), ["again", "2 dial n1:1"]);
}

#[test]
fn where_no_node_answers_within_three_seconds_the_session_is_over() {
    let mut home = Home::on_path();
    home.out();
    home.lose(Some(session(1)));
    assert_eq!(
        home.wait(secs(10)),
        ["3000 1 drop", "3000 end UNREACHABLE dial"]
    );
    let mut home = Home::on_path();
    home.lose(Some(session(1)));
    home.gone(1, Code::Unreachable);
    assert_eq!(
        home.gone(2, Code::Unreachable),
        ["end UNREACHABLE dial"],
        "at once where nobody listens"
    );
}

#[test]
fn a_node_that_answers_with_a_redirect_has_answered_in_time() {
    let mut home = Home::on_path();
    home.lose(Some(session(1)));
    home.up(1);
    home.frame(1, welcome());
    home.out();
    home.wait(ms(2_900));
    assert_eq!(
        home.frame(1, redirect("n2", &["n2:1"])),
        ["1 drop", "2 dial n2:1"]
    );
    assert!(home.wait(secs(1)).is_empty());
    assert_eq!(
        home.up(2).last().map(String::as_str),
        Some("2< CONNECT resume")
    );
}

#[test]
fn a_path_that_is_lost_before_a_session_was_open_is_lost() {
    let mut home = Home::on_path();
    assert_eq!(home.lose(None), ["end PATH_LOST session"]);
}

#[test]
fn a_person_may_give_up_at_any_time_before_there_is_a_path() {
    let mut home = Home::new();
    home.out();
    home.client.cancel(home.now);
    assert_eq!(home.out(), ["0 drop", "end INTERRUPTED dial"]);
    let mut home = Home::on_path();
    home.client.cancel(home.now);
    assert!(home.out().is_empty());
}

#[test]
fn nothing_follows_the_end() {
    let mut home = Home::asked();
    home.frame(0, error(Code::Denied, None));
    home.out();
    assert!(home.up(0).is_empty() && home.gone(0, Code::Unreachable).is_empty());
    assert!(home.frame(0, paired()).is_empty() && home.lose(Some(session(1))).is_empty());
    home.client.cancel(home.now);
    home.client.reached(Stage::Inner, home.now);
    assert!(home.wait(secs(60)).is_empty() && home.out().is_empty());
    assert_ne!(home.client.attempt(), AttemptId([0; 5]));
}
