//! What one proves who one is with: a chain of certificates and the key store that holds its key.
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::sign::CertifiedKey;
use telerelay_wire::Code;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::key_store::{FileKey, KeyFileError, KeyStore, Signing};

/// The most certificates of a chain file: leaf, issuer, root.
const CHAIN_CERTIFICATES: usize = 3;

/// Credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The file of the chain is missing or cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file holds no chain.
    #[error("{}: not one to {CHAIN_CERTIFICATES} certificates in PEM", path.display())]
    NoChain {
        /// The file.
        path: PathBuf,
    },
    /// Key and leaf do not belong together.
    #[error("{}: the first certificate is not of this key", path.display())]
    OtherKey {
        /// The file of the chain.
        path: PathBuf,
    },
}

impl CredentialsError {
    /// The code of PROTOCOL.md §13.
    pub fn code(&self) -> Code {
        match self {
            Self::Key(_) => Code::KeyFile,
            Self::Unreadable { .. } | Self::NoChain { .. } | Self::OtherKey { .. } => {
                Code::Certificate
            }
        }
    }
}

/// A chain, leaf first, and the key of its leaf.
#[derive(Clone, Debug)]
pub struct Credentials(Arc<CertifiedKey>);

impl Credentials {
    /// Reads a chain in PEM, leaf first, and its key from a file of mode 0600.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let key = FileKey::read(key)?;
        let path = || chain.to_owned();
        let certificates = read_chain(chain)?;
        Self::new(certificates, Arc::new(key))
            .ok_or_else(|| CredentialsError::OtherKey { path: path() })
    }

    /// `None` where the first certificate is not of the store's key.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: Arc<dyn KeyStore>) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
        let certified = leaf.public_key().subject_public_key.data.as_ref();
        (certified == key.public_point())
            .then(|| Self(Arc::new(CertifiedKey::new(chain, Arc::new(Signing(key))))))
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// As rustls asks for them.
    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.0.clone()
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let no_chain = || CredentialsError::NoChain {
        path: path.to_owned(),
    };
    let certificates: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match certificates {
        Ok(chain) if (1..=CHAIN_CERTIFICATES).contains(&chain.len()) => Ok(chain),
        Err(pem::Error::Io(source)) => Err(CredentialsError::Unreadable {
            path: path.to_owned(),
            source,
        }),
        _ => Err(no_chain()),
    }
}
