//! Frames, identities, computer ID and the TLS record scanner: how bytes become words.
#![forbid(unsafe_code)]
