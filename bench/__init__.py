"""Speed beside that of peers, in one run: `python -m bench [--quick] [--json FILE]`."""
