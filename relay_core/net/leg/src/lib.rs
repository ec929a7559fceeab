//! One TCP connection with its layers: dialling, outer TLS, record-exact reading, accepting.
//!
//! A **leg** is a socket and a [`tls::Tls`] beside it; nothing here owns both, so that whoever moves bytes decides how it
//! waits. What there is, from the endpoint's side:
//!
//! - [`credentials::Credentials`]: chain and key, read from files (`KEY_FILE`, `CERTIFICATE`) or built over a [`key_store::KeyStore`]
//! - [`dial::Dialer`]: [`connect`](dial::Dialer::connect) dials one address of one node within `dial_address_s` and gives socket
//!   and TLS behind the handshake; [`connect_any`](dial::Dialer::connect_any) goes through a list of nodes
//! - [`tls::Tls`]: append what the socket gave to [`read_buffer`](tls::Tls::read_buffer), call
//!   [`read_record`](tls::Tls::read_record) until it is starved; [`write`](tls::Tls::write) plaintext, send
//!   [`outgoing`](tls::Tls::outgoing) and say [`sent`](tls::Tls::sent). A PATH frame given to `write` in one piece is one record.
//!   For SWITCH: `write` it, [`freeze`](tls::Tls::freeze), send what is outgoing;
//!   [`take_left_over`](tls::Tls::take_left_over) behind the other side's SWITCH. [`release`](tls::Tls::release) an idle leg.
//! - [`tls::TlsError::code`]: what the end of outer TLS means to an endpoint. A node refuses a certificate behind the endpoint's
//!   end of the handshake, so `CERTIFICATE` may come with the first read only.
//! - [`config::inner_client`], [`config::inner_server`]: inner TLS as rustls' buffered connections, which have the exporter of the
//!   resume secret; [`config::INNER_PLAINTEXT`] is the most of one record; [`trust::Refusal::of`] tells why a verifier
//!   refused, [`trust::Revoked`] is the revocation list in force
//!
//! - [`plain::carry`]: a connection of the API as plaintext over a socket pair, for a program that opens no TLS (Unix)
//!
//! and from the node's: [`config::NodeConfigs`] over [`trust::Organisations`], [`socket::listen`], [`accept::accept`],
//! [`accept::linger`]; `plain::carry` hands a connection of the API to Python as a stream of plaintext.
pub mod accept;
pub mod config;
pub mod credentials;
mod crypto;
pub mod dial;
#[cfg(test)]
mod fixture;
mod handshake;
pub mod key_store;
#[cfg(unix)]
pub mod plain;
pub mod socket;
pub mod tls;
pub mod trust;

pub use rustls::pki_types::CertificateDer;
