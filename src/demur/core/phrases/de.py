"""German: the formal address, and words around what was wanted that do not bend with it."""

from __future__ import annotations

from types import MappingProxyType

PHRASES = MappingProxyType(
    {
        "categorical": "„{wanted}“ ist hier nicht möglich, gleich wer es wünscht und in welcher Form.",
        "policy_violation": "Eine Regel steht „{wanted}“ in dieser Form entgegen.",
        "insufficient_context": "„{wanted}“ hängt von etwas ab, das noch nicht bekannt ist.",
        "scope_exceeded": "Für diese Anfrage ist „{wanted}“ durch nichts erlaubt.",
        "temporal": "„{wanted}“ ist zu dieser Zeit nicht möglich.",
        "state_conflict": "Der gegenwärtige Zustand der Sache lässt „{wanted}“ nicht zu.",
        "quota_exceeded": "Die Grenze für „{wanted}“ ist in diesem Zeitraum erreicht.",
        "requires_human": "Über „{wanted}“ entscheidet zuerst ein Mensch.",
        "indeterminate": "Eine Regel zu „{wanted}“ ließ sich nicht auswerten; es wurde nichts ausgeführt.",
        "unavailable": "Zurzeit kann nichts entschieden werden; es wurde nichts ausgeführt.",
        "never_retry": "Eine erneute Anfrage ändert daran nichts.",
        "modify": "Mit einer geänderten Anfrage kann es möglich sein.",
        "supply_context": "Sie können erneut anfragen, sobald das Fehlende bekannt ist.",
        "retry_after": "Sie können später erneut anfragen.",
        "wait": "Sie können erneut anfragen, wenn sich dieser Zustand geändert hat.",
        "seek_authority": "Jemand mit der nötigen Befugnis kann Ihnen weiterhelfen.",
        "await_review": "Sie müssen jetzt nichts weiter tun; die Antwort folgt nach der Prüfung.",
        "stopped": "„{wanted}“ ist bis auf Weiteres von einer zuständigen Person angehalten.",
        "stopped_next": "Sie können erneut anfragen, wenn der Halt aufgehoben ist.",
        "quarantined": "Über „{wanted}“ wird nicht entschieden, solange diese Sitzung unter Quarantäne steht.",
        "quarantined_next": "Eine zuständige Person kann die Quarantäne aufheben.",
        "review_denied": "„{wanted}“ wurde von einem Menschen geprüft und abgelehnt.",
        "review_denied_next": "Eine geänderte Anfrage kann möglich sein; die gleiche wird neu geprüft.",
        "review_expired": "Über „{wanted}“ hat niemand rechtzeitig entschieden, daher bleibt es abgelehnt.",
        "review_expired_next": "Eine erneute Anfrage führt zu einer neuen Prüfung.",
        "review_ended": "Die Prüfung von „{wanted}“ endete, bevor jemand entschieden hat.",
        "review_ended_next": "Eine erneute Anfrage führt zu einer neuen Prüfung.",
        "approval_used": "Die Freigabe von „{wanted}“ gilt einmal und ist bereits in Gebrauch oder verbraucht.",
        "approval_used_next": "Ein zweites Mal erfordert eine neue Prüfung.",
        "reviewer_said": "Begründung der prüfenden Person: {said}",
        "not_understood": "„{wanted}“ verpflichtet zu etwas, wofür dieser Aufrufer nicht eingetragen ist: {types}.",
        "change": "Möglich wäre es mit einer Änderung von: {facts}.",
        "obtain": "Möglich wäre es, sobald dies vorliegt: {facts}.",
        "earliest": "Sie können ab {time} erneut anfragen.",
        "alternative": "Stattdessen möglich: {actions}.",
        "end": ".",
        "holds": "Grund: {reason}",
        "lacking": "dafür ist nötig: {reason}",
        "unknown": "nicht bekannt: {reason}",
        "failed": "nicht auswertbar: {reason}",
        "concerns": "es betrifft: {reason}",
        "separator": ", ",
        "reasons_separator": "; ",
        "sentence_separator": " ",
    }
)
