"""The fields that a mapping may override, as tables in the docs.

    python tools/field_tables.py docs/mapping.md            write
    python tools/field_tables.py --check docs/mapping.md    exit 1 if stale

A block between two comments is replaced:

    <!-- fields: my-destination -->
    <!-- /fields -->
"""

from __future__ import annotations

import re

from generated_docs import write_or_check

from destination_router.commands.schema import fields_as_markdown, fields_of
from destination_router.plugins.loading import load_plugin

_BLOCK = re.compile(
    r"(?P<open><!-- fields: (?P<plugin>\S+) -->\n).*?(?P<close><!-- /fields -->)", re.DOTALL
)


def with_tables(document: str) -> str:
    """Give a document with its tables up to date."""

    def table(block: re.Match[str]) -> str:
        drawn = fields_as_markdown(fields_of(load_plugin(block["plugin"])))
        return f"{block['open']}\n{drawn}\n\n{block['close']}"

    return _BLOCK.sub(table, document)


if __name__ == "__main__":
    write_or_check("Draw the tables of fields in the docs.", __file__, with_tables)
