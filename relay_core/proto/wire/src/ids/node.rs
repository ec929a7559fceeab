//! Names and addresses of nodes (PROTOCOL.md §2.4, §4).
use core::fmt;
use core::str::FromStr;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use crate::bounded::{List, Text};
use crate::cbor::Unfit;

/// Where a node can be dialled: `192.0.2.1:8443`, `[2001:db8::1]:8443`, `relay.example:443`.
pub type Address = Text<3, 72>;
/// Where the node saw a client dial from; for the audit and for rules, not for dialling.
pub type ClientAddress = Text<1, 72>;

/// One DNS label: 1 to 63 of `a–z 0–9 -`, beginning with a letter and not ending with a hyphen, so that it can be the SNI.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Box<str>);

/// A text that is no node name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a node name is 1 to 63 of a-z, 0-9 and hyphens; it begins with a letter and does not end with a hyphen"
)]
pub struct InvalidNodeName;

impl NodeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(text: &str) -> Result<Self, InvalidNodeName> {
        let letters = text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if (1..=63).contains(&text.len())
            && letters
            // A label that reads as a number is no SNI.
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
        {
            Ok(Self(text.into()))
        } else {
            Err(InvalidNodeName)
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<C> Encode<C> for NodeName {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for NodeName {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let text = d.str()?;
        if !(1..=63).contains(&text.len()) {
            return Err(Unfit::Size.into());
        }
        text.parse().map_err(|InvalidNodeName| Unfit::Value.into())
    }
}

/// A node and where it can be dialled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeAddress {
    /// Its name.
    pub name: NodeName,
    /// Its addresses, in the order in which they are tried.
    pub addresses: List<Address, 1, 8>,
}

impl<C> Encode<C> for NodeAddress {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(2)?
            .encode_with(&self.name, ctx)?
            .encode_with(&self.addresses, ctx)?
            .ok()
    }
}

impl<'b, C> Decode<'b, C> for NodeAddress {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        // Derived decoders take a longer array for a later version's; the CDDL says two.
        if d.array()? != Some(2) {
            return Err(Unfit::Size.into());
        }
        Ok(Self {
            name: d.decode_with(ctx)?,
            addresses: d.decode_with(ctx)?,
        })
    }
}

#[cfg(feature = "serde")]
super::as_text!(NodeName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_name_is_one_dns_label() {
        for name in ["a", "node-1", "x0", &"x".repeat(63)] {
            assert_eq!(
                name.parse::<NodeName>().map(|name| name.to_string()),
                Ok(name.to_owned())
            );
        }
        let long = "x".repeat(64);
        for name in [
            "", "-a", "a-", "Node", "a.b", "a_b", "ä", "0", "42", "0x2a", "1a", &long,
        ] {
            assert_eq!(name.parse::<NodeName>(), Err(InvalidNodeName), "{name}");
        }
    }
}
