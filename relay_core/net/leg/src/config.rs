//! The TLS configurations of this system, each made in one place (PROTOCOL.md §1.1, §7).
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig};
use telerelay_wire::ids::{ComputerId, DeviceId, NodeName};
use telerelay_wire::outer::PATH_MAXIMUM;

use crate::credentials::{Credentials, Shown};
use crate::crypto;
use crate::trust::{
    Admission, AgentVerifier, Anchor, ClientVerifier, NodeVerifier, Organisations, Pins, Revoked,
};

/// What a connection to a node is for: its ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// The framed protocol of endpoints.
    Telerelay,
    /// The API.
    Http,
}

impl Language {
    /// The protocol's name in ALPN.
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Telerelay => b"telerelay/1",
            Self::Http => b"http/1.1",
        }
    }
}

/// The application protocol of inner TLS. Either end has to see it negotiated: a peer that knows no ALPN would go on without.
pub const INNER_ALPN: &[u8] = b"telerelay-inner/1";

/// The most plaintext of one record of inner TLS: with what encryption adds (header 5, type 1, tag 16) the record is one
/// full PATH frame (PROTOCOL.md §7).
pub const INNER_PLAINTEXT: usize = PATH_MAXIMUM as usize - 5 - 1 - 16;

/// rustls counts a record's header of 5 bytes into what it calls a fragment.
const INNER_FRAGMENT: usize = 5 + INNER_PLAINTEXT;

/// A node's two configurations, told apart by ALPN.
#[derive(Clone, Debug)]
pub struct NodeConfigs {
    telerelay: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

impl NodeConfigs {
    /// `credentials`: the node's leaf and the cluster CA. Whoever `organisations` has may connect, from the moment that it has them.
    pub fn new(
        credentials: &Credentials,
        organisations: &Arc<Organisations>,
    ) -> Result<Self, rustls::Error> {
        let shown = Arc::new(Shown::new(credentials.clone()));
        let config = |language: Language, mandatory| {
            let verifier = Arc::new(Admission::new(organisations.clone(), mandatory));
            let mut config = ServerConfig::builder_with_provider(crypto::OUTER.clone())
                .with_protocol_versions(crypto::VERSIONS)?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(shown.clone());
            config.alpn_protocols = vec![language.alpn().to_vec()];
            without_tickets(&mut config);
            Ok::<_, rustls::Error>(Arc::new(config))
        };
        Ok(Self {
            telerelay: config(Language::Telerelay, true)?,
            http: config(Language::Http, false)?,
            shown,
        })
    }

    /// Shows other credentials from here on, in handshakes that begin; who is connected stays so.
    pub fn show(&self, credentials: Credentials) {
        self.shown.replace(credentials);
    }

    /// The configuration for a language.
    pub fn of(&self, language: Language) -> Arc<ServerConfig> {
        match language {
            Language::Telerelay => self.telerelay.clone(),
            Language::Http => self.http.clone(),
        }
    }
}

/// An endpoint's configurations for outer TLS in one language: with the hybrid group, and without it for a second dial.
#[derive(Clone, Debug)]
pub(crate) struct OuterConfigs {
    pub(crate) hybrid: Arc<ClientConfig>,
    pub(crate) short: Arc<ClientConfig>,
}

impl OuterConfigs {
    pub(crate) fn new(
        pins: Pins,
        credentials: Option<&Credentials>,
        language: Language,
    ) -> Result<Self, rustls::Error> {
        let verifier = Arc::new(NodeVerifier::new(pins));
        let config = |provider: &Arc<rustls::crypto::CryptoProvider>| {
            let builder = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(crypto::VERSIONS)?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone());
            let mut config = match credentials {
                Some(credentials) => builder.with_client_cert_resolver(Arc::new(
                    SingleCertAndKey::from(credentials.certified_key()),
                )),
                None => builder.with_no_client_auth(),
            };
            config.alpn_protocols = vec![language.alpn().to_vec()];
            config.resumption = Resumption::disabled();
            Ok::<_, rustls::Error>(Arc::new(config))
        };
        Ok(Self {
            hybrid: config(&crypto::OUTER)?,
            short: config(&crypto::OUTER_SHORT)?,
        })
    }
}

/// The SNI of a node.
pub(crate) fn server_name(node: &NodeName) -> ServerName<'static> {
    ServerName::try_from(node.as_str().to_owned())
        .unwrap_or_else(|_| unreachable!("a node name is a DNS label that is no number"))
}

/// Inner TLS of a client that asked for `computer`; `root` is its organisation's (PROTOCOL.md §7).
pub fn inner_client(
    credentials: &Credentials,
    root: Arc<Anchor>,
    computer: ComputerId,
) -> Result<rustls::ClientConnection, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(crypto::INNER.clone())
        .with_protocol_versions(crypto::VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AgentVerifier { root, computer }))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(
            credentials.certified_key(),
        )));
    config.alpn_protocols = vec![INNER_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.max_fragment_size = Some(INNER_FRAGMENT);
    rustls::ClientConnection::new(Arc::new(config), no_name())
}

/// Inner TLS of an agent that was told that `device` asks; `root` is its organisation's (PROTOCOL.md §7).
pub fn inner_server(
    credentials: &Credentials,
    root: Arc<Anchor>,
    device: DeviceId,
    revoked: Arc<Revoked>,
) -> Result<rustls::ServerConnection, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(crypto::INNER.clone())
        .with_protocol_versions(crypto::VERSIONS)?
        .with_client_cert_verifier(Arc::new(ClientVerifier {
            root,
            device,
            revoked,
        }))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(
            credentials.certified_key(),
        )));
    config.alpn_protocols = vec![INNER_ALPN.to_vec()];
    config.max_fragment_size = Some(INNER_FRAGMENT);
    without_tickets(&mut config);
    rustls::ServerConnection::new(Arc::new(config))
}

/// An agent is known by its certificate. rustls wants a name nevertheless; it is neither sent nor looked at.
fn no_name() -> ServerName<'static> {
    IpAddr::from(Ipv4Addr::LOCALHOST).into()
}

fn without_tickets(config: &mut ServerConfig) {
    config.send_tls13_tickets = 0;
}
