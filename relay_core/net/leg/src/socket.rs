//! What every TCP socket of a leg is set to, with the reasons.
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use telerelay_wire::limits;

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
    // The kernel would let it grow while a leg is read in bursts, to 32 MiB: seconds of old screen before a slow home.
    socket.set_recv_buffer_size(limits::TCP_UNREAD)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::ACCEPT_BACKLOG)?;
    Ok(socket.into())
}

/// Sets a socket up: no delay of small segments, a dead other end is found.
pub fn tune(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(limits::TCP_KEEPALIVE)
        .with_interval(limits::TCP_KEEPALIVE_EVERY);
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_retries(limits::TCP_KEEPALIVE_TRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(limits::TCP_UNACKNOWLEDGED))?;
        socket.set_tcp_notsent_lowat(limits::TCP_UNSENT)?;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_connection_that_came_in_finds_a_dead_other_end_by_itself() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        let here = SockRef::from(&here);
        assert!(here.keepalive().unwrap());
        assert_eq!(here.tcp_keepalive_time().unwrap(), limits::TCP_KEEPALIVE);
        assert_eq!(
            here.tcp_keepalive_interval().unwrap(),
            limits::TCP_KEEPALIVE_EVERY
        );
        assert_eq!(
            here.tcp_keepalive_retries().unwrap(),
            limits::TCP_KEEPALIVE_TRIES
        );
        assert_eq!(
            here.tcp_user_timeout().unwrap(),
            Some(limits::TCP_UNACKNOWLEDGED)
        );
        assert!(here.tcp_nodelay().unwrap());
    }

    #[test]
    fn what_nobody_has_read_is_bounded() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        let most = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        // Twice what is asked for, as socket(7) says, and what is asked for is set for good.
        let bound = 2 * limits::TCP_UNREAD.min(most.trim().parse().unwrap());
        assert_eq!(SockRef::from(&here).recv_buffer_size().unwrap(), bound);
    }
}
