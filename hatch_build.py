"""Compile the hot path to C, for who asks: `scripts/build-compiled`.

The source stays what it is, and so does its meaning: Cython is told to take no notice of
annotations, which in C would round a whole number that is annotated as a float.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = ("build", "compiled")
"""Where it is compiled: the same each time, so that a compiler finds what an earlier run noted."""

DIRECTIVES = {"annotation_typing": False, "binding": True, "language_level": 3}


class Compiled(BuildHookInterface[Any]):
    """Puts compiled modules beside their sources into a wheel; Python imports them first."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile what `modules` lists; nothing for an editable install, whose source is edited."""
        if version == "editable":
            return
        # Only here: who does not ask for it has neither.
        from Cython.Build import cythonize  # noqa: PLC0415
        from setuptools import Distribution, Extension  # noqa: PLC0415
        from setuptools.command.build_ext import build_ext  # noqa: PLC0415

        made = str(Path(self.root, *FOLDER))
        paths = [Path(path) for path in self.config["modules"]]
        extensions = [Extension(".".join(p.with_suffix("").parts), [str(p)]) for p in paths]
        command = build_ext(
            Distribution(
                {
                    "ext_modules": cythonize(
                        extensions, build_dir=made, compiler_directives=DIRECTIVES, quiet=True
                    )
                }
            )
        )
        command.build_lib, command.build_temp, command.parallel = made, made, True
        command.force = True  # what is there may have been compiled with other CFLAGS
        command.ensure_finalized()
        command.run()
        for name in command.get_outputs():
            build_data["force_include"][name] = str(Path(name).relative_to(made))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
