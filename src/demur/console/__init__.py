"""The desk: pages for people who review, watch and run a gate. Server-made HTML; scripts only improve it."""
