"""A module that Cython has compiled, as Python itself runs its source."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def uncompiled(compiled: ModuleType) -> ModuleType:
    """The same file run by Python, as a module of its own."""
    if compiled.__file__ is None:
        raise ValueError(f"{compiled.__name__} is no file")
    path = Path(compiled.__file__)
    name = f"{compiled.__name__}_uncompiled"
    spec = importlib.util.spec_from_file_location(name, path.with_name(f"{path.name.split('.')[0]}.py"))
    if spec is None or spec.loader is None:
        raise ValueError(f"{compiled.__name__} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    # Where a dataclass looks its module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
