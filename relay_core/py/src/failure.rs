//! The one error of the core, and the one exception that Python sees.
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use telerelay_wire::Code;

pyo3::create_exception!(
    telerelay_core._core,
    CoreError,
    PyException,
    "The one exception of the core. `code` stands in errors.toml (PROTOCOL.md §13)."
);

/// What went wrong, for `CoreError`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    code: Code,
    detail: String,
}

impl Failure {
    /// `detail` says what and where, never a secret.
    pub(crate) fn new(code: Code, detail: impl ToString) -> Self {
        Self {
            code,
            detail: detail.to_string(),
        }
    }
}

impl From<Failure> for PyErr {
    fn from(Failure { code, detail }: Failure) -> Self {
        Python::attach(|py| {
            let error = CoreError::new_err(format!("{code}: {detail}"));
            let value = error.value(py);
            let set = value
                .setattr("code", code.as_str())
                .and_then(|()| value.setattr("detail", detail))
                .and_then(|()| value.setattr("retry_after_s", None::<u32>));
            set.map_or_else(|failed| failed, |()| error)
        })
    }
}
