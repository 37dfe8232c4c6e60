"""Other systems' exports → a router.toml, and a sentence for each thing that is lost.

`exports` reads what all destinations have in common, and each plugin reads its own
settings (the hook `import_settings`). Open `translation` first.
"""
