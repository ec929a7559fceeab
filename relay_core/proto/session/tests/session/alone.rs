//! One end alone, fed with frames made by hand, and what it says read back as frames.
use telerelay_session::{
    AgentSession, ClientSession, Ended, Event, Offer, Pairing, PathExporter, PathKey, RECORD,
    Request, ResumeSecret, Role, Session,
};
use telerelay_wire::frame::{HEADER, Header, Layer};
use telerelay_wire::ids::{AttemptId, DeviceId, Instance, PathId, Service, SessionId};
use telerelay_wire::inner::{AuthDone, Data, Frame, Inner, Open, Opened};
use telerelay_wire::{Entropy, Moment};

/// The key of the first path of every session here.
pub(crate) const FIRST: PathKey = PathKey(0);
/// The device of every client here.
pub(crate) const CLIENT: DeviceId = DeviceId([0xc1; 32]);
/// When every session here begins.
pub(crate) const START: Moment = Moment(1_000_000);

/// Bytes that are the same in every run.
pub(crate) struct Counting(pub(crate) u8);

impl Entropy for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(self.0);
        self.0 += 1;
    }
}

pub(crate) fn pairing(path: PathKey) -> Pairing {
    let number = path.0.to_be_bytes()[7];
    Pairing {
        attempt: AttemptId([number; 5]),
        path: PathId([number; 16]),
    }
}

pub(crate) fn exporter(path: PathKey) -> PathExporter {
    PathExporter([path.0.to_be_bytes()[7]; 32])
}

pub(crate) fn secret() -> ResumeSecret {
    ResumeSecret::new([0x5e; 32])
}

pub(crate) fn offer(resume_limit: u32, notices: &[&str]) -> Offer {
    let notices: Vec<_> = notices
        .iter()
        .map(|text| (*text).try_into().unwrap())
        .collect();
    Offer {
        service: Service::Rfb,
        client: CLIENT,
        notices: notices.try_into().unwrap(),
        resume_limit,
        idle_timeout: 0,
        rules: vec!["screen only".try_into().unwrap()].try_into().unwrap(),
        nodes: vec![].try_into().unwrap(),
    }
}

pub(crate) fn request() -> Request {
    Request {
        service: Service::Rfb,
        instance: Instance([7; 16]),
        program: "test/1".try_into().unwrap(),
        posture: None,
    }
}

pub(crate) fn open_frame() -> Open {
    let Request {
        service,
        instance,
        program,
        posture,
    } = request();
    let Pairing { attempt, path } = pairing(FIRST);
    Open {
        service,
        instance,
        program,
        attempt,
        path,
        posture,
    }
}

pub(crate) fn new_agent(resume_limit: u32, notices: &[&str]) -> AgentSession {
    AgentSession::new(
        offer(resume_limit, notices),
        secret(),
        FIRST,
        pairing(FIRST),
        START,
    )
    .unwrap()
}

pub(crate) fn new_client() -> ClientSession {
    ClientSession::new(request(), secret(), FIRST, pairing(FIRST), START)
}

/// An agent whose session is open, with nothing left to say.
pub(crate) fn open_agent(resume_limit: u32) -> AgentSession {
    let mut agent = new_agent(resume_limit, &[]);
    agent.authenticated(FIRST, START);
    tell(&mut agent, FIRST, open_frame(), START);
    agent.desktop_connected(&mut Counting(1));
    said(&mut agent, FIRST, START);
    events(&mut agent);
    assert_eq!(agent.id(), Some(SessionId([1; 16])));
    agent
}

/// A client whose session is open, with nothing left to say.
pub(crate) fn open_client(resume_limit: u32) -> ClientSession {
    let mut client = new_client();
    tell(&mut client, FIRST, AuthDone {}, START);
    tell(&mut client, FIRST, opened_frame(resume_limit), START);
    said(&mut client, FIRST, START);
    events(&mut client);
    assert_eq!(client.id(), Some(SessionId([1; 16])));
    client
}

pub(crate) fn opened_frame(resume_limit: u32) -> Opened {
    Opened {
        session: SessionId([1; 16]),
        resume_limit,
        idle_timeout: 0,
        rules: vec![].try_into().unwrap(),
        nodes: vec![].try_into().unwrap(),
    }
}

pub(crate) fn data(offset: u64, bytes: &[u8]) -> Frame<'_> {
    Frame::Data(Data { offset, bytes })
}

pub(crate) fn encoded<'a>(frame: impl Into<Frame<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.into().encode(&mut bytes).unwrap();
    bytes
}

/// Gives a session one frame.
pub(crate) fn tell<'a, R: Role>(
    session: &mut Session<R>,
    path: PathKey,
    frame: impl Into<Frame<'a>>,
    now: Moment,
) {
    session.received(path, &encoded(frame), now);
}

/// Every record that a session has for a path, end to end.
pub(crate) fn said<R: Role>(session: &mut Session<R>, path: PathKey, now: Moment) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(record) = session.poll_transmit(path, now) {
        assert!((1..=RECORD).contains(&record.len()));
        let before = bytes.len();
        record.append_to(&mut bytes);
        assert_eq!(bytes.len() - before, record.len());
        assert_eq!(record.parts().concat(), bytes[before..]);
    }
    bytes
}

/// The frames that stand in these bytes, which must be whole.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some(header) = Header::parse(bytes) {
        let (frame, rest) = bytes.split_at(HEADER + usize::from(header.length));
        frames.push(Inner::decode(header.kind, &frame[HEADER..]).unwrap());
        bytes = rest;
    }
    assert!(bytes.is_empty());
    frames
}

/// The names of the frames that a session has for a path.
pub(crate) fn names<R: Role>(
    session: &mut Session<R>,
    path: PathKey,
    now: Moment,
) -> Vec<&'static str> {
    frames(&said(session, path, now))
        .iter()
        .map(Frame::name)
        .collect()
}

pub(crate) fn events<R: Role>(session: &mut Session<R>) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// How the session ended, which it must have told exactly once and last.
pub(crate) fn ended<R: Role>(session: &mut Session<R>) -> Ended {
    let mut events = events(session);
    let Some(Event::Ended(ended)) = events.pop() else {
        panic!("no end: {events:?}")
    };
    assert!(
        !events.iter().any(|event| matches!(event, Event::Ended(_))),
        "two ends"
    );
    assert!(session.is_ended());
    ended
}

/// Everything that waits for the local socket.
pub(crate) fn waiting<R: Role>(session: &Session<R>) -> Vec<u8> {
    session.poll_deliver().flatten().copied().collect()
}
