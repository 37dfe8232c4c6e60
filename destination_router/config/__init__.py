"""router.toml → typed records, with every error at once and the key that each one is about.

`schema` has the tables and keys, `router_toml` reads them into records, and `problems` reports
mistakes with their places. To add a setting, begin with `schema`. A setting of `[delivery]` ends up
in `delivery/delivery_settings`.
"""
