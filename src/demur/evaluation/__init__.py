"""Checks on the gate from outside: the naive oracle, scenario tests and replay of the ledger."""
