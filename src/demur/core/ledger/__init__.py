"""The tamper-evident ledger over opaque bytes: usable alone by an auditor, knows nothing of decisions."""
