"""The review desk: how much is at stake, how long it may take, who decides, and what is turned away under overload.

Pure: a plan that the policies declare, instants, and what the ledger already measured give the same answer everywhere.
"""
