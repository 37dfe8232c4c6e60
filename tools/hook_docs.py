"""The reference of the hooks, drawn from `hookspecs.py`.

    python tools/hook_docs.py docs/hooks.md            write
    python tools/hook_docs.py --check docs/hooks.md    exit 1 if stale

A block between two comments is replaced:

    <!-- hooks -->
    <!-- /hooks -->
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from docstrings import body
from generated_docs import write_or_check

from destination_router.contract.hookspecs import REQUIRED_HOOKS, Destination
from destination_router.plugins.breaches import HOOKS

_BLOCK = re.compile(r"(?P<open><!-- hooks -->\n).*?(?P<close><!-- /hooks -->)", re.DOTALL)


def with_hooks(document: str) -> str:
    """Give a document with its reference of the hooks up to date."""
    drawn = "\n".join(_drawn(name) for name in vars(Destination) if name in HOOKS)
    return _BLOCK.sub(lambda block: f"{block['open']}\n{drawn}\n{block['close']}", document)


def _drawn(name: str) -> str:
    function: Callable[..., Any] = getattr(Destination, name)
    text = inspect.getdoc(function) or ""
    required = ", required" if name in REQUIRED_HOOKS else ""
    return f"### {name}{required}\n\n```python\n{_signature(name, function)}\n```\n\n{body(text)}\n"


def _signature(name: str, function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    arguments = ", ".join(f"{parameter.name}: {parameter.annotation}" for parameter in own)
    return f"def {name}({arguments}) -> {signature.return_annotation}"


if __name__ == "__main__":
    write_or_check("Draw the reference of the hooks.", __file__, with_hooks)
