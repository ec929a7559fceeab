//! An endpoint without a machine behind it: it says what a test wants it to say, on every layer.
use std::io::{self, Read as _, Write as _};
use std::thread::JoinHandle;

use rustls::Connection;
use telerelay_leg::config::{Language, inner_client, inner_server};
use telerelay_leg::dial::Dialer;
use telerelay_leg::tls::{Progress, Tls};
use telerelay_leg::trust::Revoked;
use telerelay_mint::Minted;
use telerelay_wire::Code;
use telerelay_wire::bounded::List;
use telerelay_wire::frame::Reader;
use telerelay_wire::ids::{
    Address, AttemptId, ClientAddress, DeviceId, Instance, PathId, Program, Role, Service,
};
use telerelay_wire::inner::{self, Inner};
use telerelay_wire::outer::{
    self, Accept, Connect, Frame, Hello, Incoming, Outer, PATH_MAXIMUM, Paired, path_header,
    path_view,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

use crate::world::{COMPUTER, World, credentials, known, node_name, within};

pub(crate) const ATTEMPT: AttemptId = AttemptId([1, 2, 3, 4, 5]);

/// A leg.
pub(crate) struct Stranger {
    pub(crate) socket: TcpStream,
    pub(crate) tls: Tls,
    pub(crate) frames: Reader<Outer>,
}

impl Stranger {
    pub(crate) async fn dial(world: &World, device: &Minted) -> Self {
        let dialer = Dialer::new(
            world.pins(),
            Some(&credentials(device)),
            Language::Telerelay,
        );
        let address = Address::try_from(world.relay.address.to_string()).unwrap();
        let dialled = dialer.unwrap().connect(&node_name(), &address).await;
        let (socket, tls) = dialled.unwrap();
        Self {
            socket,
            tls,
            frames: Reader::new(),
        }
    }

    /// A client whose path has begun.
    pub(crate) async fn client(world: &World, device: &Minted) -> (Self, PathId) {
        let mut client = Self::dial(world, device).await;
        client.send(hello(Role::Client)).await;
        let connect = Connect {
            computer: COMPUTER,
            service: Service::Rfb,
            attempt: ATTEMPT,
            resume: None,
            early: None,
        };
        client.send(connect).await;
        let path = client.paired().await;
        (client, path)
    }

    /// An agent whose ready connection stands.
    pub(crate) async fn agent(world: &World) -> Self {
        let mut agent = Self::dial(world, &world.agent).await;
        agent.send(hello(Role::Agent)).await;
        world.relay.until_ready(1).await;
        agent
    }

    /// Takes the request that comes, accepts it, and waits for the path.
    pub(crate) async fn accept(&mut self) -> DeviceId {
        let asks = self
            .frame(|frame| match frame {
                Frame::Incoming(incoming) => Some((incoming.path, incoming.client)),
                _ => None,
            })
            .await;
        let (path, client) = asks;
        self.send(Accept { path, early: None }).await;
        self.paired().await;
        client
    }

    /// Asks the agent on this leg for a path with this client, whose end it is from here on.
    pub(crate) async fn pair_with_client(mut self, client: &Minted) -> (Self, PathId) {
        let path = PathId([8; 16]);
        let incoming = Incoming {
            path,
            attempt: ATTEMPT,
            client: client.device,
            service: Service::Rfb,
            address: ClientAddress::try_from("192.0.2.1:50000").unwrap(),
            program: Program::try_from("stranger/1").unwrap(),
            resume: None,
            early: None,
        };
        self.send(incoming).await;
        self.frame(|frame| matches!(frame, Frame::Accept(_)).then_some(()))
            .await;
        self.send(Paired { path }).await;
        (self, path)
    }

    pub(crate) async fn paired(&mut self) -> PathId {
        self.frame(|frame| match frame {
            Frame::Paired(paired) => Some(paired.path),
            _ => None,
        })
        .await
    }

    pub(crate) async fn send(&mut self, frame: impl Into<Frame<'static>>) {
        let mut bytes = Vec::new();
        frame.into().encode(&mut bytes).unwrap();
        self.tls.write(&bytes).unwrap();
        self.flush().await.unwrap();
    }

    /// Takes frames until one is what is looked for.
    pub(crate) async fn frame<T>(&mut self, pick: impl Fn(Frame<'_>) -> Option<T>) -> T {
        loop {
            while let Some(frame) = self.frames.next().unwrap() {
                if let Some(picked) = pick(frame) {
                    return picked;
                }
            }
            let frames = &mut self.frames;
            match self.tls.read_record(|plaintext| frames.push(plaintext)) {
                Ok(Progress::Record) => {}
                Ok(Progress::Starved) => assert!(self.read().await.unwrap() > 0, "the leg ended"),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.tls.outgoing().is_empty() {
            let length = self.socket.write(self.tls.outgoing()).await?;
            self.tls.sent(length);
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<usize> {
        within(self.socket.read_buf(self.tls.read_buffer(16 * 1024))).await
    }

    /// Inner TLS as the client's.
    pub(crate) async fn inside_client(self, world: &World, device: &Minted) -> Inside {
        let root = world.anchor().into();
        let inner = inner_client(&credentials(device), root, COMPUTER).unwrap();
        let inside = Inside::shake_hands(self, inner.into()).await;
        inside.expect("the agent believes it")
    }

    /// Inner TLS as the agent's. `None` where the client does not believe it.
    pub(crate) async fn inside_agent(self, world: &World, client: DeviceId) -> Option<Inside> {
        let (root, revoked) = (world.anchor().into(), Revoked::default().into());
        let inner = inner_server(&credentials(&world.agent), root, client, revoked).unwrap();
        Inside::shake_hands(self, inner.into()).await
    }
}

/// A path above whose inner TLS both ends are authenticated.
pub(crate) struct Inside {
    pub(crate) leg: Stranger,
    pub(crate) inner: Connection,
    frames: Reader<Inner>,
}

impl Inside {
    async fn shake_hands(leg: Stranger, inner: Connection) -> Option<Self> {
        let mut inside = Self {
            leg,
            inner,
            frames: Reader::new(),
        };
        inside.flush().await.unwrap();
        while inside.inner.is_handshaking() {
            inside.hear().await?;
            inside.flush().await.unwrap();
        }
        Some(inside)
    }

    /// Says frames of the session, in one record.
    pub(crate) async fn say(&mut self, frames: &[inner::Frame<'_>]) -> io::Result<()> {
        self.prepare(frames)?;
        self.leg.flush().await
    }

    pub(crate) async fn say_bytes(&mut self, plaintext: &[u8]) -> io::Result<()> {
        self.inner.writer().write_all(plaintext)?;
        self.flush().await
    }

    /// Puts frames of the session, in one record, behind what waits to be sent.
    pub(crate) fn prepare(&mut self, frames: &[inner::Frame<'_>]) -> io::Result<()> {
        let mut plaintext = Vec::new();
        for frame in frames {
            frame.encode(&mut plaintext).unwrap();
        }
        self.inner.writer().write_all(&plaintext)?;
        self.wrap()
    }

    /// Sends all that waits, on a thread of its own, until the other end takes no more.
    pub(crate) fn flood(&mut self) -> JoinHandle<()> {
        let Stranger { socket, tls, .. } = &mut self.leg;
        let mut socket = socket2::SockRef::from(&*socket).try_clone().unwrap();
        let bytes = tls.outgoing().to_vec();
        tls.sent(bytes.len());
        std::thread::spawn(move || {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                match socket.write(rest) {
                    Ok(length) => rest = &rest[length..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::yield_now();
                    }
                    Err(_gone) => return,
                }
            }
        })
    }

    /// Sends the alert that answers a record which does not verify.
    pub(crate) async fn say_alert(&mut self) {
        let mut record = &b"\x17\x03\x03\x00\x11no record of ours"[..];
        self.inner.read_tls(&mut record).unwrap();
        assert!(self.inner.process_new_packets().is_err());
        self.flush().await.unwrap();
    }

    /// Sends what inner TLS has to say.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.wrap()?;
        self.leg.flush().await
    }

    /// Puts what inner TLS has to say into outer TLS.
    fn wrap(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.inner.wants_write() {
            self.inner.write_tls(&mut bytes)?;
        }
        for piece in bytes.chunks(PATH_MAXIMUM.into()) {
            let header = path_header(u16::try_from(piece.len()).unwrap());
            let record = [&header[..], piece].concat();
            self.leg.tls.write(&record).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Takes the session's frames until one is what is looked for; `None` at the end of the path.
    pub(crate) async fn frame<T>(
        &mut self,
        mut pick: impl FnMut(inner::Frame<'_>) -> Option<T>,
    ) -> Option<T> {
        loop {
            while let Some(frame) = self.frames.next().unwrap() {
                if let Some(picked) = pick(frame) {
                    return Some(picked);
                }
            }
            let plaintext = self.hear().await?;
            self.frames.push(&plaintext);
        }
    }

    /// The code of CLOSE; `None` where the path ended without it.
    pub(crate) async fn closed(&mut self) -> Option<Code> {
        self.frame(|frame| match frame {
            inner::Frame::Close(close) => Some(known(&close.code)),
            _ => None,
        })
        .await
    }

    /// The same without waiting: what has come by now.
    pub(crate) async fn closed_by_now(&mut self) -> Option<Code> {
        timeout(Duration::ZERO, self.closed()).await.ok().flatten()
    }

    /// What comes next; `None` at the end of the path.
    async fn hear(&mut self) -> Option<Vec<u8>> {
        let mut ciphertext = Vec::new();
        let take = |record: &[u8]| ciphertext.extend_from_slice(path_view(record).expect("PATH"));
        match self.leg.tls.read_record(take) {
            Ok(Progress::Record) => {}
            Ok(Progress::Starved) if matches!(self.leg.read().await, Ok(length) if length > 0) => {}
            _ => return None,
        }
        let mut rest = &ciphertext[..];
        let mut plaintext = Vec::new();
        while !rest.is_empty() {
            self.inner.read_tls(&mut rest).ok()?;
            self.inner.process_new_packets().ok()?;
            match self.inner.reader().read_to_end(&mut plaintext) {
                Ok(_) => return (!plaintext.is_empty()).then_some(plaintext),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        Some(plaintext)
    }
}

pub(crate) fn hello(role: Role) -> Hello {
    Hello {
        version: 1,
        role,
        features: outer::Features::default(),
        instance: Instance([role as u8; 16]),
        counter: 1,
        program: Program::try_from("stranger/1").unwrap(),
    }
}

/// OPEN as an honest client says it.
pub(crate) fn open(path: PathId) -> inner::Frame<'static> {
    inner::Open {
        service: Service::Rfb,
        instance: Instance([9; 16]),
        program: Program::try_from("stranger/1").unwrap(),
        attempt: ATTEMPT,
        path,
        posture: None,
    }
    .into()
}

/// OPENED with a time that the session may live without a path.
pub(crate) fn opened(resume_limit: u32) -> inner::Frame<'static> {
    inner::Opened {
        session: telerelay_wire::ids::SessionId([7; 16]),
        resume_limit,
        idle_timeout: 0,
        rules: List::default(),
        nodes: List::default(),
    }
    .into()
}
