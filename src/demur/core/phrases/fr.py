# ruff: noqa: RUF001  (the punctuation of the language)
"""French: guillemets with no-break spaces within, a narrow no-break space before `;`, a no-break space before `:`."""

from __future__ import annotations

from types import MappingProxyType

PHRASES = MappingProxyType(
    {
        "categorical": "«\u00a0{wanted}\u00a0» n’est pas possible ici, quels que soient le demandeur et la forme.",
        "policy_violation": "Une règle s’oppose à «\u00a0{wanted}\u00a0» sous cette forme.",
        "insufficient_context": "«\u00a0{wanted}\u00a0» dépend d’un élément qui n’est pas encore connu.",
        "scope_exceeded": "Rien n’autorise «\u00a0{wanted}\u00a0» pour cette demande.",
        "temporal": "«\u00a0{wanted}\u00a0» n’est pas possible en ce moment.",
        "state_conflict": "L’état actuel de l’objet concerné ne permet pas «\u00a0{wanted}\u00a0».",
        "quota_exceeded": "La limite pour «\u00a0{wanted}\u00a0» est atteinte pour cette période.",
        "requires_human": "Une personne doit d’abord se prononcer sur «\u00a0{wanted}\u00a0».",
        "indeterminate": (
            "Une règle concernant «\u00a0{wanted}\u00a0» n’a pas pu être évaluée\u202f; rien n’a été exécuté."
        ),
        "unavailable": "Aucune décision n’est possible pour le moment\u202f; rien n’a été exécuté.",
        "never_retry": "Une nouvelle demande n’y changera rien.",
        "modify": "Une demande modifiée peut être possible.",
        "supply_context": "Vous pourrez refaire la demande dès que l’élément manquant sera connu.",
        "retry_after": "Vous pourrez refaire la demande plus tard.",
        "wait": "Vous pourrez refaire la demande quand cet état aura changé.",
        "seek_authority": "Une personne habilitée peut vous aider.",
        "await_review": "Vous n’avez rien d’autre à faire\u202f; la réponse suivra l’examen.",
        "stopped": "«\u00a0{wanted}\u00a0» est suspendu pour le moment par une personne responsable.",
        "stopped_next": "Vous pourrez refaire la demande quand la suspension sera levée.",
        "quarantined": "«\u00a0{wanted}\u00a0» reste sans décision tant que cette session est en quarantaine.",
        "quarantined_next": "Une personne responsable peut lever la quarantaine.",
        "overloaded": "Une personne doit décider de «\u00a0{wanted}\u00a0», et trop de demandes attendent déjà.",
        "overloaded_next": "Vous pourrez refaire la demande plus tard.",
        "review_denied": "«\u00a0{wanted}\u00a0» a été examiné et refusé par une personne.",
        "review_denied_next": "Une demande modifiée peut être possible\u202f; la même sera examinée à nouveau.",
        "review_expired": "Personne ne s’est prononcé à temps sur «\u00a0{wanted}\u00a0», qui reste refusé.",
        "review_expired_next": "Une nouvelle demande ouvre un autre examen.",
        "review_ended": "L’examen de «\u00a0{wanted}\u00a0» a pris fin avant toute décision.",
        "review_ended_next": "Une nouvelle demande ouvre un autre examen.",
        "approval_used": "L’accord donné pour «\u00a0{wanted}\u00a0» vaut une fois\u202f; il est en usage ou utilisé.",
        "approval_used_next": "Une seconde fois demande un autre examen.",
        "reviewer_said": "La personne chargée de l’examen a écrit\u00a0: {said}",
        "not_understood": "«\u00a0{wanted}\u00a0» oblige à ce dont ce demandeur n’est pas chargé\u00a0: {types}.",
        "change": "Ce serait possible en modifiant\u00a0: {facts}.",
        "obtain": "Ce serait possible une fois ceci obtenu\u00a0: {facts}.",
        "earliest": "Vous pourrez refaire la demande à partir de {time}.",
        "alternative": "Possible à la place\u00a0: {actions}.",
        "end": ".",
        "holds": "motif\u00a0: {reason}",
        "lacking": "il faut pour cela\u00a0: {reason}",
        "unknown": "non connu\u00a0: {reason}",
        "failed": "non évaluable\u00a0: {reason}",
        "concerns": "cela concerne\u00a0: {reason}",
        "separator": ", ",
        "reasons_separator": "\u202f; ",
        "sentence_separator": " ",
    }
)
