"""Policies: documents as data, their checks, and the set of rules that decisions are made with."""
