//! An endpoint on rustls' buffered connection, which can ask for a KeyUpdate: it puts its outer TLS down when a test says so.
//!
//! What it is about to send is made as ciphertext first, so that a test can cut and send it as it likes.
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection};
use telerelay_mint::Minted;
use telerelay_node::Event;
use telerelay_outer::node::RouteRequest;
use telerelay_wire::outer::{Accept, Frame, Reader, path_header, path_view};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use telerelay_wire::ids::Role;

use crate::credulous::Credulous;
use crate::kit::{World, connect, hello};

const PATIENCE: Duration = Duration::from_secs(20);

/// SWITCH with its header (PROTOCOL.md §4).
pub(crate) const SWITCH: &[u8] = &[0, 1, 0x31, 1, 0xa0];

/// One end of a path.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    tls: ClientConnection,
    /// What was read and not looked at.
    input: Vec<u8>,
    /// Bytes of inner TLS that came and were not asked for yet.
    heard: Vec<u8>,
    /// The node's SWITCH came.
    pub(crate) reads_raw: bool,
    writes_raw: bool,
}

/// What came from the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// The plaintext of a record.
    Record(Vec<u8>),
    /// Bytes behind SWITCH.
    Raw(Vec<u8>),
    /// `close_notify` or FIN.
    End,
    /// A reset, or an alert.
    Broken,
}

impl Peer {
    async fn dial(world: &World, minted: &Minted) -> Self {
        let socket = TcpStream::connect(world.addresses[0].as_str())
            .await
            .unwrap();
        socket.set_nodelay(true).unwrap();
        let name = ServerName::try_from("node-1").unwrap();
        let mut peer = Self {
            socket,
            tls: ClientConnection::new(config(minted), name).unwrap(),
            input: Vec::new(),
            heard: Vec::new(),
            reads_raw: false,
            writes_raw: false,
        };
        while peer.tls.is_handshaking() {
            let flight = peer.ciphertext();
            peer.send(&flight).await;
            if peer.tls.is_handshaking() {
                assert!(peer.fill().await, "the node takes the handshake");
                let mut bytes = &std::mem::take(&mut peer.input)[..];
                while !bytes.is_empty() {
                    peer.tls.read_tls(&mut bytes).unwrap();
                    peer.tls.process_new_packets().unwrap();
                }
            }
        }
        let flight = peer.ciphertext();
        peer.send(&flight).await;
        peer
    }

    /// Everything that TLS has to say.
    fn ciphertext(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// One record of outer TLS.
    pub(crate) fn record(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(plaintext).unwrap();
        self.ciphertext()
    }

    /// A record without plaintext that asks for one: KeyUpdate.
    pub(crate) fn key_update(&mut self) -> Vec<u8> {
        self.tls.refresh_traffic_keys().unwrap();
        self.ciphertext()
    }

    /// Bytes of inner TLS: PATH frames, or behind SWITCH as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.writes_raw {
            return bytes.to_vec();
        }
        let frames = bytes.chunks(16_380).map(|part| {
            let header = path_header(u16::try_from(part.len()).unwrap());
            [&header[..], part].concat()
        });
        let frames: Vec<_> = frames.collect();
        frames.iter().flat_map(|frame| self.record(frame)).collect()
    }

    /// SWITCH; what [`bytes`](Self::bytes) makes afterwards is raw.
    pub(crate) fn switch(&mut self) -> Vec<u8> {
        self.writes_raw = true;
        self.record(SWITCH)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Sends bytes of inner TLS.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        let bytes = self.bytes(bytes);
        self.send(&bytes).await;
    }

    /// Sends SWITCH.
    pub(crate) async fn put_down(&mut self) {
        let switch = self.switch();
        self.send(&switch).await;
    }

    /// `close_notify` where there is still TLS, and FIN.
    pub(crate) async fn end(&mut self) {
        if !self.writes_raw {
            self.tls.send_close_notify();
            let last = self.ciphertext();
            self.send(&last).await;
        }
        self.socket.shutdown().await.unwrap();
    }

    /// Lets the kernel hold little that this end does not read.
    pub(crate) fn narrow(&self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_recv_buffer_size(65_536).unwrap();
    }

    async fn fill(&mut self) -> bool {
        let read = self.socket.read_buf(&mut self.input);
        timeout(PATIENCE, read)
            .await
            .expect("something in time")
            .is_ok_and(|length| length > 0)
    }

    /// The next thing from the node, record by record.
    pub(crate) async fn came(&mut self) -> Came {
        assert!(self.heard.is_empty(), "more came than was expected");
        loop {
            if self.reads_raw && !self.input.is_empty() {
                return Came::Raw(std::mem::take(&mut self.input));
            }
            if !self.reads_raw
                && let Some(record) = telerelay_wire::record::scan(&self.input, 0).unwrap()
            {
                let record: Vec<u8> = self.input.drain(record.range).collect();
                let mut rest = &record[..];
                while !rest.is_empty() {
                    self.tls.read_tls(&mut rest).unwrap();
                }
                let Ok(state) = self.tls.process_new_packets() else {
                    return Came::Broken;
                };
                let mut plaintext = vec![0; state.plaintext_bytes_to_read()];
                if plaintext.is_empty() {
                    if state.peer_has_closed() {
                        return Came::End;
                    }
                    continue;
                }
                self.tls.reader().read_exact(&mut plaintext).unwrap();
                self.reads_raw = plaintext == SWITCH;
                return Came::Record(plaintext);
            }
            let read = self.socket.read_buf(&mut self.input);
            match timeout(PATIENCE, read).await.expect("something in time") {
                Ok(0) => return Came::End,
                Ok(_) => {}
                Err(_) => return Came::Broken,
            }
        }
    }

    /// The next `total` bytes of inner TLS; SWITCH may be answered among them.
    pub(crate) async fn hears(&mut self, total: usize) -> Vec<u8> {
        let mut got = std::mem::take(&mut self.heard);
        while got.len() < total {
            match self.came().await {
                Came::Record(record) if record == SWITCH => {}
                Came::Record(record) => got.extend_from_slice(path_view(&record).unwrap()),
                Came::Raw(bytes) => got.extend(bytes),
                other => panic!("after {} of {total} bytes: {other:?}", got.len()),
            }
        }
        self.heard = got.split_off(total);
        got
    }

    /// The node's answer to SWITCH, with nothing before it.
    pub(crate) async fn is_answered(&mut self) {
        assert_eq!(self.came().await, Came::Record(SWITCH.to_vec()));
    }

    /// The end of this leg, whatever came before.
    pub(crate) async fn is_over(&mut self) {
        while !matches!(self.came().await, Came::End | Came::Broken) {}
    }

    async fn frame(&mut self) -> Frame<'static> {
        let Came::Record(record) = self.came().await else {
            panic!("a frame comes");
        };
        let mut reader = Reader::new();
        reader.push(&record);
        match reader.next().unwrap().unwrap() {
            Frame::Welcome(frame) => frame.into(),
            Frame::Incoming(frame) => frame.into(),
            Frame::Paired(frame) => frame.into(),
            other => panic!("{}", other.name()),
        }
    }

    async fn tell(&mut self, frames: &[Frame<'_>]) {
        let mut plaintext = Vec::new();
        for frame in frames {
            frame.encode(&mut plaintext).unwrap();
        }
        let record = self.record(&plaintext);
        self.send(&record).await;
    }
}

impl World {
    /// A path whose ends do as they are told: the agent's, the client's, and the question that led to it.
    pub(crate) async fn peers(
        &mut self,
        agent: &Minted,
        client: &Minted,
    ) -> (Peer, Peer, RouteRequest) {
        let mut at_agent = Peer::dial(self, agent).await;
        at_agent.tell(&[hello(Role::Agent).into()]).await;
        assert!(matches!(at_agent.frame().await, Frame::Welcome(_)));
        let mut at_client = Peer::dial(self, client).await;
        at_client
            .tell(&[hello(Role::Client).into(), connect().into()])
            .await;
        assert!(matches!(at_client.frame().await, Frame::Welcome(_)));
        // Ends of earlier paths may be told meanwhile.
        let request = loop {
            if let Event::RouteAsked(request) = self.event().await {
                break *request;
            }
        };
        self.node
            .decide(request.ticket, telerelay_node::Decision::Here(agent.device));
        assert!(matches!(at_agent.frame().await, Frame::Incoming(_)));
        let accept = Accept {
            path: request.path,
            early: None,
        };
        at_agent.tell(&[accept.into()]).await;
        self.node.recorded(&[request.ticket], Ok(()));
        for end in [&mut at_agent, &mut at_client] {
            assert!(matches!(end.frame().await, Frame::Paired(_)));
        }
        (at_agent, at_client, request)
    }
}

fn config(minted: &Minted) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = minted
        .chain
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    let key = PrivateKeyDer::from_pem_slice(minted.key_pem.as_bytes()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_client_auth_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"telerelay/1".to_vec()];
    Arc::new(config)
}
