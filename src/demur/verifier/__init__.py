"""The verifier for auditors: one program that imports nothing of Demur; `demur ledger verifier` prints it."""
