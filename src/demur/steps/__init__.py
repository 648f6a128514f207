"""The steps of the gateway, one story per file; each needs the world through ports and rules from the core."""
