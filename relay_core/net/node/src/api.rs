//! A connection of the API: TLS ends here, the plaintext goes through a socket pair to whoever answers (PROTOCOL.md §11).
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use telerelay_leg::accept::Accepted;
use telerelay_leg::plain::{self, Limits, PlainError};
use telerelay_wire::ids::ClientAddress;
use telerelay_wire::limits::{
    API_BYTES_ANONYMOUS, API_BYTES_IDENTIFIED, API_CONNECTIONS, API_FIRST_BYTE,
};
use tokio::net::TcpStream;

use crate::control::Control;
use crate::counters::Counted;
use crate::event::{ApiConnection, Event};

/// Runs a connection to its end.
pub(crate) async fn run(
    control: Arc<Control>,
    socket: TcpStream,
    accepted: Accepted,
    address: ClientAddress,
) {
    let _open = Counted::new(&control.counters, |counters| &counters.api_open);
    if control.counters.api_open.get() > API_CONNECTIONS as u64 {
        control.counters.api_limited.add(1);
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
    let limits = Limits {
        first_byte: API_FIRST_BYTE,
        unanswered: match accepted.identity {
            Some(_) => API_BYTES_IDENTIFIED,
            None => API_BYTES_ANONYMOUS,
        },
    };
    control.told.tell(Event::Api(Box::new(ApiConnection {
        stream: theirs.into(),
        identity: accepted.identity,
        address,
    })));
    match plain::carry(socket, accepted.tls, ours, Some(limits)).await {
        Ok(()) => {}
        Err(error) => {
            if matches!(error, PlainError::Late | PlainError::TooMuch) {
                control.counters.api_limited.add(1);
            }
            tracing::debug!(%error, "a connection of the API broke off");
        }
    }
}
