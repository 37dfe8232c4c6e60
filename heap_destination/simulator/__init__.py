"""A stand-in for Heap's server-side API that enforces Heap's documented rules, as an ASGI app.

It is an independent judge of whatever sends to Heap, this project's own plugin included. So it
deliberately shares no code with the rest of the project: it reads Heap's documentation for
itself (`limits.py` holds every limit with its source), and a misreading in the plugin cannot
hide behind the same misreading here.

It is strict: what Heap does not document is refused, even where the real Heap might let it
pass. Everything is kept in memory.

A request goes `app.py` → `bodies.py` and `partner.py` (what does it ask for?) → `rates.py`
(may it?) → `store.py` (what does Heap then hold?). `faults.py` says where the network or Heap
fails on the way, and `inspection.py` shows what came of it all.
"""

from heap_destination.simulator.app import create_simulator
from heap_destination.simulator.faults import Fault
from heap_destination.simulator.heap import SimulatedHeap

__all__ = ["Fault", "SimulatedHeap", "create_simulator"]
