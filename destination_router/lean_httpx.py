"""Keeps httpx from loading its own command line, as it does wherever rich is: it takes 3 to 5 MiB.

A process of ours imports this before anything else. In somebody else's program, that is not ours to
decide.
"""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # as if it were not there
