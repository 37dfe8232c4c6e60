"""Decides which messages a connection takes, by FQL that is compiled to conditions. Pure.

`fql` reads the text, `conditions` compiles it, `subscriptions` joins each condition to the mapping
that goes with it. Open `subscriptions` first.
"""
