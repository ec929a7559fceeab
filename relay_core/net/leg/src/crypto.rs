//! Which cryptography TLS may use: one provider, passed explicitly, TLS 1.3 only (PROTOCOL.md §1.1, §7).
use std::sync::{Arc, LazyLock};

use rustls::SignatureScheme;
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms};
use webpki::aws_lc_rs::ECDSA_P256_SHA256;

/// The only versions: no downgrade is negotiable.
pub(crate) static VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// ECDSA P-256 with SHA-256 and nothing else, in certificates and in handshakes.
pub(crate) static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[ECDSA_P256_SHA256],
    mapping: &[(SignatureScheme::ECDSA_NISTP256_SHA256, &[ECDSA_P256_SHA256])],
};

/// Outer TLS carries what inner TLS has encrypted already, so the cheaper suite comes first.
static OUTER_SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// Inner TLS protects content that may be recorded today and attacked decades later.
static INNER_SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
];

static HYBRID_FIRST: &[&dyn SupportedKxGroup] = &[
    kx_group::X25519MLKEM768,
    kx_group::X25519,
    kx_group::SECP256R1,
];
static WITHOUT_HYBRID: &[&dyn SupportedKxGroup] = &[kx_group::X25519, kx_group::SECP256R1];
static HYBRID_ONLY: &[&dyn SupportedKxGroup] = &[kx_group::X25519MLKEM768];

/// Outer TLS: the hybrid group first.
pub(crate) static OUTER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| provider(OUTER_SUITES, HYBRID_FIRST));

/// Outer TLS of a second dial: its ClientHello fits one segment, for middleboxes that drop the one that does not.
pub(crate) static OUTER_SHORT: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| provider(OUTER_SUITES, WITHOUT_HYBRID));

/// Inner TLS: the hybrid group or nothing.
pub(crate) static INNER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| provider(INNER_SUITES, HYBRID_ONLY));

fn provider(
    suites: &[SupportedCipherSuite],
    groups: &[&'static dyn SupportedKxGroup],
) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: suites.to_vec(),
        kx_groups: groups.to_vec(),
        signature_verification_algorithms: SIGNATURES,
        ..aws_lc_rs::default_provider()
    })
}
