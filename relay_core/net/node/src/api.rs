//! A connection of the API: TLS ends here, the plaintext goes through a socket pair to whoever answers (PROTOCOL.md §11).
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telerelay_leg::accept::Accepted;
use telerelay_leg::plain::{self, Limits};
use telerelay_wire::ids::ClientAddress;
use telerelay_wire::limits::{
    API_ANSWER_ANONYMOUS, API_ANSWER_IDENTIFIED, API_BYTES_ANONYMOUS, API_BYTES_IDENTIFIED,
    API_CONNECTIONS, API_FIRST_BYTE,
};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::control::Control;
use crate::counters::Counted;
use crate::door::{Evicted, Visit};
use crate::event::{ApiConnection, Event};

/// Runs a connection to its end. `visit`: where it is of nobody known, who may have to go.
pub(crate) async fn run(
    control: Arc<Control>,
    socket: TcpStream,
    accepted: Accepted,
    address: ClientAddress,
    visit: Option<Visit>,
) {
    let counters = &control.counters;
    let _open = Counted::new(counters, |counters| &counters.api_open);
    let _identified = visit
        .is_none()
        .then(|| Counted::new(counters, |counters| &counters.api_identified));
    let taken = match visit {
        Some(_) => counters.api_identified.get(),
        None => counters.api_open.get() - 1,
    };
    let room = API_CONNECTIONS.saturating_sub(usize::try_from(taken).unwrap_or(usize::MAX));
    if room == 0 {
        counters.api_full.add(1);
        tracing::debug!("one connection of the API too many");
        return;
    }
    let pair = UnixStream::pair().and_then(|(ours, theirs)| {
        ours.set_nonblocking(true)?;
        Ok((tokio::net::UnixStream::from_std(ours)?, theirs))
    });
    let (ours, theirs) = match pair {
        Ok(pair) => pair,
        Err(error) => {
            tracing::warn!(%error, "no socket pair for a connection of the API");
            return;
        }
    };
    let (unanswered, answer) = match accepted.identity {
        Some(_) => (API_BYTES_IDENTIFIED, API_ANSWER_IDENTIFIED),
        None => (API_BYTES_ANONYMOUS, API_ANSWER_ANONYMOUS),
    };
    let mut seat = Seat::take(&control, accepted.identity.is_some());
    let limits = Limits {
        first_byte: API_FIRST_BYTE,
        unanswered,
        answer,
    };
    control.told.tell(Event::Api(Box::new(ApiConnection {
        stream: theirs.into(),
        identity: accepted.identity,
        address,
    })));
    let carried = tokio::select! {
        carried = plain::carry(socket, accepted.tls, ours, Some(limits)) => carried,
        () = evicted(visit, room) => return,
        () = seat.evicted.wait() => return,
    };
    match carried {
        Ok(()) => {}
        Err(error) => {
            if let Some(limit) = error.limit() {
                control.counters.api_limited(limit);
            }
            tracing::debug!(%error, "a connection of the API broke off");
        }
    }
}

/// Resolves when a guest has to go, where there is room for so many; whoever is known never has to.
async fn evicted(visit: Option<Visit>, room: usize) {
    match visit {
        Some(Visit { place, mut evicted }) => {
            place.keep(room);
            evicted.wait().await;
        }
        None => std::future::pending().await,
    }
}

/// The connections that are open, for whoever has to close some: those of nobody known first, and of them the newest.
#[derive(Default)]
pub(crate) struct Seats(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    next: u64,
    /// Dropped where it has to go.
    stay: BTreeMap<Number, oneshot::Sender<()>>,
}

/// Whether somebody known has it, and when it was taken.
type Number = (bool, Reverse<u64>);

impl Seats {
    /// Closes so many at most: how many there were.
    pub(crate) fn shed(&self, most: usize) -> usize {
        let mut taken = self.lock();
        let gone = std::iter::from_fn(|| taken.stay.pop_first()).take(most);
        gone.count()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's seat, until it ends.
struct Seat {
    control: Arc<Control>,
    number: Number,
    evicted: Evicted,
}

impl Seat {
    fn take(control: &Arc<Control>, is_known: bool) -> Self {
        let (stay, evicted) = Evicted::pair();
        let mut taken = control.api.lock();
        let number = (is_known, Reverse(taken.next));
        taken.next += 1;
        taken.stay.insert(number, stay);
        drop(taken);
        Self {
            control: control.clone(),
            number,
            evicted,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.control.api.lock().stay.remove(&self.number);
    }
}
