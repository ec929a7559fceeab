//! The Rust core as the Python module `telerelay_core._core`: conversion only, no decision.
use pyo3::prelude::*;

/// Rust core of telerelay: protocol codecs, sockets and TLS. Use the names of `telerelay_core`.
#[pymodule]
mod _core {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
