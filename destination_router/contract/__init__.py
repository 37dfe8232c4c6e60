"""What passes between a destination and its host, and nothing else: it imports nothing of ours.

A destination gets typed messages (`messages`) and gives requests, notes and outcomes back
(`records`, where `default_outcome` says what a status means) through the hooks of `hookspecs`.
`bulks` is what a `pack` is made of; `deletion` is the part about deleting people; `times` and
`javascript` write values as vendors want them. Authors import all of it from
`destination_router`. Open `hookspecs` first.
"""
