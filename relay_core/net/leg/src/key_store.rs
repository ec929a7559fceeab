//! Where a device's private key lives and how it signs: a file now, other stores behind the same trait.
use std::fmt::{self, Debug};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{Signer, SigningKey};
use telerelay_wire::limits;
use zeroize::{Zeroize, Zeroizing};

/// A P-256 key that signs and never leaves its store.
pub trait KeyStore: Debug + Send + Sync {
    /// The public key as an uncompressed point, 65 bytes (SEC 1 §2.3.3).
    fn public_point(&self) -> &[u8];

    /// ECDSA with SHA-256 over `message`, as an ASN.1 signature.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// The key store did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key store did not sign")]
pub struct SignError;

/// A key file cannot be used. All of these are `KEY_FILE` (PROTOCOL.md §13).
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is missing or cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Others than its owner may read or write it.
    #[error("{}: mode {mode:04o}, must be 0600", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else than one P-256 private key in PKCS#8 PEM.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// A private key that was read from a file of mode 0600.
pub struct FileKey {
    pair: EcdsaKeyPair,
}

impl FileKey {
    /// Reads a P-256 private key: PKCS#8 PEM, not encrypted. The bytes of the file are wiped from memory.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let content = |what| KeyFileError::Content {
            path: path.to_owned(),
            what,
        };
        let mut key = read_pkcs8(path)?;
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_pkcs8_der());
        key.zeroize();
        Ok(Self {
            pair: pair.map_err(|_| content("not a P-256 key"))?,
        })
    }
}

impl KeyStore for FileKey {
    fn public_point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message)
            .map_err(|_| SignError)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey")
    }
}

fn read_pkcs8(path: &Path) -> Result<PrivatePkcs8KeyDer<'static>, KeyFileError> {
    let content = |what| KeyFileError::Content {
        path: path.to_owned(),
        what,
    };
    let text = read_private(path)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(PrivateKeyDer::Pkcs8(key)) => Ok(key),
        Ok(mut other) => {
            other.zeroize();
            Err(content("not in PKCS#8"))
        }
        Err(_) if holds_encrypted_key(&text) => Err(content("encrypted with a passphrase")),
        Err(_) => Err(content("no private key in PEM")),
    }
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    check_mode(path, &file)?;
    // The whole length at once, so that no piece of it is left behind in a vector that grew.
    let mut text = Zeroizing::new(Vec::with_capacity(
        usize::try_from(limits::KEY_FILE_BYTES).unwrap_or_default(),
    ));
    file.take(limits::KEY_FILE_BYTES)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

/// The mode of the file that was opened, not of one that may have replaced it.
#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata().map_err(|source| KeyFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Elsewhere the access list of the folder protects the file; there is no mode to look at.
#[cfg(not(unix))]
fn check_mode(_path: &Path, _file: &File) -> Result<(), KeyFileError> {
    Ok(())
}

fn holds_encrypted_key(text: &[u8]) -> bool {
    const LABEL: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    text.windows(LABEL.len()).any(|window| window == LABEL)
}

/// A key store as rustls asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Signing(pub(crate) Arc<dyn KeyStore>);

impl SigningKey for Signing {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Signing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.0
            .sign(message)
            .map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    use telerelay_mint::Organisation;

    use super::*;

    fn key_file(folder: &tempfile::TempDir) -> PathBuf {
        let client = Organisation::new("organisation").client();
        client.write(folder.path(), "client").1
    }

    #[test]
    fn a_file_of_mode_0600_signs() {
        let folder = tempfile::tempdir().unwrap();
        let key = FileKey::read(&key_file(&folder)).unwrap();
        let signature = key.sign(b"message").unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_point());
        assert!(public.verify(b"message", &signature).is_ok());
        assert!(public.verify(b"another", &signature).is_err());
        assert_eq!(format!("{key:?}"), "FileKey");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_touch_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = key_file(&folder);
        for mode in [0o640, 0o604, 0o660, 0o601, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match FileKey::read(&path) {
                Err(KeyFileError::Mode { mode: found, .. }) => assert_eq!(found, mode),
                other => panic!("{mode:o}: {other:?}"),
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(FileKey::read(&path).is_ok());
    }

    #[test]
    fn what_is_wrong_with_the_content_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = key_file(&folder);
        let pem = fs::read_to_string(&path).unwrap();
        let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let sec1 = pem.replace("PRIVATE KEY", "EC PRIVATE KEY");
        let cut = pem.replace("MIG", "AAA");
        let cases = [
            ("", "no private key in PEM"),
            (encrypted.as_str(), "encrypted with a passphrase"),
            (sec1.as_str(), "not in PKCS#8"),
            (cut.as_str(), "not a P-256 key"),
        ];
        for (text, expected) in cases {
            fs::write(&path, text).unwrap();
            match FileKey::read(&path) {
                Err(KeyFileError::Content { what, .. }) => assert_eq!(what, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            FileKey::read(&path),
            Err(KeyFileError::Unreadable { .. })
        ));
    }
}
