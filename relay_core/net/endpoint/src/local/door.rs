//! The client's local door: where the viewer connects, and nobody else of this machine (PROTOCOL.md §12; interfaces of the client).
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use telerelay_wire::limits;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::sleep;

use super::{Local, LocalAddress};

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
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Given up behind the file.
    _place: Place,
}

/// The right to a path: a lock on a file beside it, which the kernel gives up with the process; removed when dropped. A probe of the
/// socket alone would not do: one that is taken and not open yet refuses like a dead one.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    _lock: File,
}

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
                let place = Place::take(path)?;
                remove_stale(path)?;
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.bind(&SockAddr::unix(path)?)?;
                let file = SocketFile {
                    path: path.clone(),
                    _place: place,
                };
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
        socket.listen(limits::DOOR_BACKLOG)?;
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
            Self::Unix { file, .. } => LocalAddress::Unix(file.path.clone()),
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
                    sleep(limits::DOOR_PAUSE).await;
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
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "the local door's socket could not be removed");
        }
    }
}

impl Place {
    /// Takes a path. `AddrInUse` where a living process has it.
    fn take(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        loop {
            let lock = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&path)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::AddrInUse.into()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The one who had it may have removed the file between opening and locking: then this is a lock on nothing.
            let locked = lock.metadata()?;
            match fs::symlink_metadata(&path) {
                Ok(found) if (found.dev(), found.ino()) == (locked.dev(), locked.ino()) => {
                    return Ok(Self { path, _lock: lock });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "the lock of the local door's socket could not be removed");
        }
    }
}

/// Takes a socket away that nobody listens at; one that answers stays, though it is no client's, and so does a file that is no
/// socket.
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
/// address is `door`. Only a socket with an inode counts, whatever its state: some process holds it, and its user is told. One that
/// was closed shows user 0 and no inode; one whose viewer has closed its sending side only is as much the viewer's as before.
fn user_of(peer: SocketAddr, door: SocketAddr) -> io::Result<Option<u32>> {
    use procfs::ProcError;
    use procfs::net::{tcp, tcp6};
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
            entry.inode != 0
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
    use std::time::Duration;

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
    async fn own_connection_that_sends_no_more_comes_in() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let door = open(&loopback()).expect("a free port");
        let mut viewer = TcpStream::connect(tcp_address(&door))
            .await
            .expect("the door listens");
        viewer.write_all(b"all").await.expect("it is open");
        viewer.shutdown().await.expect("it is open");
        let Arrival::Own(Local::Tcp(mut local)) = door.accept().await else {
            panic!("it is this user's")
        };
        let mut said = Vec::new();
        local.read_to_end(&mut said).await.expect("it is open");
        assert_eq!(said, b"all");
        local.write_all(b"an answer").await.expect("it is open");
        drop(local);
        said.clear();
        viewer.read_to_end(&mut said).await.expect("it is open");
        assert_eq!(said, b"an answer");
    }

    #[tokio::test]
    async fn who_closed_is_foreign() {
        let door = open(&loopback()).expect("a free port");
        let viewer = TcpStream::connect(tcp_address(&door)).await;
        drop(viewer.expect("the door listens"));
        assert!(matches!(door.accept().await, Arrival::Foreign));
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
        assert!(matches!(door.accept().await, Arrival::Own(Local::Unix(_))));
        drop((viewer, door));
        fs::remove_dir(&folder).expect("an empty folder");
    }

    #[tokio::test]
    async fn what_a_dead_client_left_is_taken_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("door");
        let address = LocalAddress::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
        fs::write(folder.path().join("door.lock"), "").expect("a free path");
        drop(open(&address).expect("both are stale"));
        // One that lives and is no client's stays.
        let other = std::os::unix::net::UnixListener::bind(&path).expect("a free path");
        assert_eq!(
            open(&address).expect_err("it is taken").kind(),
            io::ErrorKind::AddrInUse
        );
        drop(other);
        open(&address).expect("nobody is there");
    }

    #[test]
    fn an_address_that_is_taken_and_not_open_yet_is_not_stolen() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = LocalAddress::Unix(folder.path().join("door"));
        let first = Reserved::new(&address).expect("a free path");
        let second = Reserved::new(&address).expect_err("it is taken");
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        Reserved::new(&address).expect("it is free again");
    }

    #[test]
    fn of_those_who_race_for_a_path_one_has_it() {
        use std::sync::Barrier;
        use std::sync::atomic::{AtomicUsize, Ordering};
        let folder = tempfile::tempdir().expect("a folder");
        let address = LocalAddress::Unix(folder.path().join("door"));
        let (start, inside) = (Barrier::new(4), AtomicUsize::new(0));
        let race = || {
            start.wait();
            let mut had = 0;
            for _ in 0..500 {
                match Reserved::new(&address) {
                    Ok(reserved) => {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have it");
                        had += 1;
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(reserved);
                    }
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
                }
            }
            had
        };
        let had: usize = std::thread::scope(|scope| {
            let racers = [(); 4].map(|()| scope.spawn(race));
            racers
                .map(|racer| racer.join().expect("no two have it"))
                .iter()
                .sum()
        });
        assert!(had > 0);
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
