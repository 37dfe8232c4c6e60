"""Turns a connection's settings as written into what a plugin may use, or lists every problem.

`validation` fills in defaults and checks against the plugin's JSON Schema (`schema`), `references`
resolves `{env = NAME}` and `{file = PATH}`, `documents` reads TOML and JSON within bounds, `words`
describes problems, and `errors` carries them. `redaction` hides secrets wherever a request is
shown. Open `validation` first.
"""
