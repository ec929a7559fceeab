//! The simulator and the codecs as the Python module `telerelay_sim._sim`, for the tests only.
mod codec;

use pyo3::prelude::*;

/// Simulator of telerelay: agents, nodes and clients on a virtual clock. Use the names of `telerelay_sim`.
#[pymodule]
mod _sim {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::codec::{
        BrokenError, MistypedError, decode_inner, decode_outer, encode_inner, encode_outer,
        format_attempt_id, format_computer_id, parse_attempt_id, parse_computer_id, read_inner,
        read_outer, scan_records,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
