"""Arabic, from right to left: what is filled in is isolated by the caller; punctuation is Arabic."""

from __future__ import annotations

from types import MappingProxyType

PHRASES = MappingProxyType(
    {
        "categorical": "«{wanted}» غير متاح هنا، أيًّا كان صاحب الطلب وصيغته.",
        "policy_violation": "توجد قاعدة لا تسمح بـ «{wanted}» بالصيغة المطلوبة.",
        "insufficient_context": "يتوقف «{wanted}» على أمر غير معروف بعد.",
        "scope_exceeded": "لا يوجد ما يسمح بـ «{wanted}» لهذا الطلب.",
        "temporal": "«{wanted}» غير ممكن في هذا الوقت.",
        "state_conflict": "الحالة الراهنة للعنصر المعني لا تسمح بـ «{wanted}».",
        "quota_exceeded": "تم بلوغ الحد المقرر لـ «{wanted}» في هذه الفترة.",
        "requires_human": "يجب أن يقرر شخص مختص أولًا بشأن «{wanted}».",
        "indeterminate": "تعذر تقييم قاعدة تخص «{wanted}»، ولم يُنفَّذ أي إجراء.",
        "unavailable": "لا يمكن اتخاذ قرار في الوقت الحالي، ولم يُنفَّذ أي إجراء.",
        "never_retry": "لن يغيّر تكرار الطلب هذه النتيجة.",
        "modify": "قد يكون ذلك ممكنًا بعد تعديل الطلب.",
        "supply_context": "يمكن تقديم الطلب من جديد عند توفر المعلومات الناقصة.",
        "retry_after": "يمكن تقديم الطلب من جديد لاحقًا.",
        "wait": "يمكن تقديم الطلب من جديد عند تغيّر هذه الحالة.",
        "seek_authority": "يمكن لشخص لديه الصلاحية اللازمة تقديم المساعدة.",
        "await_review": "لا يلزم أي إجراء آخر الآن، وسيصل الرد بعد المراجعة.",
        "stopped": "أوقف أحد المسؤولين «{wanted}» في الوقت الحالي.",
        "stopped_next": "يمكن تقديم الطلب من جديد عند رفع الإيقاف.",
        "quarantined": "لا يُتخذ قرار بشأن «{wanted}» ما دامت هذه الجلسة قيد الحجر.",
        "quarantined_next": "يمكن لأحد المسؤولين رفع الحجر.",
        "review_denied": "راجع شخص مختص «{wanted}» ورفضه.",
        "review_denied_next": "قد يكون الطلب المعدَّل ممكنًا، أما الطلب نفسه فيُراجَع من جديد.",
        "review_expired": "لم يقرر أحد بشأن «{wanted}» في الوقت المحدد، لذا يبقى مرفوضًا.",
        "review_expired_next": "يفتح تقديم الطلب من جديد مراجعة أخرى.",
        "review_ended": "انتهت مراجعة «{wanted}» قبل أن يقرر أحد.",
        "review_ended_next": "يفتح تقديم الطلب من جديد مراجعة أخرى.",
        "approval_used": "تسري الموافقة على «{wanted}» مرة واحدة، وهي قيد الاستخدام أو استُخدمت.",
        "approval_used_next": "تتطلب المرة الثانية مراجعة أخرى.",
        "reviewer_said": "كتب المراجع: {said}",
        "not_understood": "تفرض “{wanted}” ما لم يُسجَّل هذا الطالب لأدائه: {types}.",
        "change": "يصبح ذلك ممكنًا بتعديل ما يلي: {facts}.",
        "obtain": "يصبح ذلك ممكنًا عند توفر ما يلي: {facts}.",
        "earliest": "يمكن تقديم الطلب من جديد ابتداءً من {time}.",
        "alternative": "الممكن بدلًا من ذلك: {actions}.",
        "end": ".",
        "holds": "السبب: {reason}",
        "lacking": "يتطلب ذلك: {reason}",
        "unknown": "غير معروف: {reason}",
        "failed": "تعذر التقييم: {reason}",
        "concerns": "يتعلق الأمر بـ: {reason}",
        "separator": "، ",
        "reasons_separator": "؛ ",
        "sentence_separator": " ",
    }
)
