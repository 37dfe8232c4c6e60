"""Compile the hot path to C, for who asks: `scripts/build-compiled`.

The source stays what it is, and so does its meaning. Of its annotations, Cython gets to see those
that name structs, whose fields it then reads in one step (`tools/struct_layouts.py`). It would take
the others for types of C, and so round a whole number that is annotated as a float.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = ("build", "compiled")
"""Where it is compiled: the same each time, so that a compiler finds what an earlier run noted."""

AGAIN = "COMPILED_AGAIN"
"""A variable of the environment: it says that the C that is there is of these very sources."""

DIRECTIVES = {
    "annotation_typing": True,
    "binding": True,
    "language_level": 3,
    "nonecheck": True,  # a field of None raises what it raises from source
}


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

        sys.path[:0] = [self.root, str(Path(self.root, "tools"))]
        from struct_layouts import write_typed  # noqa: PLC0415

        made = str(Path(self.root, *FOLDER))
        copies = Path(made, "typed")
        paths = [Path(path) for path in self.config["modules"]]
        write_typed(paths, copies)
        extensions = [Extension(".".join(p.with_suffix("").parts), [str(p)]) for p in paths]
        with contextlib.chdir(copies):  # so that tracebacks name a module by its usual path
            extensions = cythonize(
                extensions,
                build_dir=made,
                compiler_directives=DIRECTIVES,
                force=AGAIN not in os.environ,
                nthreads=os.cpu_count() or 1,
                quiet=True,
            )
        command = build_ext(Distribution({"ext_modules": extensions}))
        command.build_lib, command.build_temp, command.parallel = made, made, True
        command.force = True  # what is there may have been compiled with other CFLAGS
        command.ensure_finalized()
        command.run()
        for name in command.get_outputs():
            build_data["force_include"][name] = str(Path(name).relative_to(made))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
