//! Organisations, clusters and devices with certificates of the profile (PROTOCOL.md §3), for the Rust tests.
//!
//! Keys are minted anew in every run; nothing here is a sample key. What the product issues is written in Python, so a
//! test that reads these certificates does not judge that code by itself.
#![allow(
    clippy::missing_panics_doc,
    reason = "a test whose certificates cannot be made has failed"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

pub use rcgen::ExtendedKeyUsagePurpose as Usage;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use sha2::{Digest, Sha256};
use telerelay_wire::ids::{ComputerId, DeviceId, NodeName, OrganisationId};

/// A chain and the key of its leaf.
pub struct Minted {
    /// DER, leaf first, as it is sent.
    pub chain: Vec<Vec<u8>>,
    /// The same in PEM.
    pub chain_pem: String,
    /// The leaf's private key, PKCS#8 in PEM.
    pub key_pem: String,
    /// SHA-256 of the leaf's `SubjectPublicKeyInfo`.
    pub device: DeviceId,
}

impl Minted {
    /// Writes `NAME.pem` and, with mode 0600, `NAME.key` into a folder: the chain's path and the key's.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let chain = folder.join(format!("{name}.pem"));
        let key = folder.join(format!("{name}.key"));
        fs::write(&chain, &self.chain_pem).expect("a folder that can be written");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&key).expect("a folder that can be written");
        file.write_all(self.key_pem.as_bytes())
            .expect("a folder that can be written");
        (chain, key)
    }
}

/// A tenant: its root and its issuer.
pub struct Organisation {
    root: Authority,
    issuer: Authority,
}

impl Organisation {
    /// An organisation whose root has this common name. Two of the same name are two organisations.
    pub fn new(name: &str) -> Self {
        let root = Authority::root(name, 1);
        let issuer = root.issue_authority("telerelay-role:issuer");
        Self { root, issuer }
    }

    /// SHA-256 of the root's `SubjectPublicKeyInfo`.
    pub fn id(&self) -> OrganisationId {
        OrganisationId(spki_hash(self.root.issuer.key()))
    }

    /// The root certificate, DER.
    pub fn root_der(&self) -> &[u8] {
        self.root.certificate.der()
    }

    /// An office PC's chain.
    pub fn agent(&self, computer: ComputerId) -> Minted {
        let uri = format!("telerelay-computer:{computer}");
        self.issuer
            .issue(Some(&[&uri]), Some(Usage::ServerAuth), true)
    }

    /// A home PC's chain.
    pub fn client(&self) -> Minted {
        self.issuer.issue(None, Some(Usage::ClientAuth), true)
    }

    /// A leaf of a role, directly under the root: `admin`, `keeper`; `policy` and others without extended key usage.
    pub fn role(&self, role: &str) -> Minted {
        let uri = format!("telerelay-role:{role}");
        let usage = matches!(role, "admin" | "keeper").then_some(Usage::ClientAuth);
        self.root.issue(Some(&[&uri]), usage, false)
    }

    /// A chain that the profile does not know: a leaf with these URIs and this usage under the issuer.
    pub fn odd(&self, uris: Option<&[&str]>, usage: Option<Usage>) -> Minted {
        self.issuer.issue(uris, usage, true)
    }

    /// A client whose certificate ended in the year 2001.
    pub fn expired_client(&self) -> Minted {
        self.issuer
            .issue_with(None, Some(Usage::ClientAuth), true, |params| {
                params.not_before = date_time_ymd(2000, 1, 1);
                params.not_after = date_time_ymd(2001, 1, 1);
            })
    }
}

/// An operator's cluster CA.
pub struct Cluster(Authority);

impl Cluster {
    /// A new cluster.
    pub fn new() -> Self {
        Self(Authority::root("cluster", 0))
    }

    /// SHA-256 of the CA's `SubjectPublicKeyInfo`: a pin.
    pub fn pin(&self) -> [u8; 32] {
        spki_hash(self.0.issuer.key())
    }

    /// A node's chain: leaf and CA.
    pub fn node(&self, name: &NodeName) -> Minted {
        let usage = Some(Usage::ServerAuth);
        self.0.issue_with(
            Some(&[&format!("telerelay-node:{name}")]),
            usage,
            true,
            |params| {
                let name = name.as_str().try_into().expect("a node name is ASCII");
                params.subject_alt_names.insert(0, SanType::DnsName(name));
            },
        )
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn root(name: &str, path_length: u8) -> Self {
        let key = generate();
        let mut params = authority_params(&key, path_length);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages.push(KeyUsagePurpose::CrlSign);
        let certificate = params.self_signed(&key).expect("a key that can sign");
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn issue_authority(&self, uri: &str) -> Self {
        let key = generate();
        let mut params = authority_params(&key, 0);
        params.subject_alt_names = uris(&[uri]);
        // Path building goes by names: an issuer needs one, and it must not be its issuer's.
        params.distinguished_name.push(DnType::CommonName, "issuer");
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a key that can sign");
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, names: Option<&[&str]>, usage: Option<Usage>, with_issuer: bool) -> Minted {
        self.issue_with(names, usage, with_issuer, |_| {})
    }

    fn issue_with(
        &self,
        names: Option<&[&str]>,
        usage: Option<Usage>,
        with_issuer: bool,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Minted {
        let key = generate();
        let mut params = params(&key);
        match names {
            Some(names) => params.subject_alt_names = uris(names),
            None => params
                .distinguished_name
                .push(DnType::CommonName, "telerelay client"),
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.extend(usage);
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let leaf = params
            .signed_by(&key, &self.issuer)
            .expect("a key that can sign");
        let mut chain = vec![leaf.der().to_vec()];
        let mut chain_pem = leaf.pem();
        if with_issuer {
            chain.push(self.certificate.der().to_vec());
            chain_pem += &self.certificate.pem();
        }
        Minted {
            chain,
            chain_pem,
            device: DeviceId(spki_hash(&key)),
            key_pem: key.serialize_pem(),
        }
    }
}

fn authority_params(key: &KeyPair, path_length: u8) -> CertificateParams {
    let mut params = params(key);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// What all certificates have: the full hash of their key as its identifier.
fn params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.key_identifier_method = KeyIdMethod::PreSpecified(spki_hash(key).to_vec());
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

fn uris(names: &[&str]) -> Vec<SanType> {
    names
        .iter()
        .map(|name| SanType::URI((*name).try_into().expect("a URI is ASCII")))
        .collect()
}

fn generate() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("randomness")
}

fn spki_hash(key: &KeyPair) -> [u8; 32] {
    Sha256::digest(key.subject_public_key_info()).into()
}
