"""router.toml → typed records, with every error at once and the key that each one is about.

`schema` says which tables and keys there are, `router_toml` reads them into records, `problems`
tells what is wrong by where it stands. To add a setting, begin with `schema`; one of `[delivery]`
ends in `delivery/delivery_settings`.
"""
