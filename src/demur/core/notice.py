"""What reviewers are told outside the desk, in a few plain lines of their language, and naming nobody.

    Review 5f0c1b2a3d4e5f60 waits for a decision

    Risk: high
    Decide by: 2026-11-20T10:00:00Z
    https://demur.example/desk/reviews/5f0c1b2a3d4e5f60

- A notice says that something happened to a review, its risk, its deadline and where it is looked at. Who asked for
  what, about whom and why is for the desk, behind a login.
- An action is named only where the place may be told its name.

Clauses: S10.
"""

# ruff: noqa: RUF001  (each language in its own signs)

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from demur.core import phrases
from demur.core.review import ReviewState
from demur.core.terms import Timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping


class Happening(StrEnum):
    """What happened to a review, as places choose by it."""

    OPENED = "opened"
    ASSIGNED = "assigned"
    ESCALATED = "escalated"
    DEADLINE_NEAR = "deadline_near"
    RESOLVED = "resolved"
    EXPIRED = "expired"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell. `action` is "" where it may not be named, `link` where there is none."""

    what: Happening
    review_id: str
    risk: str
    deadline: Timestamp
    state: ReviewState = ReviewState.PENDING
    action: str = ""
    link: str = ""
    is_personal: bool = False
    """Whether the link is good for one person alone, once."""


def words(notice: Notice, locale: str) -> tuple[str, str]:
    """Title and body."""
    say = _WORDS[phrases.chosen(locale)]
    title = say[notice.what.value].format(id=notice.review_id)
    if notice.what is Happening.RESOLVED:
        title = f"{title}: {say[_ENDS.get(notice.state, 'ended')]}"
    lines = [say["risk"].format(text=say.get(notice.risk, notice.risk))]
    if notice.what in _OPEN:
        lines.append(say["deadline"].format(text=notice.deadline))
    if notice.action:
        lines.append(say["action"].format(text=notice.action))
    if notice.link:
        lines += [notice.link, *([say["personal"]] if notice.is_personal else [])]
    return title, "\n".join(lines)


_OPEN = (Happening.OPENED, Happening.ASSIGNED, Happening.ESCALATED, Happening.DEADLINE_NEAR)
_ENDS: Mapping[ReviewState, str] = {
    ReviewState.APPROVED: "approved",
    ReviewState.RESERVED: "approved",
    ReviewState.EXECUTED: "approved",
    ReviewState.DENIED: "denied",
}
_WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "ar": {
            "opened": "المراجعة {id} بانتظار قرار",
            "assigned": "أُسندت المراجعة {id}",
            "escalated": "صُعِّدت المراجعة {id}",
            "deadline_near": "اقترب موعد انتهاء المراجعة {id}",
            "resolved": "انتهت المراجعة {id}",
            "expired": "انقضى موعد المراجعة {id} بلا قرار، فيبقى الطلب مرفوضًا",
            "approved": "تمت الموافقة",
            "denied": "رُفض",
            "ended": "لم تعد مطلوبة",
            "risk": "المخاطر: {text}",
            "deadline": "القرار قبل: {text}",
            "action": "الإجراء: {text}",
            "personal": "هذا الرابط لك وحدك، ويصلح مرة واحدة.",
            "low": "منخفضة",
            "medium": "متوسطة",
            "high": "عالية",
            "critical": "حرجة",
        },
        "de": {
            "opened": "Prüfung {id} wartet auf eine Entscheidung",
            "assigned": "Prüfung {id} wurde zugeteilt",
            "escalated": "Prüfung {id} wurde weitergegeben",
            "deadline_near": "Prüfung {id}: Die Frist läuft bald ab",
            "resolved": "Prüfung {id} ist beendet",
            "expired": "Prüfung {id} lief ohne Entscheidung ab; es bleibt abgelehnt",
            "approved": "freigegeben",
            "denied": "abgelehnt",
            "ended": "nicht mehr nötig",
            "risk": "Risiko: {text}",
            "deadline": "Entscheiden bis: {text}",
            "action": "Aktion: {text}",
            "personal": "Dieser Link gilt nur für Sie und nur einmal.",
            "low": "niedrig",
            "medium": "mittel",
            "high": "hoch",
            "critical": "kritisch",
        },
        "en": {
            "opened": "Review {id} waits for a decision",
            "assigned": "Review {id} was assigned",
            "escalated": "Review {id} was escalated",
            "deadline_near": "Review {id}: the deadline is near",
            "resolved": "Review {id} ended",
            "expired": "Review {id} ran out without a decision; it stays refused",
            "approved": "approved",
            "denied": "denied",
            "ended": "not needed any more",
            "risk": "Risk: {text}",
            "deadline": "Decide by: {text}",
            "action": "Action: {text}",
            "personal": "This link is good for you alone, and once.",
            "low": "low",
            "medium": "medium",
            "high": "high",
            "critical": "critical",
        },
        "es": {
            "opened": "La revisión {id} espera una decisión",
            "assigned": "La revisión {id} fue asignada",
            "escalated": "La revisión {id} fue escalada",
            "deadline_near": "Revisión {id}: el plazo está por vencer",
            "resolved": "La revisión {id} terminó",
            "expired": "La revisión {id} venció sin decisión; sigue rechazado",
            "approved": "aprobada",
            "denied": "rechazada",
            "ended": "ya no hace falta",
            "risk": "Riesgo: {text}",
            "deadline": "Decidir antes de: {text}",
            "action": "Acción: {text}",
            "personal": "Este enlace es solo para usted y vale una vez.",
            "low": "bajo",
            "medium": "medio",
            "high": "alto",
            "critical": "crítico",
        },
        "fr": {
            "opened": "L’examen {id} attend une décision",
            "assigned": "L’examen {id} a été attribué",
            "escalated": "L’examen {id} a été transmis à un autre niveau",
            "deadline_near": "Examen {id}\u00a0: l’échéance approche",
            "resolved": "L’examen {id} est terminé",
            "expired": "L’examen {id} a expiré sans décision\u202f; le refus demeure",
            "approved": "accepté",
            "denied": "refusé",
            "ended": "plus nécessaire",
            "risk": "Risque\u00a0: {text}",
            "deadline": "À décider avant\u00a0: {text}",
            "action": "Action\u00a0: {text}",
            "personal": "Ce lien ne vaut que pour vous, et une seule fois.",
            "low": "faible",
            "medium": "moyen",
            "high": "élevé",
            "critical": "critique",
        },
        "zh": {
            "opened": "审核 {id} 等待决定",
            "assigned": "审核 {id} 已分派",
            "escalated": "审核 {id} 已升级",
            "deadline_near": "审核 {id} 即将到期",
            "resolved": "审核 {id} 已结束",
            "expired": "审核 {id} 到期无人决定，仍被拒绝",
            "approved": "已批准",
            "denied": "已拒绝",
            "ended": "不再需要",
            "risk": "风险：{text}",
            "deadline": "截止时间：{text}",
            "action": "操作：{text}",
            "personal": "此链接仅供您本人使用一次。",
            "low": "低",
            "medium": "中",
            "high": "高",
            "critical": "严重",
        },
    }
)
"""By locale, every phrase."""


__all__ = ["Happening", "Notice", "words"]
