//! What every TCP socket of a leg is set to, with the reasons.
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that wait to be accepted: the agents of a whole city come back at once. The kernel caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// When the kernel begins to ask an idle connection whether its other end is there, and how often it asks. KEEPALIVE finds
/// the same on ready connections; this finds it on legs of a path, where nobody speaks but the endpoints.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
#[cfg(target_os = "linux")]
const KEEPALIVE_TRIES: u32 = 4;

/// How long sent bytes may stay unacknowledged. It also ends a reader that never reads; 90 s is longer than any viewer that
/// a person drags or a laptop that sleeps for a moment.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(90);

/// How much unsent data the kernel takes before it says that it is full: what lies there is old screen content.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// A listening socket. What is set here is inherited by the connections, which saves four calls for each.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A node that is started again takes its port back from connections that are about to end.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    tune(&SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sets a socket up: no delay of small segments, a dead other end is found.
pub fn tune(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_retries(KEEPALIVE_TRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    Ok(())
}
