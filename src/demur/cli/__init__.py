"""The command `demur`: translation only, one file per noun."""
