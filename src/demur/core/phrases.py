"""What Demur says in its own words, by locale: one plain sentence for each category, and how a condition is told.

A rule's author can say it better with `messages`; these are what is said otherwise. They acknowledge, give the kind of
reason, blame nobody and name no threshold (S10).
"""

from __future__ import annotations

FALLBACK = "en"
"""The locale used where the asked one has no words."""

_PHRASES: dict[str, dict[str, str]] = {
    "en": {
        "categorical": "this action is not possible here, whoever asks and however it is asked",
        "policy_violation": "a rule stands against this action as it was asked",
        "insufficient_context": "something that must be known first is not known",
        "scope_exceeded": "nothing permits this action for this request",
        "temporal": "this action is not possible at this time",
        "state_conflict": "the present state of what this concerns does not allow the action",
        "quota_exceeded": "the limit for this period has been reached",
        "requires_human": "a person has to decide about this action first",
        "indeterminate": "a rule could not be evaluated, so the action was not allowed",
        "unavailable": "no decision can be made or recorded at the moment; nothing was carried out",
        "not_remediable": "no change to the request would lead to another answer",
        "holds": "because {}",
        "lacking": "this needs that {}",
        "unknown": "not known: {}",
        "failed": "could not be evaluated: {}",
    },
    "de": {
        "categorical": "diese Aktion ist hier nicht möglich, gleich wer sie verlangt und in welcher Form",
        "policy_violation": "eine Regel steht der Aktion in dieser Form entgegen",
        "insufficient_context": "etwas, das zuerst bekannt sein muss, ist nicht bekannt",
        "scope_exceeded": "nichts erlaubt diese Aktion für diese Anfrage",
        "temporal": "diese Aktion ist zu dieser Zeit nicht möglich",
        "state_conflict": "der gegenwärtige Zustand der Sache lässt die Aktion nicht zu",
        "quota_exceeded": "die Grenze für diesen Zeitraum ist erreicht",
        "requires_human": "über diese Aktion muss zuerst ein Mensch entscheiden",
        "indeterminate": "eine Regel ließ sich nicht auswerten, daher wurde die Aktion nicht erlaubt",
        "unavailable": "zur Zeit kann nichts entschieden oder aufgezeichnet werden; es wurde nichts ausgeführt",
        "not_remediable": "keine Änderung der Anfrage würde zu einer anderen Antwort führen",
        "holds": "Grund: {}",
        "lacking": "dafür ist nötig: {}",
        "unknown": "nicht bekannt: {}",
        "failed": "nicht auswertbar: {}",
    },
}


def phrase(name: str, locale: str) -> str:
    """The words of this name in the locale, its language, or English; some leave a place (`{}`) for an explanation."""
    texts = _PHRASES.get(locale) or _PHRASES.get(locale.partition("-")[0]) or _PHRASES[FALLBACK]
    return texts[name]
