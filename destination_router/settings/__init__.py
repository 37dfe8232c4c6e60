"""A connection's settings: what was written in, what a plugin may use out, or every problem.

`validation` fills defaults and checks against the plugin's JSON Schema (`schema`), `references`
resolves `{env = NAME}` and `{file = PATH}`, `documents` reads TOML and JSON within bounds, `words`
says what is wrong, `errors` carries it.
`redaction` hides the values of secrets wherever a request is shown. Open `validation` first.
"""
