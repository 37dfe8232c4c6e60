"""Other systems' exports → a router.toml, and a sentence for whatever could not be carried over.

`exports` reads them as far as all destinations have it in common; each plugin reads its own
settings (the hook `import_settings`). Open `translation` first.
"""
