//! A path whose legs have both put their outer TLS down: its sockets go to the engine, and nothing of it stays here.
use std::io;

use telerelay_engine as engine;
use telerelay_outer::node::{Cause, PathEnd};
use telerelay_outer::{Purpose, Traffic};

use super::Path;
use crate::control::{Control, PathGuard};

/// Gives a path to the engine's thread beside this worker; its end is told from there.
pub(super) fn hand_over(control: &Control, worker: usize, path: Path, end: PathGuard) {
    let id = end.path();
    let legs = end.legs();
    match sockets(path, end) {
        Ok(path) => match control.to_engine(worker, legs, path) {
            Ok(()) => tracing::debug!(path = %id, "direct"),
            // Dropped, it closes its sockets and tells its end.
            Err(_path) => tracing::warn!(path = %id, "the engine has no room for a path"),
        },
        Err(error) => tracing::warn!(path = %id, %error, "a path could not be given to the engine"),
    }
}

/// The path as the engine takes it.
fn sockets(path: Path, mut end: PathGuard) -> io::Result<engine::Path> {
    end.so_far = PathEnd {
        traffic: path.traffic(),
        kind: path.kind,
        cause: Cause::Leg,
    };
    let (agent, agent_counted) = path.agent.into_direct()?;
    let (client, client_counted) = path.client.into_direct()?;
    let test = path.purpose == Purpose::Test;
    let counted = [path.live, agent_counted, client_counted];
    let done = move |outcome: engine::Outcome| {
        drop(counted);
        tracing::debug!(path = %end.path(), reason = ?outcome.reason, "ended");
        // As a whole it belongs to this closure, or it would tell the end at once.
        end.ending = outcome.reason.into();
        end.carried(Traffic {
            to_client: outcome.to_client.total(),
            to_agent: outcome.to_agent.total(),
        });
    };
    Ok(engine::Path {
        agent,
        client,
        test,
        done: Box::new(done),
    })
}
