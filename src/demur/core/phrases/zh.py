# ruff: noqa: RUF001  (the punctuation of the language)
"""Chinese (simplified): full-width punctuation, and no space between sentences."""

from __future__ import annotations

from types import MappingProxyType

PHRASES = MappingProxyType(
    {
        "categorical": "无论由谁提出、以何种形式，此处均无法执行“{wanted}”。",
        "policy_violation": "按目前的请求方式，有规则不允许“{wanted}”。",
        "insufficient_context": "“{wanted}”所需的某项信息尚不清楚。",
        "scope_exceeded": "此请求未获“{wanted}”的许可。",
        "temporal": "目前这个时间无法执行“{wanted}”。",
        "state_conflict": "相关对象的当前状态不允许“{wanted}”。",
        "quota_exceeded": "“{wanted}”在本时段的额度已用完。",
        "requires_human": "“{wanted}”需先由人工决定。",
        "indeterminate": "有关“{wanted}”的一条规则无法判定，因此未执行任何操作。",
        "unavailable": "目前无法作出决定，未执行任何操作。",
        "never_retry": "再次提出请求也不会改变结果。",
        "modify": "修改请求后或可办理。",
        "supply_context": "所缺信息明确后，您可再次提出请求。",
        "retry_after": "您可稍后再次提出请求。",
        "wait": "该状态改变后，您可再次提出请求。",
        "seek_authority": "具有相应权限的人员可以为您提供帮助。",
        "await_review": "您现在无需其他操作，审核后即会答复。",
        "stopped": "“{wanted}”目前已被管理人员暂停。",
        "stopped_next": "暂停解除后，您可再次提出请求。",
        "quarantined": "本会话处于隔离期间，不对“{wanted}”作出决定。",
        "quarantined_next": "管理人员可以解除隔离。",
        "overloaded": "“{wanted}”需要人工决定，而等待处理的请求已经过多。",
        "overloaded_next": "您可稍后再次提出请求。",
        "review_denied": "“{wanted}”已由人工审核并被拒绝。",
        "review_denied_next": "修改后的请求也许可行；同样的请求会重新审核。",
        "review_expired": "未有人及时就“{wanted}”作出决定，因此仍被拒绝。",
        "review_expired_next": "再次提出请求会开启新的审核。",
        "review_ended": "对“{wanted}”的审核在作出决定之前已结束。",
        "review_ended_next": "再次提出请求会开启新的审核。",
        "approval_used": "对“{wanted}”的批准只有效一次，且正在使用或已被使用。",
        "approval_used_next": "再次执行需要新的审核。",
        "reviewer_said": "审核人写道：{said}",
        "not_understood": "执行“{wanted}”须履行该调用方未登记的义务：{types}。",
        "change": "修改以下内容后即可办理：{facts}。",
        "obtain": "具备以下条件后即可办理：{facts}。",
        "earliest": "您可自 {time} 起再次提出请求。",
        "alternative": "可改为：{actions}。",
        "end": "。",
        "holds": "原因：{reason}",
        "lacking": "需要满足：{reason}",
        "unknown": "尚不清楚：{reason}",
        "failed": "无法判定：{reason}",
        "concerns": "涉及：{reason}",
        "separator": "、",
        "reasons_separator": "；",
        "sentence_separator": "",
    }
)
