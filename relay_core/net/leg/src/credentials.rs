//! What one proves who one is with: a chain of certificates and the key store that holds its key.
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use telerelay_wire::Code;
use telerelay_wire::limits;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::key_store::{FileKey, KeyFileError, KeyStore, Signing};

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
    #[error("{}: not one to {} certificates in PEM", path.display(), limits::CHAIN_CERTIFICATES)]
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

/// What a node shows in handshakes: replaced while it runs, for those that begin then.
#[derive(Debug)]
pub(crate) struct Shown(RwLock<Credentials>);

impl Shown {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self(RwLock::new(credentials))
    }

    pub(crate) fn replace(&self, credentials: Credentials) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = credentials;
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(shown.certified_key())
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let no_chain = || CredentialsError::NoChain {
        path: path.to_owned(),
    };
    let certificates: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match certificates {
        Ok(chain) if (1..=limits::CHAIN_CERTIFICATES).contains(&chain.len()) => Ok(chain),
        Err(pem::Error::Io(source)) => Err(CredentialsError::Unreadable {
            path: path.to_owned(),
            source,
        }),
        _ => Err(no_chain()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use telerelay_mint::Organisation;

    use super::*;
    use crate::fixture::COMPUTER;

    #[test]
    fn chain_and_key_must_belong_together() {
        let organisation = Organisation::new("organisation");
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = organisation.agent(COMPUTER).write(folder.path(), "one");
        let (_, other) = organisation.agent(COMPUTER).write(folder.path(), "two");
        assert_eq!(Credentials::read(&chain, &key).unwrap().chain().len(), 2);
        let error = Credentials::read(&chain, &other).unwrap_err();
        assert!(
            matches!(error, CredentialsError::OtherKey { .. }),
            "{error}"
        );
        assert_eq!(error.code(), Code::Certificate);
    }

    #[test]
    fn each_way_to_have_no_chain_is_named() {
        let organisation = Organisation::new("organisation");
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = organisation.client().write(folder.path(), "client");
        let pem = fs::read_to_string(&chain).unwrap();
        let four = [pem.as_str(), pem.as_str()].concat();
        for text in ["", "no certificate", four.as_str(), &pem[..pem.len() / 4]] {
            fs::write(&chain, text).unwrap();
            let error = Credentials::read(&chain, &key).unwrap_err();
            assert!(matches!(error, CredentialsError::NoChain { .. }), "{error}");
            assert_eq!(error.code(), Code::Certificate);
        }
        fs::remove_file(&chain).unwrap();
        let error = Credentials::read(&chain, &key).unwrap_err();
        assert!(
            matches!(error, CredentialsError::Unreadable { .. }),
            "{error}"
        );
        fs::remove_file(&key).unwrap();
        assert_eq!(
            Credentials::read(&chain, &key).unwrap_err().code(),
            Code::KeyFile
        );
    }
}
