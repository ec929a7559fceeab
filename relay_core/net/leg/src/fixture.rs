//! For the tests of this crate: a cluster with a node, an organisation with its devices, and their configurations.
use std::sync::Arc;

use telerelay_mint::{Cluster, Minted, Organisation};
use telerelay_wire::ids::{ComputerId, NodeName};

use crate::config::{Language, NodeConfigs, OuterConfigs, server_name};
use crate::credentials::Credentials;
use crate::tls::Tls;
use crate::trust::{Anchor, Organisations, Pins};

pub(crate) const COMPUTER: ComputerId = ComputerId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);

pub(crate) struct Fixture {
    pub(crate) cluster: Cluster,
    pub(crate) organisation: Organisation,
    pub(crate) organisations: Arc<Organisations>,
    pub(crate) configs: NodeConfigs,
}

impl Fixture {
    /// One organisation, admitted.
    pub(crate) fn new() -> Self {
        let cluster = Cluster::new();
        let organisation = Organisation::new("organisation");
        let organisations = Arc::new(Organisations::default());
        organisations.replace([Arc::new(anchor(&organisation))]);
        let node = credentials(&cluster.node(&node_name()));
        let configs = NodeConfigs::new(&node, &organisations).unwrap();
        Self {
            cluster,
            organisation,
            organisations,
            configs,
        }
    }

    pub(crate) fn pins(&self) -> Pins {
        Pins([[0; 32], self.cluster.pin()])
    }

    /// Both ends of outer TLS, before the first byte: the endpoint's and the node's.
    pub(crate) fn ends(&self, endpoint: &Minted) -> (Tls, Tls) {
        let configs = OuterConfigs::new(
            self.pins(),
            Some(&credentials(endpoint)),
            Language::Telerelay,
        );
        let name = server_name(&node_name());
        let endpoint = Tls::client(configs.unwrap().hybrid, name).unwrap();
        let node = Tls::server(self.configs.of(Language::Telerelay)).unwrap();
        (endpoint, node)
    }
}

pub(crate) fn node_name() -> NodeName {
    "node-1".parse().unwrap()
}

pub(crate) fn anchor(organisation: &Organisation) -> Anchor {
    Anchor::from_der(organisation.root_der()).unwrap()
}

/// Credentials by the way that the product goes: through files.
pub(crate) fn credentials(minted: &Minted) -> Credentials {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = minted.write(folder.path(), "device");
    Credentials::read(&chain, &key).unwrap()
}
