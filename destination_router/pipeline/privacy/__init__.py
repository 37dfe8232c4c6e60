"""HIPAA mode: what of a message a connection may see. Default deny, identifiers masked. Pure.

`hipaa` builds a new message from what both allowlists let pass (`allowlists`), with identifiers
masked (`masking`); `sealing` is what dead letters keep; `report` lists which fields there are. Open
`hipaa` first.
"""
