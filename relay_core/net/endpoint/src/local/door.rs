//! The client's local door: where the viewer connects, and nobody else of this machine (PROTOCOL.md §12; interfaces of the client).
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::sleep;

use super::{Local, LocalAddress};

/// Local connections that wait to be accepted; a viewer opens one or two.
const BACKLOG: i32 = 16;
/// How long the door pauses where this machine has no descriptor or no memory left.
const PAUSE: Duration = Duration::from_millis(100);

/// A door's address, taken and not open yet: who comes now is refused.
#[derive(Debug)]
pub(crate) struct Reserved {
    socket: Socket,
    unix: Option<SocketFile>,
}

/// A listening door.
#[derive(Debug)]
pub(crate) enum Door {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        file: SocketFile,
    },
}

/// The file of a Unix socket; removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

/// Who came to the door.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// This user.
    Own(Local),
    /// Another user of this machine, or somebody who left at once and so cannot be told any more. The connection is closed.
    Foreign,
}

impl Reserved {
    /// Takes the address. `AddrInUse` where somebody else has it.
    pub(crate) fn new(address: &LocalAddress) -> io::Result<Self> {
        match address {
            LocalAddress::Tcp(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                // The door of a client that has just ended leaves connections behind that are about to end.
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into())?;
                Ok(Self { socket, unix: None })
            }
            LocalAddress::Unix(path) => {
                remove_stale(path)?;
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.bind(&SockAddr::unix(path)?)?;
                let file = SocketFile(path.clone());
                // Nobody can connect before `listen`, so no other user gets in before the mode stands.
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                Ok(Self {
                    socket,
                    unix: Some(file),
                })
            }
        }
    }

    /// Opens the door.
    pub(crate) fn listen(self) -> io::Result<Door> {
        let Self { socket, unix } = self;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(match unix {
            None => Door::Tcp(TcpListener::from_std(socket.into())?),
            Some(file) => Door::Unix {
                listener: UnixListener::from_std(socket.into())?,
                file,
            },
        })
    }
}

impl Door {
    /// Where it listens, with the port that was chosen.
    pub(crate) fn address(&self) -> io::Result<LocalAddress> {
        Ok(match self {
            Self::Tcp(listener) => LocalAddress::Tcp(listener.local_addr()?),
            Self::Unix { file, .. } => LocalAddress::Unix(file.0.clone()),
        })
    }

    /// Waits for the next connection. What is wrong with one of them is no matter of the door's.
    pub(crate) async fn accept(&self) -> Arrival {
        loop {
            match self.arrival().await {
                Ok(arrival) => return arrival,
                // The other end left before it was taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(code = "MACHINE", %error, "the local door pauses");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn arrival(&self) -> io::Result<Arrival> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(if is_own(&stream, peer).await {
                    Arrival::Own(Local::Tcp(stream))
                } else {
                    Arrival::Foreign
                })
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let is_own = stream
                    .peer_cred()
                    .is_ok_and(|peer| peer.uid() == geteuid().as_raw());
                Ok(if is_own {
                    Arrival::Own(Local::Unix(stream))
                } else {
                    Arrival::Foreign
                })
            }
        }
    }
}

/// Whether the other end of a loopback connection belongs to this user. One that cannot be told is refused.
async fn is_own(stream: &TcpStream, peer: SocketAddr) -> bool {
    let Ok(door) = stream.local_addr() else {
        return false;
    };
    // The table of connections is a file of the kernel's that is written while it is read: not on the loop.
    let looked_up = tokio::task::spawn_blocking(move || user_of(peer, door)).await;
    match looked_up.map_err(io::Error::other).flatten() {
        Ok(user) => user == Some(geteuid().as_raw()) && stream.set_nodelay(true).is_ok(),
        Err(error) => {
            tracing::error!(code = "MACHINE", %error, "whose a local connection is cannot be told");
            false
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, "the local door's socket could not be removed");
        }
    }
}

/// Takes a socket away that nobody listens at; one that answers stays, and so does a file that is no socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// The user at the other end of a loopback connection: the owner of the socket whose local address is `peer` and whose remote
/// address is `door`. Only an established connection with an inode counts: a closed one shows user 0 to everybody.
fn user_of(peer: SocketAddr, door: SocketAddr) -> io::Result<Option<u32>> {
    use procfs::ProcError;
    use procfs::net::{TcpState, tcp, tcp6};
    let mut table = tcp().map_err(io::Error::other)?;
    // A viewer may reach an IPv4 door through a socket of the IPv6 family; its addresses are then mapped ones.
    match tcp6() {
        Ok(mapped) => table.extend(mapped),
        // A kernel without IPv6.
        Err(ProcError::NotFound(_)) => {}
        Err(error) => return Err(io::Error::other(error)),
    }
    let (peer, door) = (canonical(peer), canonical(door));
    Ok(table
        .into_iter()
        .find(|entry| {
            entry.state == TcpState::Established
                && entry.inode != 0
                && canonical(entry.local_address) == peer
                && canonical(entry.remote_address) == door
        })
        .map(|entry| entry.uid))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(address: &LocalAddress) -> io::Result<Door> {
        Reserved::new(address)?.listen()
    }

    fn loopback() -> LocalAddress {
        "127.0.0.1:0".parse().expect("a loopback address")
    }

    fn tcp_address(door: &Door) -> SocketAddr {
        match door.address().expect("the door listens") {
            LocalAddress::Tcp(address) => address,
            LocalAddress::Unix(path) => panic!("a TCP door at {}", path.display()),
        }
    }

    #[tokio::test]
    async fn own_connection_comes_in_by_tcp() {
        let door = open(&loopback()).expect("a free port");
        let viewer = TcpStream::connect(tcp_address(&door))
            .await
            .expect("the door listens");
        assert!(matches!(door.accept().await, Arrival::Own(Local::Tcp(_))));
        drop(viewer);
    }

    #[tokio::test]
    async fn own_mapped_connection_comes_in_too() {
        let door = open(&loopback()).expect("a free port");
        let mapped = SocketAddr::new(
            "::ffff:127.0.0.1".parse().expect("an address"),
            tcp_address(&door).port(),
        );
        let viewer = TcpStream::connect(mapped).await.expect("the door listens");
        assert!(matches!(door.accept().await, Arrival::Own(_)));
        drop(viewer);
    }

    #[tokio::test]
    async fn who_left_at_once_is_foreign() {
        let door = open(&loopback()).expect("a free port");
        let viewer = TcpStream::connect(tcp_address(&door))
            .await
            .expect("the door listens");
        let reset = socket2::SockRef::from(&viewer).set_linger(Some(Duration::ZERO));
        reset.expect("an open socket");
        drop(viewer);
        assert!(matches!(door.accept().await, Arrival::Foreign));
    }

    #[tokio::test]
    async fn unix_door_is_private_and_removed() {
        let folder = std::env::temp_dir().join(format!("telerelay-door-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let address = LocalAddress::Unix(folder.join("door"));
        let LocalAddress::Unix(path) = &address else {
            unreachable!("it is a path")
        };
        let door = open(&address).expect("a free path");
        assert_eq!(
            fs::metadata(path).expect("the socket").permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            open(&address).expect_err("it is taken").kind(),
            io::ErrorKind::AddrInUse
        );
        let viewer = tokio::net::UnixStream::connect(path)
            .await
            .expect("the door listens");
        // The connection that looked whether somebody listens came first.
        for _ in 0..2 {
            assert!(matches!(door.accept().await, Arrival::Own(Local::Unix(_))));
        }
        drop((viewer, door));
        assert!(!path.exists());
        let abandoned = std::os::unix::net::UnixListener::bind(path).expect("a free path");
        drop(abandoned);
        drop(open(&address).expect("a stale socket is replaced"));
        fs::remove_dir(&folder).expect("an empty folder");
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = std::env::temp_dir().join(format!("telerelay-file-{}", std::process::id()));
        fs::write(&path, "somebody's").expect("a folder that can be written");
        let taken = Reserved::new(&LocalAddress::Unix(path.clone())).expect_err("it is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).expect("the file"), b"somebody's");
        fs::remove_file(&path).expect("the file");
    }
}
