"""The Heap plugin: messages → Heap's HTTP requests. Pure functions, no I/O.

`plugin` is its table of contents. `calls` decides which requests a message becomes, `identity`
under which identifier, `properties` what Heap gets of an object (`flattening`), `endpoints`
writes bodies, `packing` makes bulks, `responses` reads Heap's answers. Heap's limits are in
`limits`, its rates in `quotas`, how other systems map in `dialects`. Open `plugin` first.
"""
