//! The lowest layer: a TCP connection to one address, which may be a name with several addresses behind it.
use std::io;

use socket2::SockRef;
use telerelay_wire::ids::Address;
use telerelay_wire::limits;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::DialError;
use crate::socket::tune;

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
        if let Ok(Ok(stream)) = timeout(limits::DIAL_NEXT, TcpStream::connect(target)).await {
            return tuned(stream);
        }
    }
    tuned(TcpStream::connect(last).await?)
}

fn tuned(stream: TcpStream) -> io::Result<TcpStream> {
    tune(&SockRef::from(&stream))?;
    Ok(stream)
}
