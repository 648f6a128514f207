"""Spanish: the formal address."""

from __future__ import annotations

from types import MappingProxyType

PHRASES = MappingProxyType(
    {
        "categorical": "«{wanted}» no es posible aquí, sea quien sea quien lo pida y en cualquier forma.",
        "policy_violation": "Una regla se opone a «{wanted}» en esta forma.",
        "insufficient_context": "«{wanted}» depende de algo que todavía no se conoce.",
        "scope_exceeded": "Nada autoriza «{wanted}» para esta solicitud.",
        "temporal": "«{wanted}» no es posible en este momento.",
        "state_conflict": "El estado actual de lo solicitado no permite «{wanted}».",
        "quota_exceeded": "Se ha alcanzado el límite de «{wanted}» para este período.",
        "requires_human": "Una persona debe decidir primero sobre «{wanted}».",
        "indeterminate": "No se pudo evaluar una regla sobre «{wanted}»; no se ha ejecutado nada.",
        "unavailable": "Por ahora no se puede tomar ninguna decisión; no se ha ejecutado nada.",
        "never_retry": "Volver a pedirlo no cambiará la respuesta.",
        "modify": "Puede ser posible con una solicitud modificada.",
        "supply_context": "Puede volver a solicitarlo cuando se conozca lo que falta.",
        "retry_after": "Puede volver a solicitarlo más tarde.",
        "wait": "Puede volver a solicitarlo cuando ese estado haya cambiado.",
        "seek_authority": "Una persona autorizada puede ayudarle.",
        "await_review": "No tiene que hacer nada más; la respuesta llegará tras la revisión.",
        "stopped": "«{wanted}» está detenido por ahora por una persona responsable.",
        "stopped_next": "Puede volver a solicitarlo cuando se levante la detención.",
        "quarantined": "No se decide sobre «{wanted}» mientras esta sesión esté en cuarentena.",
        "quarantined_next": "Una persona responsable puede levantar la cuarentena.",
        "review_denied": "Una persona revisó «{wanted}» y lo rechazó.",
        "review_denied_next": "Una solicitud modificada puede ser posible; la misma se revisa de nuevo.",
        "review_expired": "Nadie decidió a tiempo sobre «{wanted}», por lo que sigue rechazado.",
        "review_expired_next": "Una nueva solicitud abre otra revisión.",
        "review_ended": "La revisión de «{wanted}» terminó antes de que alguien decidiera.",
        "review_ended_next": "Una nueva solicitud abre otra revisión.",
        "approval_used": "La aprobación de «{wanted}» vale una vez y ya está en uso o se usó.",
        "approval_used_next": "Una segunda vez requiere otra revisión.",
        "reviewer_said": "La persona que revisó escribió: {said}",
        "not_understood": "«{wanted}» obliga a algo para lo que este solicitante no está registrado: {types}.",
        "change": "Sería posible con un cambio de: {facts}.",
        "obtain": "Sería posible cuando conste lo siguiente: {facts}.",
        "earliest": "Puede volver a solicitarlo a partir de {time}.",
        "alternative": "En su lugar es posible: {actions}.",
        "end": ".",
        "holds": "motivo: {reason}",
        "lacking": "para ello hace falta: {reason}",
        "unknown": "no se conoce: {reason}",
        "failed": "no se pudo evaluar: {reason}",
        "concerns": "se trata de: {reason}",
        "separator": ", ",
        "reasons_separator": "; ",
        "sentence_separator": " ",
    }
)
