//! The folder of a throw-away organisation: who the endpoints are and where their node is.
//!
//! ```text
//! cluster.json        {"nodes": [{"name": …, "addresses": [HOST:PORT, …]}], "pins": [HEX, HEX]}
//! root.der            the organisation's root certificate
//! agents/ID.pem       chain and key of the agent of computer ID, mode 0600
//! clients/ID.pem      chain and key of a client that is granted that computer
//! ```
//! Devices are counted in the order of their computers' IDs, so that several processes share them out by numbers.
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use telerelay_leg::credentials::Credentials;
use telerelay_leg::trust::{Anchor, Pins};
use telerelay_wire::ids::{Address, ComputerId, NodeAddress};

use crate::LoadError;

/// One organisation and the cluster that admitted it.
#[derive(Clone, Debug)]
pub struct Tenant {
    folder: PathBuf,
    /// DER.
    root: Vec<u8>,
    /// Where its node is.
    pub cluster: Cluster,
}

/// Where a node is and how it is known.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The nodes that are dialled.
    pub nodes: Vec<NodeAddress>,
    /// The keys of the cluster.
    pub pins: Pins,
}

/// A device of the folder.
#[derive(Clone, Debug)]
pub struct Device {
    /// The computer whose agent it is, or that it may reach.
    pub computer: ComputerId,
    /// What it proves who it is with.
    pub credentials: Credentials,
}

impl Tenant {
    /// Reads everything but the devices.
    pub fn read(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join("root.der");
        let root = fs::read(&path).map_err(|source| unreadable(&path, source))?;
        Ok(Self {
            cluster: Cluster::read(&folder.join("cluster.json"))?,
            folder: folder.to_owned(),
            root,
        })
    }

    /// The organisation's root.
    pub fn root(&self) -> Result<Anchor, LoadError> {
        Anchor::from_der(&self.root).map_err(|error| content(&self.folder.join("root.der"), &error))
    }

    /// So many agents, from this number on.
    pub fn agents(&self, first: usize, count: usize) -> Result<Vec<Device>, LoadError> {
        self.devices("agents", first, count)
    }

    /// So many clients, from this number on.
    pub fn clients(&self, first: usize, count: usize) -> Result<Vec<Device>, LoadError> {
        self.devices("clients", first, count)
    }

    /// All clients.
    pub fn all_clients(&self) -> Result<Vec<Device>, LoadError> {
        let files = self.files("clients")?;
        files.iter().map(|path| Device::read(path)).collect()
    }

    fn devices(
        &self,
        what: &'static str,
        first: usize,
        count: usize,
    ) -> Result<Vec<Device>, LoadError> {
        let files = self.files(what)?;
        let there = files.len();
        let wanted = files.into_iter().skip(first).take(count);
        if first.saturating_add(count) > there {
            return Err(LoadError::TooFew {
                what,
                first,
                wanted: count,
                there,
            });
        }
        wanted.map(|path| Device::read(&path)).collect()
    }

    /// Of all devices, in the order in which they are counted.
    fn files(&self, what: &'static str) -> Result<Vec<PathBuf>, LoadError> {
        let folder = self.folder.join(what);
        let entries = fs::read_dir(&folder).map_err(|source| unreadable(&folder, source))?;
        let paths = entries.map(|entry| Ok(entry?.path()));
        let mut files: Vec<_> = paths
            .collect::<std::io::Result<_>>()
            .map_err(|source| unreadable(&folder, source))?;
        files.sort_unstable();
        Ok(files)
    }
}

impl Device {
    fn read(path: &Path) -> Result<Self, LoadError> {
        let name = path.file_stem().and_then(|name| name.to_str());
        let computer = name.unwrap_or_default().parse();
        Ok(Self {
            computer: computer.map_err(|error| content(path, &error))?,
            credentials: Credentials::read(path, path)?,
        })
    }
}

/// A cluster as a file has it.
#[derive(Deserialize, Serialize)]
struct ClusterFile {
    nodes: Vec<NodeFile>,
    pins: [String; 2],
}

#[derive(Deserialize, Serialize)]
struct NodeFile {
    name: String,
    addresses: Vec<String>,
}

impl Cluster {
    /// Reads a cluster's file.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = fs::read(path).map_err(|source| unreadable(path, source))?;
        let ClusterFile { nodes, pins } =
            serde_json::from_slice(&text).map_err(|error| content(path, &error))?;
        let nodes = nodes.into_iter().map(|node| node.parsed(path));
        let [first, second] = pins.map(|pin| pin_of(&pin));
        let (Some(first), Some(second)) = (first, second) else {
            return Err(content(path, &"a pin is 64 hexadecimal digits"));
        };
        Ok(Self {
            nodes: nodes.collect::<Result<_, _>>()?,
            pins: Pins([first, second]),
        })
    }

    /// Writes a cluster's file.
    pub fn write(&self, path: &Path) -> Result<(), LoadError> {
        let nodes = self.nodes.iter().map(|node| NodeFile {
            name: node.name.to_string(),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
        });
        let file = ClusterFile {
            nodes: nodes.collect(),
            pins: self.pins.0.map(|pin| hexadecimal(&pin)),
        };
        let text = serde_json::to_vec(&file).map_err(|error| content(path, &error))?;
        fs::write(path, text).map_err(|source| unreadable(path, source))
    }
}

impl NodeFile {
    fn parsed(self, path: &Path) -> Result<NodeAddress, LoadError> {
        let addresses = self.addresses.iter().map(|address| {
            Address::try_from(address.as_str()).map_err(|error| content(path, &error))
        });
        let addresses: Vec<_> = addresses.collect::<Result<_, _>>()?;
        Ok(NodeAddress {
            name: self.name.parse().map_err(|error| content(path, &error))?,
            addresses: addresses
                .try_into()
                .map_err(|_| content(path, &"a node has 1 to 8 addresses"))?,
        })
    }
}

fn pin_of(text: &str) -> Option<[u8; 32]> {
    let mut pin = [0; 32];
    if text.len() != 2 * pin.len() || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in pin.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(pin)
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

fn content(path: &Path, what: &impl ToString) -> LoadError {
    LoadError::Content {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> LoadError {
    LoadError::Unreadable {
        path: path.to_owned(),
        source,
    }
}
