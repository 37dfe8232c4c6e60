"""Slips that somebody could make in a Heap destination, applied to the real one."""

from conformance.mutants.heap.calls import CALLS
from conformance.mutants.heap.dialects import DIALECTS
from conformance.mutants.heap.identity import IDENTITY
from conformance.mutants.heap.merging import MERGING
from conformance.mutants.heap.packing import PACKING
from conformance.mutants.heap.plain import PLAIN
from conformance.mutants.heap.properties import PROPERTIES
from conformance.mutants.heap.requests import REQUESTS

MUTANTS = (*CALLS, *PLAIN, *REQUESTS, *IDENTITY, *PROPERTIES, *PACKING, *MERGING, *DIALECTS)
"""All of them."""

PLUGIN = "heap_destination.plugin"
"""What they are applied to: by name, for the suite imports no destination."""
