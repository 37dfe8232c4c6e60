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

READER = (
    "static CYTHON_INLINE PyObject* "
    "__Pyx_PyObject_GetAttrStr(PyObject* obj, PyObject* attr_name) {\n"
)
READS = "return tp->tp_getattro(obj, attr_name);"
"""How Cython's C reads an attribute: the head of its function, and what that does."""

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
        in_c = cythonize(extensions, build_dir=made, compiler_directives=DIRECTIVES, quiet=True)
        sources = [Path(source) for each in in_c for source in each.sources]
        read_slots(sources, Path(self.root, "hatch_slots.h"))
        command = build_ext(Distribution({"ext_modules": in_c}))
        command.build_lib, command.build_temp, command.parallel = made, made, True
        command.force = True  # what is there may have been compiled with other CFLAGS
        command.ensure_finalized()
        command.run()
        for name in command.get_outputs():
            build_data["force_include"][name] = str(Path(name).relative_to(made))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def read_slots(sources: list[Path], header: Path) -> None:
    """Let C that Cython wrote read attributes as a header does.

    Raises:
        RuntimeError: this version of Cython reads them in another way.
    """
    changed = False
    for source in sources:
        text = source.read_text(encoding="utf-8")
        if READS in text:  # a module may read none, or may not have been written anew
            text = text.replace(READER, f'#include "{header}"\n{READER}')
            text = text.replace(READS, "return slot_or_attribute(tp, obj, attr_name);")
            source.write_text(text, encoding="utf-8")
        changed |= header.name in text
    if not changed:
        raise RuntimeError(f"Cython reads attributes in another way than {header.name} expects")
