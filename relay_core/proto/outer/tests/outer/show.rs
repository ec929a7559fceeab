//! Commands and frames as short lines, so that a test shows exactly what came out.
use telerelay_outer::{How, LegKey, agent, client, node};
use telerelay_wire::outer::{Error, Frame};

/// A frame with the fields that tests look at.
pub(crate) fn frame(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Hello(hello) => format!("HELLO {} {}", hello.role, hello.counter),
        Frame::Welcome(_) => "WELCOME".into(),
        Frame::Error(Error {
            code, retry: None, ..
        }) => format!("ERROR {code}"),
        Frame::Error(Error {
            code,
            retry: Some(retry),
            ..
        }) => format!("ERROR {code} {retry}"),
        Frame::Keepalive(keepalive) if keepalive.ask => "KEEPALIVE ask".into(),
        Frame::Keepalive(_) => "KEEPALIVE".into(),
        Frame::Goaway(_) => "GOAWAY".into(),
        Frame::Cut(cut) => format!("CUT {}", cut.code),
        Frame::News(news) => format!("NEWS {} {}", news.kind, news.version),
        Frame::Incoming(incoming) => format!("INCOMING {}", incoming.attempt.0[4]),
        Frame::Accept(_) => "ACCEPT".into(),
        Frame::Refuse(refuse) => format!("REFUSE {}", refuse.code),
        Frame::Connect(connect) if connect.resume.is_some() => "CONNECT resume".into(),
        Frame::Connect(_) => "CONNECT".into(),
        Frame::Redirect(redirect) => format!("REDIRECT {}", redirect.node.name),
        Frame::Paired(_) => "PAIRED".into(),
        Frame::Path(path) => format!("PATH {}", path.bytes.len()),
        Frame::Switch(_) => "SWITCH".into(),
        Frame::SessionEnd(end) => format!("SESSION_END {} {}", end.code, end.stage),
    }
}

fn send(leg: LegKey, sent: &Frame<'_>) -> String {
    format!("{}< {}", leg.0, frame(sent))
}

fn close(leg: LegKey, how: How) -> String {
    match how {
        How::Flushed => format!("{} close", leg.0),
        How::AtOnce => format!("{} drop", leg.0),
    }
}

/// A command of a node. Devices are shown by the first byte of their ID.
pub(crate) fn of_node(command: &node::Command) -> String {
    use node::Command;
    match command {
        Command::Send(leg, sent) => send(*leg, sent),
        Command::Close(leg, how) => close(*leg, *how),
        Command::Ask(request) => format!("ask {}", request.ticket.0),
        Command::Join(join) => format!("join {} {}", join.agent.0, join.client.0),
        Command::AgentReady(ready) => format!("ready {}", ready.device.0[0]),
        Command::AgentGone { device, .. } => format!("gone {}", device.0[0]),
        Command::Terminal(end) => format!("end {} {} {}", end.ticket.0, end.code, end.stage),
        Command::Flagged { device, code, .. } => format!("flag {} {code}", device.0[0]),
        Command::Drained => "drained".into(),
    }
}

/// A command of an agent.
pub(crate) fn of_agent(command: &agent::Command) -> String {
    use agent::Command;
    match command {
        Command::Dial(leg, hop) => format!("{} dial {}", leg.0, hop.address),
        Command::Send(leg, sent) => send(*leg, sent),
        Command::Close(leg, how) => close(*leg, *how),
        Command::Verdict(_) => "verdict".into(),
        Command::StartPath { leg, direct, .. } => format!("{} {}", leg.0, path(*direct)),
        Command::Online { hop, .. } => format!("online {}", hop.address),
        Command::Offline {
            reason,
            wait: Some(_),
        } => format!("offline {reason}"),
        Command::Offline { reason, wait: None } => format!("offline {reason} for good"),
        Command::News(news) => format!("news {} {}", news.kind, news.version),
        Command::Goaway(_) => "goaway".into(),
        Command::Cut(cut) => format!("cut {}", cut.code),
    }
}

fn path(direct: bool) -> &'static str {
    if direct { "direct path" } else { "path" }
}

/// A command of a client.
pub(crate) fn of_client(command: &client::Command) -> String {
    use client::Command;
    match command {
        Command::Dial(leg, hop) => format!("{} dial {}", leg.0, hop.address),
        Command::Send(leg, sent) => send(*leg, sent),
        Command::Close(leg, how) => close(*leg, *how),
        Command::StartPath {
            leg,
            resume: None,
            direct,
            ..
        } => format!("{} {}", leg.0, path(*direct)),
        Command::StartPath {
            leg,
            resume: Some(resume),
            direct,
            ..
        } => format!("{} {} resume {}", leg.0, path(*direct), resume.generation),
        Command::Reached { stage, elapsed, .. } => format!("{stage} {} ms", elapsed.as_millis()),
        Command::Again(_) => "again".into(),
        Command::Learnt(network, lesson) => format!("{network}: {lesson:?}"),
        Command::Ended(end) => format!("end {} {}", end.code, end.stage),
    }
}
