//! Every frame that can be made, for the property tests. Raw bodies are owned here and borrowed when they are framed.
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use telerelay_wire::bounded::{List, Octets, Text};
use telerelay_wire::code::{Code, Reason};
use telerelay_wire::ids::{
    AttemptId, ComputerId, DeviceId, Instance, NewsKind, NodeAddress, NodeName, NoticeHash, PathId,
    Proof, Resume, Role, Service, SessionId, Stage,
};
use telerelay_wire::{inner, outer};

/// An outer frame whose bytes are its own.
#[derive(Clone, Debug)]
pub(crate) enum OuterFrame {
    Body(outer::Frame<'static>),
    Path(Vec<u8>),
}

impl<'a> From<&'a OuterFrame> for outer::Frame<'a> {
    fn from(frame: &'a OuterFrame) -> Self {
        match frame {
            OuterFrame::Body(frame) => frame.clone(),
            OuterFrame::Path(bytes) => outer::Path { bytes }.into(),
        }
    }
}

/// An inner frame whose bytes are its own.
#[derive(Clone, Debug)]
pub(crate) enum InnerFrame {
    Body(inner::Frame<'static>),
    Data(u64, Vec<u8>),
}

impl<'a> From<&'a InnerFrame> for inner::Frame<'a> {
    fn from(frame: &'a InnerFrame) -> Self {
        match frame {
            InnerFrame::Body(frame) => frame.clone(),
            InnerFrame::Data(offset, bytes) => inner::Data {
                offset: *offset,
                bytes,
            }
            .into(),
        }
    }
}

/// Any outer frame.
#[expect(clippy::too_many_lines, reason = "a list of all frames")]
pub(crate) fn outer() -> impl Strategy<Value = OuterFrame> {
    use outer::*;
    let path = || any::<[u8; 16]>().prop_map(PathId);
    let early = || option::of(octets());
    let body = prop_oneof![
        (
            any::<u16>(),
            select(Role::ALL),
            features(),
            instance(),
            any::<u64>(),
            text()
        )
            .prop_map(|(version, role, features, instance, counter, program)| {
                Hello {
                    version,
                    role,
                    features,
                    instance,
                    counter,
                    program,
                }
                .into()
            }),
        (
            any::<u16>(),
            features(),
            name(),
            any::<u16>(),
            any::<u64>(),
            any::<u16>(),
            option::of(text())
        )
            .prop_map(
                |(version, features, node, keepalive, nodes_version, return_window, banner)| {
                    Welcome {
                        version,
                        features,
                        node,
                        keepalive,
                        nodes_version,
                        return_window,
                        banner,
                    }
                    .into()
                }
            ),
        (
            code(),
            any::<Option<u32>>(),
            any::<u64>(),
            option::of(attempt()),
            option::of(list(any::<u16>())),
            any::<Option<u32>>()
        )
            .prop_map(|(code, retry, server_time, attempt, supported, place)| {
                Error {
                    code,
                    retry,
                    server_time,
                    attempt,
                    supported,
                    place,
                }
                .into()
            }),
        any::<(bool, Option<u16>)>().prop_map(|(ask, return_window)| Keepalive {
            ask,
            return_window
        }
        .into()),
        (list(node()), any::<u16>()).prop_map(|(nodes, spread)| Goaway { nodes, spread }.into()),
        (path(), code()).prop_map(|(path, code)| Cut { path, code }.into()),
        (select(NewsKind::ALL), any::<u64>(), option::of(octets())).prop_map(
            |(kind, version, document)| News {
                kind,
                version,
                document
            }
            .into()
        ),
        (
            path(),
            attempt(),
            any::<[u8; 32]>().prop_map(DeviceId),
            select(Service::ALL),
            text(),
            text(),
            option::of(resume()),
            early()
        )
            .prop_map(
                |(path, attempt, client, service, address, program, resume, early)| {
                    Incoming {
                        path,
                        attempt,
                        client,
                        service,
                        address,
                        program,
                        resume,
                        early,
                    }
                    .into()
                }
            ),
        (path(), early()).prop_map(|(path, early)| Accept { path, early }.into()),
        (path(), attempt(), code()).prop_map(|(path, attempt, code)| Refuse {
            path,
            attempt,
            code
        }
        .into()),
        (
            any::<[u8; 10]>().prop_map(ComputerId),
            select(Service::ALL),
            attempt(),
            option::of(resume()),
            early()
        )
            .prop_map(|(computer, service, attempt, resume, early)| {
                Connect {
                    computer,
                    service,
                    attempt,
                    resume,
                    early,
                }
                .into()
            }),
        (node(), option::of(attempt()))
            .prop_map(|(node, attempt)| Redirect { node, attempt }.into()),
        path().prop_map(|path| Paired { path }.into()),
        Just(Switch {}.into()),
        (
            path(),
            code(),
            select(Stage::ALL),
            option::of(session()),
            list(any::<[u8; 32]>().prop_map(NoticeHash))
        )
            .prop_map(|(path, code, stage, session, notices)| {
                SessionEnd {
                    path,
                    code,
                    stage,
                    session,
                    notices,
                }
                .into()
            }),
    ];
    prop_oneof![
        15 => body.prop_map(OuterFrame::Body),
        1 => vec(any::<u8>(), 1..=usize::from(PATH_MAXIMUM)).prop_map(OuterFrame::Path),
    ]
}

/// Any inner frame.
pub(crate) fn inner() -> impl Strategy<Value = InnerFrame> {
    use inner::*;
    let path = || any::<[u8; 16]>().prop_map(PathId);
    let hash = || any::<[u8; 32]>().prop_map(NoticeHash);
    let body = prop_oneof![
        (text(), octets()).prop_map(|(method, nonce)| AuthAsk { method, nonce }.into()),
        (text(), octets()).prop_map(|(method, answer)| AuthAnswer { method, answer }.into()),
        Just(AuthDone {}.into()),
        (hash(), text()).prop_map(|(hash, text)| Notice { hash, text }.into()),
        hash().prop_map(|hash| Confirm { hash }.into()),
        (
            select(Service::ALL),
            instance(),
            text(),
            attempt(),
            path(),
            option::of(octets())
        )
            .prop_map(|(service, instance, program, attempt, path, posture)| {
                Open {
                    service,
                    instance,
                    program,
                    attempt,
                    path,
                    posture,
                }
                .into()
            }),
        (
            session(),
            any::<u32>(),
            any::<u32>(),
            list(text()),
            list(node())
        )
            .prop_map(|(session, resume_limit, idle_timeout, rules, nodes)| {
                Opened {
                    session,
                    resume_limit,
                    idle_timeout,
                    rules,
                    nodes,
                }
                .into()
            }),
        any::<u64>().prop_map(|offset| Ack { offset }.into()),
        any::<u64>().prop_map(|offset| Fin { offset }.into()),
        any::<u64>().prop_map(|token| Ping { token }.into()),
        any::<u64>().prop_map(|token| Pong { token }.into()),
        node().prop_map(|node| Standby { node }.into()),
        any::<u16>().prop_map(|within| Migrate { within }.into()),
        (
            session(),
            any::<u32>(),
            any::<u64>(),
            any::<[u8; 32]>().prop_map(Proof),
            attempt(),
            path()
        )
            .prop_map(|(session, generation, received, proof, attempt, path)| {
                ResumeAsk {
                    session,
                    generation,
                    received,
                    proof,
                    attempt,
                    path,
                }
                .into()
            }),
        any::<u64>().prop_map(|received| Resumed { received }.into()),
        (code(), select(Stage::ALL)).prop_map(|(code, stage)| Close { code, stage }.into()),
    ];
    let data = (
        any::<u64>(),
        vec(any::<u8>(), 1..=usize::from(DATA_MAXIMUM)),
    );
    prop_oneof![
        16 => body.prop_map(InnerFrame::Body),
        1 => data.prop_map(|(offset, bytes)| InnerFrame::Data(offset, bytes)),
    ]
}

/// Text of `MIN` to `MAX` bytes, mostly short, sometimes of the greatest length.
fn text<const MIN: usize, const MAX: usize>() -> impl Strategy<Value = Text<MIN, MAX>> {
    let short = "[a-z/.é画 ]{0,12}"
        .prop_filter_map("too short or too long", |text| Text::try_from(text).ok());
    prop_oneof![8 => short, 1 => Just(()).prop_map(|()| Text::try_from("x".repeat(MAX)).expect("the greatest length"))]
}

fn octets<const MIN: usize, const MAX: usize>() -> impl Strategy<Value = Octets<MIN, MAX>> {
    vec(any::<u8>(), MIN..=MAX).prop_map(|bytes| Octets::try_from(bytes).expect("within bounds"))
}

fn list<T: std::fmt::Debug, const MIN: usize, const MAX: usize>(
    item: impl Strategy<Value = T>,
) -> impl Strategy<Value = List<T, MIN, MAX>> {
    vec(item, MIN..=MAX).prop_map(|items| List::try_from(items).expect("within bounds"))
}

fn features() -> impl Strategy<Value = outer::Features> {
    list(text())
}

fn name() -> impl Strategy<Value = NodeName> {
    "[a-z]([a-z0-9-]{0,61}[a-z0-9])?".prop_map(|name| name.parse().expect("a label"))
}

fn node() -> impl Strategy<Value = NodeAddress> {
    (name(), list(text())).prop_map(|(name, addresses)| NodeAddress { name, addresses })
}

fn instance() -> impl Strategy<Value = Instance> {
    any::<[u8; 16]>().prop_map(Instance)
}

fn attempt() -> impl Strategy<Value = AttemptId> {
    any::<[u8; 5]>().prop_map(AttemptId)
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<[u8; 16]>().prop_map(SessionId)
}

fn resume() -> impl Strategy<Value = Resume> {
    (session(), any::<u32>()).prop_map(|(session, generation)| Resume {
        session,
        generation,
    })
}

fn code() -> impl Strategy<Value = Reason> {
    let unknown = "[A-Z][A-Z_]{1,31}".prop_map(|code| code.parse().expect("the form of a code"));
    prop_oneof![select(Code::ALL).prop_map(Reason::Known), unknown]
}
