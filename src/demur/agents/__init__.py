"""The gate in front of tools: one kind of host per file."""
