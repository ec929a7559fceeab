//! `Dial`: how an endpoint reaches its cluster, and the API over it.
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use pyo3::prelude::*;
use telerelay_leg::config::Language;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::dial::Dialer;
use telerelay_leg::plain;
use telerelay_leg::trust::Pins;
use telerelay_wire::Code;
use telerelay_wire::ids::NodeAddress;
use telerelay_wire::limits;

use crate::failure::Failure;
use crate::runtime;
use crate::text::fixed;

/// A node and its addresses as Python writes them.
pub(crate) type Named = (String, Vec<String>);

/// How an endpoint reaches its cluster: nodes, pins, its own certificate (PROTOCOL.md §1, §3).
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct Dial {
    pub(crate) nodes: Vec<NodeAddress>,
    pub(crate) pins: Pins,
    pub(crate) credentials: Option<Credentials>,
}

#[pymethods]
impl Dial {
    /// `chain`: PEM, leaf first. `key`: PKCS#8 PEM of mode 0600.
    #[new]
    #[pyo3(signature = (*, nodes, pins, chain=None, key=None))]
    fn new(
        nodes: Vec<Named>,
        pins: Vec<Vec<u8>>,
        chain: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> PyResult<Self> {
        let [first, second] = pins.as_slice() else {
            return Err(Failure::new(
                Code::Usage,
                "two pins are needed: the cluster's key and its successor's",
            )
            .into());
        };
        let credentials = match (chain, key) {
            (Some(chain), Some(key)) => {
                let read = Credentials::read(&chain, &key);
                Some(read.map_err(|error| Failure::new(error.code(), error))?)
            }
            (None, None) => None,
            _ => return Err(Failure::new(Code::Usage, "a chain and its key come together").into()),
        };
        Ok(Self {
            nodes: node_addresses(nodes)?,
            pins: Pins([fixed(first)?, fixed(second)?]),
            credentials,
        })
    }

    /// Connect with ALPN http/1.1. The descriptor of a stream socket that carries the plaintext; the caller owns it.
    fn open_api(&self, py: Python<'_>) -> Result<RawFd, Failure> {
        py.detach(|| self.connect_api())
    }
}

impl Dial {
    fn connect_api(&self) -> Result<RawFd, Failure> {
        let runtime = runtime::handle()?;
        let dialer = Dialer::new(self.pins, self.credentials.as_ref(), Language::Http)
            .map_err(|error| Failure::new(Code::Certificate, error))?;
        let dialled = runtime.block_on(async {
            let late = || {
                Failure::new(
                    Code::Unreachable,
                    format!(
                        "no relay node answered within {} s",
                        limits::API_DIAL.as_secs()
                    ),
                )
            };
            let dialled = tokio::time::timeout(limits::API_DIAL, dialer.connect_any(&self.nodes))
                .await
                .map_err(|_| late())?;
            dialled.map_err(|error| Failure::new(error.code(), error))
        });
        let (socket, tls) = dialled?;
        let (ours, theirs) = stream_pair()?;
        runtime.spawn(async move {
            match tokio::net::UnixStream::from_std(ours) {
                Ok(ours) => {
                    if let Err(error) = plain::carry(socket, tls, ours, None).await {
                        tracing::debug!(%error, "a connection of the API ended");
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a connection of the API could not be carried");
                }
            }
        });
        Ok(theirs.into_raw_fd())
    }
}

/// Two connected stream sockets: the first for the core, which never waits, the second for Python.
pub(crate) fn stream_pair() -> Result<(UnixStream, UnixStream), Failure> {
    let machine = |error| Failure::new(Code::Machine, error);
    let (ours, theirs) = UnixStream::pair().map_err(machine)?;
    ours.set_nonblocking(true).map_err(machine)?;
    Ok((ours, theirs))
}

/// Reads nodes as Python writes them.
pub(crate) fn node_addresses(nodes: Vec<Named>) -> Result<Vec<NodeAddress>, Failure> {
    nodes.into_iter().map(node_address).collect()
}

/// Reads a node as Python writes it.
pub(crate) fn node_address((name, addresses): Named) -> Result<NodeAddress, Failure> {
    let usage = |what: String| Failure::new(Code::Usage, what);
    let parsed = addresses.into_iter().map(|address| {
        telerelay_wire::ids::Address::try_from(address.as_str())
            .map_err(|error| usage(format!("{address}: {error}")))
    });
    let addresses: Vec<_> = parsed.collect::<Result<_, _>>()?;
    let count = addresses.len();
    Ok(NodeAddress {
        name: name
            .parse()
            .map_err(|error| usage(format!("{name}: {error}")))?,
        addresses: addresses.try_into().map_err(|_| {
            usage(format!(
                "node {name} has {count} addresses, 1 to 8 are needed"
            ))
        })?,
    })
}
