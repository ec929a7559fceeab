//! What a chain says about its owner: organisation, device, role, computer (PROTOCOL.md §2.3, §3).
use rustls::pki_types::CertificateDer;
use telerelay_wire::ids::{ComputerId, DeviceId, OrganisationId};
use webpki::KeyUsage;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Refusal;
use super::anchor::hash_of;

const ROLE: &str = "telerelay-role:";
const COMPUTER: &str = "telerelay-computer:";

/// What a certificate makes of its owner (PROTOCOL.md §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certified {
    /// An office PC.
    Agent,
    /// A home PC.
    Client,
    /// An organisation's administrator.
    Admin,
    /// An organisation's service that approves and stamps.
    Keeper,
}

impl Certified {
    /// The word of the API and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Client => "client",
            Self::Admin => "admin",
            Self::Keeper => "keeper",
        }
    }

    /// The extended key usage that the leaf must have.
    pub(super) fn usage(self) -> KeyUsage {
        match self {
            Self::Agent => KeyUsage::server_auth(),
            Self::Client | Self::Admin | Self::Keeper => KeyUsage::client_auth(),
        }
    }
}

/// Who is at the other end of a connection, as its certificates say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The organisation whose root the last certificate names as its issuer.
    pub organisation: OrganisationId,
    /// The device, by its key.
    pub device: DeviceId,
    /// What the certificate makes of it.
    pub role: Certified,
    /// The computer of an agent; of nobody else.
    pub computer: Option<ComputerId>,
}

impl Identity {
    /// Reads a chain as it was sent, leaf first: leaf and issuer of a device, the leaf alone of `admin` and `keeper`. This
    /// believes what stands there; a verifier has to have judged it.
    pub fn of(chain: &[CertificateDer<'_>]) -> Result<Self, Refusal> {
        match chain {
            [leaf] => Self::under_root(&parse(leaf)?),
            [leaf, issuer] => Self::under_issuer(&parse(leaf)?, &parse(issuer)?),
            _ => Err(Refusal::Profile),
        }
    }

    fn under_issuer(
        leaf: &X509Certificate<'_>,
        issuer: &X509Certificate<'_>,
    ) -> Result<Self, Refusal> {
        if uri(issuer)?.and_then(|uri| uri.strip_prefix(ROLE)) != Some("issuer") {
            return Err(Refusal::Profile);
        }
        let (role, computer) = match (usage(leaf)?, uri(leaf)?) {
            (Usage::ServerAuth, Some(uri)) => (Certified::Agent, Some(computer(uri)?)),
            (Usage::ClientAuth, None) => (Certified::Client, None),
            _ => return Err(Refusal::Profile),
        };
        Ok(Self {
            organisation: root_of(issuer)?,
            device: DeviceId(hash_of(leaf)),
            role,
            computer,
        })
    }

    fn under_root(leaf: &X509Certificate<'_>) -> Result<Self, Refusal> {
        let role = match (
            usage(leaf)?,
            uri(leaf)?.and_then(|uri| uri.strip_prefix(ROLE)),
        ) {
            (Usage::ClientAuth, Some("admin")) => Certified::Admin,
            (Usage::ClientAuth, Some("keeper")) => Certified::Keeper,
            _ => return Err(Refusal::Profile),
        };
        Ok(Self {
            organisation: root_of(leaf)?,
            device: DeviceId(hash_of(leaf)),
            role,
            computer: None,
        })
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Refusal> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Refusal::Profile),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    ServerAuth,
    ClientAuth,
}

/// The one extended key usage of a leaf.
fn usage(leaf: &X509Certificate<'_>) -> Result<Usage, Refusal> {
    let usage = leaf
        .extended_key_usage()
        .map_err(|_| Refusal::Profile)?
        .ok_or(Refusal::Profile)?
        .value;
    let others = usage.any
        || usage.code_signing
        || usage.email_protection
        || usage.time_stamping
        || usage.ocsp_signing;
    match (
        usage.server_auth,
        usage.client_auth,
        others || !usage.other.is_empty(),
    ) {
        (true, false, false) => Ok(Usage::ServerAuth),
        (false, true, false) => Ok(Usage::ClientAuth),
        _ => Err(Refusal::Profile),
    }
}

/// The one URI of a certificate's alternative names, none without such names; a certificate with other names is of another
/// profile.
fn uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<Option<&'a str>, Refusal> {
    match certificate
        .subject_alternative_name()
        .map_err(|_| Refusal::Profile)?
    {
        None => Ok(None),
        Some(names) => match names.value.general_names.as_slice() {
            [GeneralName::URI(uri)] => Ok(Some(uri)),
            _ => Err(Refusal::Profile),
        },
    }
}

/// The computer of an agent, in the one spelling that a certificate may have.
fn computer(uri: &str) -> Result<ComputerId, Refusal> {
    let text = uri.strip_prefix(COMPUTER).ok_or(Refusal::Profile)?;
    let computer: ComputerId = text.parse().map_err(|_| Refusal::Profile)?;
    if computer.to_string() == text {
        Ok(computer)
    } else {
        Err(Refusal::Profile)
    }
}

/// The root that the last certificate of a chain names as its issuer: by its key, 32 bytes (PROTOCOL.md §3.4).
fn root_of(last: &X509Certificate<'_>) -> Result<OrganisationId, Refusal> {
    let extension = last.get_extension_unique(&OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER);
    let Ok(Some(extension)) = extension else {
        return Err(Refusal::Profile);
    };
    let ParsedExtension::AuthorityKeyIdentifier(authority) = extension.parsed_extension() else {
        return Err(Refusal::Profile);
    };
    let key = authority.key_identifier.as_ref().ok_or(Refusal::Profile)?;
    key.0
        .try_into()
        .map(OrganisationId)
        .map_err(|_| Refusal::Profile)
}
