//! One connection from its first byte: handshake, then what its language asks for.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use telerelay_leg::accept::{Accepted, accept};
use telerelay_leg::config::{Language, NodeConfigs};
use telerelay_leg::trust::{self, Certified};
use telerelay_outer::node::{Holder, Identity, Side};
use telerelay_wire::ids::ClientAddress;
use telerelay_wire::outer::Reader;
use tokio::net::TcpStream;

use crate::control::{Control, LegGuard, Order};
use crate::counters::Counted;
use crate::door::{Door, Visit};
use crate::leg::Leg;
use crate::mailbox::Inbox;
use crate::{api, framed};

/// What a connection needs to know of where it came in.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub(crate) control: Arc<Control>,
    pub(crate) door: Arc<Door>,
    pub(crate) configs: NodeConfigs,
    pub(crate) side: Side,
}

/// A connection that was accepted, and counted.
pub(crate) struct Arrival<S> {
    pub(crate) socket: S,
    pub(crate) address: SocketAddr,
    pub(crate) counted: Counted,
    pub(crate) visit: Visit,
}

impl<S> Arrival<S> {
    /// The same connection with its socket made into another.
    pub(crate) fn try_map<T>(self, map: impl FnOnce(S) -> io::Result<T>) -> io::Result<Arrival<T>> {
        let Self {
            socket,
            address,
            counted,
            visit,
        } = self;
        Ok(Arrival {
            socket: map(socket)?,
            address,
            counted,
            visit,
        })
    }
}

/// Runs a connection to its end, on the worker of this number.
pub(crate) async fn run(entrance: Entrance, arrival: Arrival<TcpStream>, worker: usize) {
    let control = entrance.control.clone();
    let _panic = PanicCount(control.clone());
    // Boxed, like everything that an idle leg does not need: a task is as large as the largest thing that it holds itself.
    if let Some(Entered { leg, guard, inbox }) = Box::pin(enter(entrance, arrival, worker)).await {
        framed::run(control, leg, guard, inbox, worker).await;
    }
}

/// A connection that the machine knows.
struct Entered {
    leg: Leg,
    guard: LegGuard,
    inbox: Inbox<Order>,
}

/// From accepting to the leg that the machine knows; nothing where there is none, or no more.
async fn enter(entrance: Entrance, arrival: Arrival<TcpStream>, worker: usize) -> Option<Entered> {
    let Entrance {
        control,
        configs,
        side,
        ..
    } = entrance;
    let Arrival {
        mut socket,
        address,
        counted,
        visit,
    } = arrival;
    let (accepted, visit) = greet(&control, &configs, &mut socket, address, visit).await?;
    let address = ClientAddress::try_from(address.to_string()).ok()?;
    if accepted.language == Language::Http {
        api::run(control, socket, accepted, address, visit).await;
        return None;
    }
    let Accepted { tls, identity, .. } = accepted;
    // The configuration does not let anybody through without a certificate.
    let identity = machine_identity(&identity?);
    let (guard, inbox) = control.leg_up(worker, |machine, key, now| {
        machine.leg_up(key, identity, side, address, now);
    });
    let leg = Leg {
        socket,
        tls,
        frames: Reader::new(),
        counted,
    };
    Some(Entered { leg, guard, inbox })
}

/// The handshake. What is left of the visit where it shows nobody known; nothing where it comes to no end.
async fn greet(
    control: &Control,
    configs: &NodeConfigs,
    socket: &mut TcpStream,
    address: SocketAddr,
    visit: Visit,
) -> Option<(Accepted, Option<Visit>)> {
    let Visit { place, mut evicted } = visit;
    let began = Instant::now();
    let handshaking = Counted::new(&control.counters, |counters| &counters.handshaking);
    let accepted = tokio::select! {
        biased;
        () = evicted.wait() => return None,
        accepted = accept(socket, configs, place.turn()) => accepted,
    };
    drop(handshaking);
    match accepted {
        Ok(accepted) => {
            control.counters.handshakes.add(1);
            control.timings.handshake(began.elapsed());
            // Whoever is known is no guest any more.
            let nobody = accepted.identity.is_none();
            Some((accepted, nobody.then_some(Visit { place, evicted })))
        }
        Err(error) => {
            control.counters.handshake_failed(&error);
            tracing::debug!(%address, reason = error.name(), %error, "handshake failed");
            None
        }
    }
}

fn machine_identity(identity: &trust::Identity) -> Identity {
    Identity {
        organisation: identity.organisation,
        device: identity.device,
        holder: match (identity.role, identity.computer) {
            (Certified::Agent, Some(computer)) => Holder::Agent(computer),
            (Certified::Client, _) => Holder::Client,
            (Certified::Agent | Certified::Admin | Certified::Keeper, _) => Holder::Other,
        },
    }
}

/// A panic stays in its connection: the runtime catches it at the task, what the task held is dropped, and this counts it.
struct PanicCount(Arc<Control>);

impl Drop for PanicCount {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.counters.panics.add(1);
            tracing::error!(code = "INTERNAL", "a connection panicked");
        }
    }
}
