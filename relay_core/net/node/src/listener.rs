//! The accept loop: takes connections as long as there is room for them, and hands them to the workers in turn.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use telerelay_wire::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::connection::{self, Arrival, Entrance};
use crate::counters::Counted;

/// Accepts on one address until the node has drained. Runs on the first worker.
pub(crate) async fn run(listener: Arc<TcpListener>, entrance: Entrance, workers: Vec<Handle>) {
    let control = entrance.control.clone();
    let accept = async {
        let mut next = 0;
        let mut pausing = false;
        loop {
            let why = match has_room(&entrance) {
                Err(why) => why.to_owned(),
                Ok(()) => match listener.accept().await {
                    Ok((socket, address)) => {
                        pausing = false;
                        hand_out(&entrance, &workers, next, socket, address);
                        next = (next + 1) % workers.len();
                        continue;
                    }
                    // The other end left before it was taken.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                    Err(error) => error.to_string(),
                },
            };
            control.counters.accept_pauses.add(1);
            if !std::mem::replace(&mut pausing, true) {
                tracing::warn!(code = "MACHINE", why, "accepting pauses");
            }
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
        }
    };
    tokio::select! {
        () = accept => {}
        () = control.drained() => {}
    }
}

/// Whether one more connection can be let in, or why not.
fn has_room(entrance: &Entrance) -> Result<(), &'static str> {
    // Each connection that is let in has the places of everything that it may still tell.
    let open = usize::try_from(entrance.control.counters.connections.get()).unwrap_or(usize::MAX);
    let reserved = open
        .saturating_add(1)
        .saturating_mul(limits::EVENT_PLACES_PER_CONNECTION);
    if entrance.control.told.waiting().saturating_add(reserved) > limits::EVENT_PLACES {
        return Err("too much is untold");
    }
    if !entrance.door.has_room() {
        return Err("the descriptors for connections are in use");
    }
    Ok(())
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
    let arrival = Arrival {
        socket,
        address,
        counted: Counted::new(counters, |counters| &counters.connections),
        visit: entrance.door.arrive(address.ip()),
    };
    let entrance = entrance.clone();
    if worker == 0 {
        // Its socket is registered with this runtime already.
        tokio::spawn(connection::run(entrance, arrival, worker));
        return;
    }
    let moved = arrival.try_map(TcpStream::into_std);
    workers[worker].spawn(async move {
        match moved.and_then(|arrival| arrival.try_map(TcpStream::from_std)) {
            Ok(arrival) => connection::run(entrance, arrival, worker).await,
            Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
        }
    });
}
