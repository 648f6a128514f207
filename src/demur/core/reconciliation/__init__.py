"""Records of a ledger and statements of meters -> what does not fit together, and about what nothing can be said.

    run = Run(lives={}, statements=find, verify=verify)
    for record in records:
        run.take(record)
    report = run.finish(as_of)

- `findings`  the kinds of findings, and how grave each is
- `covering`  which actions a stop or a meter covers, as far as a leaf tells
- `lives`     each grant from its allow to its end
- `meters`    what meters saw, set beside the lives of the grants
- `silence`   epochs, heartbeats, canaries, writers' counts, received requests
- `run`       the whole comparison, in one pass and in constant memory
"""

from demur.core.reconciliation.findings import SEVERITIES, Finding, Kind, Limits, Severity
from demur.core.reconciliation.run import Report, Run

__all__ = ["SEVERITIES", "Finding", "Kind", "Limits", "Report", "Run", "Severity"]
