//! The accept loop: takes connections as long as there is room for them, and hands them to the workers in turn.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::connection::{self, Entrance};
use crate::counters::Counted;
use crate::event::{PLACES, PLACES_PER_CONNECTION};

/// How long accepting pauses where the machine has no descriptor left, or whoever is told is far behind. Connections wait in the
/// kernel meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts on one address until the node has drained. Runs on the first worker.
pub(crate) async fn run(listener: Arc<TcpListener>, entrance: Entrance, workers: Vec<Handle>) {
    let control = entrance.control.clone();
    let accept = async {
        let mut next = 0;
        loop {
            if !has_room(&entrance) {
                pause(&entrance, "too much is untold").await;
                continue;
            }
            match listener.accept().await {
                Ok((socket, address)) => {
                    hand_out(&entrance, &workers, next, socket, address);
                    next = (next + 1) % workers.len();
                }
                // The other end left before it was taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => pause(&entrance, &error.to_string()).await,
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = control.drained() => {}
    }
}

/// Each connection that is let in has the places of everything that it may still tell.
fn has_room(entrance: &Entrance) -> bool {
    let open = usize::try_from(entrance.control.counters.connections.get()).unwrap_or(usize::MAX);
    let reserved = open.saturating_add(1).saturating_mul(PLACES_PER_CONNECTION);
    entrance.control.told.waiting().saturating_add(reserved) <= PLACES
}

async fn pause(entrance: &Entrance, why: &str) {
    entrance.control.counters.accept_pauses.add(1);
    tracing::warn!(code = "MACHINE", why, "accepting pauses");
    tokio::time::sleep(PAUSE).await;
}

fn hand_out(
    entrance: &Entrance,
    workers: &[Handle],
    worker: usize,
    socket: TcpStream,
    address: SocketAddr,
) {
    let counters = &entrance.control.counters;
    counters.accepted.add(1);
    let counted = Counted::new(counters, |counters| &counters.connections);
    let entrance = entrance.clone();
    if worker == 0 {
        // Its socket is registered with this runtime already.
        tokio::spawn(connection::run(entrance, socket, address, counted, worker));
        return;
    }
    match socket.into_std() {
        Ok(socket) => {
            workers[worker].spawn(async move {
                match TcpStream::from_std(socket) {
                    Ok(socket) => {
                        connection::run(entrance, socket, address, counted, worker).await;
                    }
                    Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
                }
            });
        }
        Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
    }
}
