"""A stand-in for Amplitude's server-side APIs that enforces their documented rules: an ASGI app.

It is an independent judge of whatever sends to Amplitude, the plugin beside it included, so it
shares no code with the plugin, not even the limits. It is strict: what the pages do not document is
refused, even where Amplitude might let it pass. Everything is kept in memory.

A request goes `app.py` → `faults.py` (does it go wrong on purpose?) → `amplitude.py`, which asks
`events.py` and `forms.py` (is it valid?), `rates.py` (is it too much?) and then `store.py` (what
does Amplitude hold?). `/_simulator/...` shows what came of it.
"""

from amplitude_destination.simulator.amplitude import SimulatedAmplitude
from amplitude_destination.simulator.app import create_simulator
from amplitude_destination.simulator.faults import Fault

__all__ = ["Fault", "SimulatedAmplitude", "create_simulator"]
