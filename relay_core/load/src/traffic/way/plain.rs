//! The way through a port that leads to another port: any relay, or nothing at all where both are the same.
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socket2::{Domain, SockRef, Socket, Type};
use telerelay_leg::socket::{listen, tune};
use telerelay_leg::tls::{Progress, Tls};

use super::{Greeting, WayError};
use crate::LoadError;
use crate::sources::Sources;
use crate::traffic::Session;
use crate::traffic::end::{End, Framing};

/// How many are on their way at once.
const AT_ONCE: usize = 32;
/// How long one may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Whom certificates name.
const NAME: &str = "localhost";

/// Where homes dial, and where offices are dialled.
pub(crate) struct Plain {
    listener: TcpListener,
    legs: Legs,
    greeting: Greeting,
}

/// How connections are dialled and taken, with TLS or without.
pub(crate) struct Legs {
    to: SocketAddr,
    sources: Sources,
    tls: Option<TlsEnds>,
}

/// Files of ends that speak TLS, since what lies between them ends it on both sides.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Whom homes trust.
    pub ca: PathBuf,
    /// The office's chain and its key.
    pub office: PathBuf,
}

struct TlsEnds {
    home: Arc<ClientConfig>,
    office: Arc<ServerConfig>,
}

impl Plain {
    /// Listens as the office.
    pub(crate) fn new(
        to: SocketAddr,
        office: SocketAddr,
        sources: Sources,
        tls: Option<&TlsFiles>,
        greeting: Greeting,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            listener: listen(office)?,
            legs: Legs::new(to, sources, tls)?,
            greeting,
        })
    }

    pub(crate) fn kind(&self) -> &'static str {
        if self.legs.tls.is_some() {
            "tls"
        } else {
            "plain"
        }
    }

    /// Each home says its number, which comes back once the office has it: by it both ends are brought together.
    pub(crate) fn open(&mut self, numbers: Range<u64>) -> Result<Vec<Session>, WayError> {
        let mut sessions = Vec::new();
        let all: Vec<u64> = numbers.collect();
        for wave in all.chunks(AT_ONCE) {
            let mut homes = Vec::with_capacity(wave.len());
            for number in wave {
                let mut home = self.legs.dial(*number)?;
                self.greeting.dialled(&mut home)?;
                homes.push(home);
            }
            let mut came = Vec::with_capacity(wave.len());
            while came.len() < wave.len() {
                came.push(self.accept(wave)?);
            }
            for (number, home) in wave.iter().zip(&mut homes) {
                self.greeting.ask(home, *number)?;
            }
            let mut offices = BTreeMap::new();
            for mut office in came {
                offices.insert(self.greeting.answer(&mut office)?, office);
            }
            for (number, mut home) in wave.iter().zip(homes) {
                let office = offices.remove(number);
                let back = self.greeting.answered(&mut home)?;
                let Some(office) = office.filter(|_| back == *number) else {
                    return Err(WayError::Lost(*number..*number + 1));
                };
                for end in [&home, &office] {
                    end.socket().set_nonblocking(true)?;
                }
                sessions.push(Session { office, home });
            }
        }
        Ok(sessions)
    }

    fn accept(&self, wave: &[u64]) -> Result<End, WayError> {
        let patience = Timespec {
            tv_sec: PATIENCE.as_secs().cast_signed(),
            tv_nsec: 0,
        };
        let mut ready = [PollFd::new(&self.listener, PollFlags::IN)];
        if poll(&mut ready, Some(&patience)).map_err(io::Error::from)? == 0 {
            return Err(WayError::Lost(wave[0]..wave[0] + wave.len() as u64));
        }
        let (socket, _) = self.listener.accept()?;
        let mut end = self.legs.take(socket)?;
        self.greeting.came(&mut end)?;
        Ok(end)
    }
}

impl Legs {
    /// `to`: where they are dialled.
    pub(crate) fn new(
        to: SocketAddr,
        sources: Sources,
        tls: Option<&TlsFiles>,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            to,
            sources,
            tls: tls.map(TlsEnds::read).transpose()?,
        })
    }

    /// Dials; the socket waits, but not for ever.
    pub(crate) fn dial(&self, number: u64) -> Result<End, WayError> {
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, None)?;
        tune(&SockRef::from(&socket))?;
        let turn = usize::try_from(number).unwrap_or_default();
        if let Some(source) = self.sources.of(turn) {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect_timeout(&self.to.into(), PATIENCE)?;
        let socket = patient(socket.into())?;
        match &self.tls {
            None => Ok(End::bare(socket)),
            Some(tls) => {
                let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
                shake_hands(socket, Tls::client(tls.home.clone(), name)?)
            }
        }
    }

    /// Takes whoever came, as [`dial`](Self::dial).
    pub(crate) fn take(&self, socket: TcpStream) -> Result<End, WayError> {
        let socket = patient(socket)?;
        match &self.tls {
            None => Ok(End::bare(socket)),
            Some(tls) => shake_hands(socket, Tls::server(tls.office.clone())?),
        }
    }
}

impl TlsEnds {
    fn read(files: &TlsFiles) -> Result<Self, LoadError> {
        let provider = Arc::new(CryptoProvider {
            // Of outer TLS: so much is encrypted for all who are compared.
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
            ..aws_lc_rs::default_provider()
        });
        let versions = &[&rustls::version::TLS13];
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            roots.add(certificate)?;
        }
        let mut home = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        home.resumption = Resumption::disabled();
        let key = PrivateKeyDer::from_pem_file(&files.office)
            .map_err(|error| content(&files.office, &error))?;
        let mut office = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(certificates(&files.office)?, key)?;
        office.send_tls13_tickets = 0;
        Ok(Self {
            home: Arc::new(home),
            office: Arc::new(office),
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| content(path, &error))
}

fn content(path: &Path, what: &impl ToString) -> LoadError {
    LoadError::Content {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

/// A socket that waits, but not for ever.
fn patient(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn shake_hands(socket: TcpStream, mut tls: Tls) -> Result<End, WayError> {
    use std::io::{Read as _, Write as _};
    loop {
        while tls.is_handshaking() {
            if tls.read_record(|_| {})? != Progress::Record {
                break;
            }
        }
        (&socket).write_all(tls.outgoing())?;
        tls.sent(tls.outgoing().len());
        if !tls.is_handshaking() {
            return Ok(End::covered(socket, tls, Framing::None));
        }
        let mut piece = [0; 4096];
        match (&socket).read(&mut piece)? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            length => tls.read_buffer(length).extend_from_slice(&piece[..length]),
        }
    }
}
