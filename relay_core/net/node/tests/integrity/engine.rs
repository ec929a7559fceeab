//! The endpoints that the engine alone is tried with.
#[path = "../../../engine/tests/integrity/endpoint.rs"]
pub(crate) mod endpoint;
#[path = "../../../engine/tests/integrity/exchange.rs"]
pub(crate) mod exchange;
#[path = "../../../engine/tests/kit/mod.rs"]
pub(crate) mod kit;
