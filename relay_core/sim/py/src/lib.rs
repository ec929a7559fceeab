//! The simulator as the Python module `telerelay_sim`, for the tests only.
use pyo3::prelude::*;

/// Simulator of telerelay: agents, nodes and clients on a virtual clock.
#[pymodule]
mod telerelay_sim {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
