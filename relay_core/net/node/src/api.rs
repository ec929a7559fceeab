//! A connection of the API: TLS ends here, the plaintext goes through a socket pair to whoever answers (PROTOCOL.md §11).
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telerelay_leg::accept::Accepted;
use telerelay_leg::plain::{self, Limits};
use telerelay_wire::ids::ClientAddress;
use telerelay_wire::limits::{
    API_ANSWER_ANONYMOUS, API_ANSWER_IDENTIFIED, API_BYTES_ANONYMOUS, API_BYTES_IDENTIFIED,
    API_CONNECTIONS, API_FIRST_BYTE, API_LINE, API_PLACE,
};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

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
    let is_known = visit.is_none();
    let Some(mut seat) = Seat::find(&control, is_known).await else {
        counters.api_full.add(1);
        tracing::debug!("one connection of the API too many");
        return;
    };
    let _open = Counted::new(counters, |counters| &counters.api_open);
    let _identified = is_known.then(|| Counted::new(counters, |counters| &counters.api_identified));
    let room = API_CONNECTIONS - seat.known_before;
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

/// The connections that are open, and those of somebody known that wait for one of them to end.
#[derive(Default)]
pub(crate) struct Seats(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    next: u64,
    /// In the order in which they go where some have to: those of nobody known first, and of them the newest. Dropped where it has
    /// to go.
    stay: BTreeMap<Number, oneshot::Sender<()>>,
    /// In the order in which they came.
    line: VecDeque<oneshot::Sender<Seat>>,
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

impl Taken {
    fn seat(&mut self, control: &Arc<Control>, is_known: bool) -> Seat {
        let (stay, evicted) = Evicted::pair();
        let number = (is_known, Reverse(self.next));
        let known_before = self.known();
        self.next += 1;
        self.stay.insert(number, stay);
        Seat {
            control: control.clone(),
            number,
            known_before,
            evicted,
        }
    }

    fn known(&self) -> usize {
        self.stay.keys().filter(|(is_known, _)| *is_known).count()
    }

    /// Whoever has waited longest, with a seat, where one is free.
    fn next_in_line(&mut self, control: &Arc<Control>) -> Option<(oneshot::Sender<Seat>, Seat)> {
        if self.stay.len() >= API_CONNECTIONS {
            return None;
        }
        let waiting = self.line.pop_front()?;
        Some((waiting, self.seat(control, true)))
    }
}

/// A connection's seat, until it ends.
struct Seat {
    control: Arc<Control>,
    number: Number,
    /// How many of somebody known there were when it was taken; fewer than [`API_CONNECTIONS`].
    known_before: usize,
    evicted: Evicted,
}

impl Seat {
    /// A seat; where none is free, somebody known waits for one for a while. Whoever is not comes in while those who are known leave
    /// room: another one of nobody known goes for it.
    async fn find(control: &Arc<Control>, is_known: bool) -> Option<Self> {
        let found = {
            let mut taken = control.api.lock();
            let open = if is_known {
                taken.stay.len()
            } else {
                taken.known()
            };
            if open < API_CONNECTIONS {
                return Some(taken.seat(control, is_known));
            }
            taken.line.retain(|waiting| !waiting.is_closed());
            if !is_known || taken.line.len() >= API_LINE {
                return None;
            }
            let (give, found) = oneshot::channel();
            taken.line.push_back(give);
            found
        };
        timeout(API_PLACE, found).await.ok()?.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let next = {
            let mut taken = self.control.api.lock();
            taken.stay.remove(&self.number);
            taken.next_in_line(&self.control)
        };
        if let Some((waiting, seat)) = next {
            // Whoever waits no more gives it to the next in line, by dropping it.
            drop(waiting.send(seat));
        }
    }
}
