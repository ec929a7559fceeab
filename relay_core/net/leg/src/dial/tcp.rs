//! The lowest layer: a TCP connection to one address, which may be a name with several addresses behind it.
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;
use telerelay_wire::ids::Address;
use telerelay_wire::limits;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use super::DialError;
use crate::socket::tune;

/// Connects to the first address that answers, from `source` or whatever the kernel chooses. The caller bounds the time.
pub(super) async fn connect(
    address: &Address,
    source: Option<IpAddr>,
) -> Result<TcpStream, DialError> {
    connect_to(address, source)
        .await
        .map_err(|source| DialError::Unreachable {
            address: address.clone(),
            source,
        })
}

async fn connect_to(address: &Address, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let targets: Vec<_> = lookup_host(address.as_str()).await?.collect();
    let (last, others) = targets
        .split_last()
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    for target in others {
        if let Ok(Ok(stream)) = timeout(limits::DIAL_NEXT, open(*target, source)).await {
            return tuned(stream);
        }
    }
    tuned(open(*last, source).await?)
}

async fn open(target: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(source) = source else {
        return TcpStream::connect(target).await;
    };
    let socket = match target {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind((source, 0).into())?;
    socket.connect(target).await
}

fn tuned(stream: TcpStream) -> io::Result<TcpStream> {
    tune(&SockRef::from(&stream))?;
    Ok(stream)
}
