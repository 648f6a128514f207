"""Technology: one kind of store, key, clock or fact source per file; only `demur.wiring` chooses among them."""
