//! The lowest layer: a TCP connection to one address, which may be a name with several addresses behind it.
use std::io;
use std::time::Duration;

use socket2::SockRef;
use telerelay_wire::ids::Address;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::DialError;
use crate::socket::tune;

/// How long each but the last of a name's addresses is tried: where IPv6 leads nowhere, IPv4 must get its turn.
const NEXT_AFTER: Duration = Duration::from_secs(1);

/// Connects to the first address that answers. The caller bounds the time.
pub(super) async fn connect(address: &Address) -> Result<TcpStream, DialError> {
    connect_to(address)
        .await
        .map_err(|source| DialError::Unreachable {
            address: address.clone(),
            source,
        })
}

async fn connect_to(address: &Address) -> io::Result<TcpStream> {
    let targets: Vec<_> = lookup_host(address.as_str()).await?.collect();
    let (last, others) = targets
        .split_last()
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    for target in others {
        if let Ok(Ok(stream)) = timeout(NEXT_AFTER, TcpStream::connect(target)).await {
            return tuned(stream);
        }
    }
    tuned(TcpStream::connect(last).await?)
}

fn tuned(stream: TcpStream) -> io::Result<TcpStream> {
    tune(&SockRef::from(&stream))?;
    Ok(stream)
}
