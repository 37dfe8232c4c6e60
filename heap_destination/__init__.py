"""The Heap plugin: messages → Heap's HTTP requests. Pure functions, no I/O.

`plugin` is its table of contents; open it first. `calls` decides which requests a message becomes,
and `identity` under which identifier. `properties` and `flattening` make Heap's properties of an
object, `endpoints` writes bodies, `packing` makes bulks, and `responses` reads Heap's answers.
`limits` has Heap's limits, `quotas` its rates, and `dialects` how other systems map.
"""
