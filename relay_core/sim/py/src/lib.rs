//! The simulator as the Python module `telerelay_sim._sim`, for the tests only.
use pyo3::prelude::*;

/// Simulator of telerelay: agents, nodes and clients on a virtual clock. Use the names of `telerelay_sim`.
#[pymodule]
mod _sim {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
