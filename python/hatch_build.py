"""Compiles the `source` that a package names beside it, which runs uncompiled just as well."""

import contextlib
import tempfile
from typing import Any

from Cython.Build import cythonize
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution
from typing_extensions import override


class CompileSource(BuildHookInterface[Any]):
    """Runs before a wheel is put together, an editable one too."""

    @override
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        source: str = self.config["source"]
        with contextlib.chdir(self.root), tempfile.TemporaryDirectory() as scratch:
            extensions = cythonize(source, build_dir=scratch, force=True, quiet=True, language_level=3)
            command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
            command.inplace = True
            command.build_lib = command.build_temp = scratch
            command.ensure_finalized()
            command.run()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"{source.removesuffix('.py')}.*.so")
