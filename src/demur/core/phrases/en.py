"""English: the words that every other language falls back to."""

from __future__ import annotations

from types import MappingProxyType

PHRASES = MappingProxyType(
    {
        "categorical": "“{wanted}” is not available here, whoever asks and in whatever form.",
        "policy_violation": "A rule stands against “{wanted}” as it was asked for.",
        "insufficient_context": "“{wanted}” depends on something that is not known yet.",
        "scope_exceeded": "Nothing permits “{wanted}” for this request.",
        "temporal": "“{wanted}” is not possible at this time.",
        "state_conflict": "The present state of what “{wanted}” concerns does not allow it.",
        "quota_exceeded": "The limit for “{wanted}” has been reached for this period.",
        "requires_human": "A person decides about “{wanted}” first.",
        "indeterminate": "A rule about “{wanted}” could not be evaluated, so nothing was carried out.",
        "unavailable": "No decision can be made at the moment; nothing was carried out.",
        "never_retry": "Asking again will not change this.",
        "modify": "A changed request may be possible.",
        "supply_context": "It can be asked for again once what is missing is known.",
        "retry_after": "It can be asked for again later.",
        "wait": "It can be asked for again when that state has changed.",
        "seek_authority": "Someone with the authority for it can help.",
        "await_review": "Nothing more is needed now; the answer follows after the review.",
        "stopped": "“{wanted}” was stopped by an operator for the time being.",
        "stopped_next": "It can be asked for again when the stop is released.",
        "quarantined": "“{wanted}” is not decided while this session is under quarantine.",
        "quarantined_next": "An operator can lift the quarantine.",
        "review_denied": "“{wanted}” was looked at by a person, who refused it.",
        "review_denied_next": "A changed request may be possible; the same one is looked at anew.",
        "review_expired": "Nobody decided about “{wanted}” in time, so it stays refused.",
        "review_expired_next": "Asking again opens another review.",
        "review_ended": "The review of “{wanted}” ended before anybody decided.",
        "review_ended_next": "Asking again opens another review.",
        "approval_used": "The approval of “{wanted}” counts once, and it is in use or was used.",
        "approval_used_next": "A second time takes another review.",
        "reviewer_said": "The reviewer wrote: {said}",
        "not_understood": "“{wanted}” obliges to what this caller is not registered to carry out: {types}.",
        "change": "It would be possible with a change of: {facts}.",
        "obtain": "It would be possible once this is there: {facts}.",
        "earliest": "It can be asked for again from {time}.",
        "alternative": "Possible instead: {actions}.",
        "end": ".",
        "holds": "because {reason}",
        "lacking": "this needs that {reason}",
        "unknown": "not known: {reason}",
        "failed": "could not be evaluated: {reason}",
        "concerns": "this concerns {reason}",
        "separator": ", ",
        "reasons_separator": "; ",
        "sentence_separator": " ",
    }
)
