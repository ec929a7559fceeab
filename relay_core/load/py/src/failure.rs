//! The one exception of the generator.
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use telerelay_load::LoadError;
use telerelay_wire::Code;

pyo3::create_exception!(
    telerelay_generator._generator,
    GeneratorError,
    PyException,
    "The one exception of the generator. `code` stands in errors.toml."
);

/// What went wrong, for `GeneratorError`.
pub(crate) struct Failure(pub(crate) LoadError);

impl<E: Into<LoadError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<Failure> for PyErr {
    fn from(Failure(error): Failure) -> Self {
        let (code, detail) = (code(&error), error.to_string());
        Python::attach(|py| {
            let raised = GeneratorError::new_err(format!("{code}: {detail}"));
            let value = raised.value(py);
            let set = value
                .setattr("code", code.as_str())
                .and_then(|()| value.setattr("detail", detail));
            set.map_or_else(|failed| failed, |()| raised)
        })
    }
}

fn code(error: &LoadError) -> Code {
    match error {
        LoadError::Unreadable { .. }
        | LoadError::Content { .. }
        | LoadError::Credentials(_)
        | LoadError::Chain(_) => Code::KeyFile,
        LoadError::TooFew { .. }
        | LoadError::Order(_)
        | LoadError::NotThisMachine(_)
        | LoadError::Model(_)
        | LoadError::Usage(_)
        | LoadError::Way(_) => Code::Usage,
        LoadError::Descriptors { .. } | LoadError::Tls(_) | LoadError::Machine(_) => Code::Machine,
    }
}
