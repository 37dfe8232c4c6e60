"""HIPAA mode: decides what a connection may see. Default deny, with masked identifiers. Pure.

`hipaa` builds a new message from what both allowlists let pass (`allowlists`), with masked
identifiers (`masking`). `sealing` writes what dead letters keep, and `report` lists the fields of
messages. Open `hipaa` first.
"""
