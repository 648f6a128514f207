"""Shapes of shell commands and database queries. Notation: `shapes.py`."""

from __future__ import annotations

_COMMAND = (
    r"(?:sudo |nohup |env |time )*(?:rm|mv|cp|chmod|chown|mkdir|rmdir|curl|wget|ssh|scp|rsync|grep|egrep|sed|awk|tar|gzip|"
    r"gunzip|unzip|apt|apt-get|yum|dnf|brew|pip3?|npm|npx|yarn|git|docker|podman|kubectl|systemctl|journalctl|ps|netstat|"
    r"ifconfig|iptables|nmap|nc|ncat|netcat|bash|sh|zsh|python3?|perl|node|gcc|g\+\+|make|cmake|cargo|dd|mkfs[.\w]*|mount|"
    r"umount|fdisk|crontab|useradd|usermod|passwd|ls|cat|echo|touch|ln|df|du|kill|pkill|killall|xargs|tee|find|sort|uniq|"
    r"wc|head|tail|tr|cut|diff|ping|dig|nslookup|chgrp|openssl|gpg|base64|psql|mysql|mongo|redis-cli|sqlite3|terraform|"
    r"helm|vim|nano|export|source|cd|tasklist|taskkill|certutil|rundll32|powershell|cmd)(?:\.exe)?"
)
_FROM = r"[\w.\"\x60\[\]]+"
_SQL_END = r"\s*(?:;|$|\)|--|\b(?:where|WHERE|order by|ORDER BY|group by|GROUP BY|limit \d|LIMIT \d|join|JOIN|union|UNION)\b)"
_COMPARE = r"\s*(?:=|<>|!=|<=?|>=?|like\s+'|in\s*\(|is\s+(?:not\s+)?null|between\s+[\d'])"
_COLUMN = r"[\w.]+(?:\s*\([^()\n]*\))?(?:\s+as\s+\w+)?"

QUERIES: dict[str, dict[str, tuple[str, ...]]] = {
    "shell": {
        "strong": (
            rf"<START>{_COMMAND} (?:[^\n|;]* )?-{{1,2}}[A-Za-z][\w-]*(?:[ =]|$)",
            rf"<START>{_COMMAND} (?:[^\n|;]* )?(?:~|\.{{1,2}})?/[\w.*-]",
            rf"<START>{_COMMAND} [^\n]*(?: \| ?[a-z]+|https?://| >>? ?[\w./]+$|\"?\$[{{(]?\w|\*\.\w+)",
            r"\brm -[rRf]{1,3}\b",
            r"<START>(?:sudo )?chmod (?:[+\d][\w+]*|[ugo]+[+-]\w+) \S",
            r"<START>sudo [a-z][\w-]+",
            r"<START>\$ [a-z][\w./-]*(?: |$)",
            r"\|\s*(?:sudo )?(?:bash|sh|zsh|python3?)\b(?: -|[ \t]*$)",
            r"\|\s*(?:grep|awk|sed|xargs|sort|head|tail|wc|tee|cut) +[-'\"{\w]\S*(?: |$)",
            r"\$\([a-z]|\$\{[A-Za-z_]",
            r"(?:&&|\|\|) (?:rm|cd|make|sudo|git|echo|exit|\./)",
            r"2>&1|> ?/dev/(?:null|tcp|sd[a-z])|/dev/(?:zero|urandom|sd[a-z])\b|\B/bin/(?:ba|z)?sh\b|/etc/(?:passwd|shadow)\b",
            r"<START>(?:sudo )?(?:apt|apt-get|yum|dnf|brew|pip3?|npm|gem|cargo) (?:-y )?(?:install|update|upgrade|remove|run) \S",
            r"\bpip3? install [\w-]",
            r"<START>git (?:clone|push|pull|commit|checkout|rebase|merge|reset|add|init|log|diff|status)\b(?: [-\w.:/]+)*<END>",
            r"<START>docker (?:run|exec|build|pull|compose|ps|rm|stop)\b",
            r"<START>kubectl (?:get|apply|delete|exec|logs|describe|scale)\b",
            r"<START>systemctl (?:start|stop|restart|enable|disable|status) \w",
            r"\bfor <ID> in [^\n;]+; ?do\b|;\s*done\b|^[ \t]*(?:fi|done|esac)[ \t]*$",
            r"\bif \[{1,2} [^\n]* \]{1,2}",
            r"<START>export <ID>=\S",
            r"^<ID>=[\"'$][^\n]*\n",
            r":\(\) ?\{",
            r"<START>set -[eux]",
            r"<<-?'?EOF",
            r"(?i)^@echo off|<START>del /[fsq]\b|\bcmd(?:\.exe)? /c\b|\bnet user \w+ .*/add",
            r"^FROM [\w./:-]+\n(?:[^\n]*\n)*?(?:RUN|CMD|COPY|ENTRYPOINT) ",
        ),
        "weak": (rf"<START>{_COMMAND} [\w./~*$-]+[ \t]*$", r"; ?then\b", r"\$[A-Z_]{2,}\b"),
    },
    "powershell": {
        "strong": (
            r"\$_\.\w",
            r"\b(?:Get|Set|New|Remove|Invoke|Start|Stop|Write|Import|Export|Out|Select|Where|ForEach|Add|Clear|Copy|Move|Test|"
            r"ConvertTo|ConvertFrom|Enable|Disable)-(?:Process|Item\w*|ChildItem|Content|Object|Host|WebRequest|RestMethod|"
            r"Expression|Service|Csv|Json|Location|Command|ExecutionPolicy|String|Variable|Path|Output|ADUser|LocalUser|"
            r"Event\w*|Module|Job|Acl|Date|Random|File|Null)\b",
            r"\b(?:Get|Set|New|Remove|Invoke|Start|Stop|Write|Import|Export|Out)-[A-Z][A-Za-z]+ (?:-[A-Z]|\$|\||\.\\)",
            r"(?i)\biex ?\(",
            r"(?i)\bpowershell(?:\.exe)? -",
            r"\bparam ?\(\[|\[(?:int|string|bool|System\.[\w.]+)\]\$",
            r"\bDownload(?:String|File)\(",
        ),
    },
    "sql": {
        "strong": (
            rf"(?i)\bselect\s+(?:distinct\s+|top\s+\d+\s+)?(?:\w+\.)?\*\s+from\s+{_FROM}",
            rf"(?i)\bselect\s+[^;]{{1,400}}?\sfrom\s+[^;]{{1,400}}?\swhere\s+[\w.]+{_COMPARE}",
            rf"<START>(?:select|SELECT)\s+(?:distinct\s+|DISTINCT\s+)?{_COLUMN}(?:\s*,\s*{_COLUMN})*\s+(?:from|FROM)\s+"
            rf"{_FROM}(?:\s+[a-z])?{_SQL_END}",
            r"(?i)\bselect\s+[^;]{1,400}?\sfrom\s+[^;]{1,200}?\sjoin\s+[^;]{1,200}?\son\s+[\w.]+\s*=",
            r"(?i)\bselect\s+[^;]{0,200}?\b(?:count|sum|max|min|avg|concat|load_file|sleep)\s*\([^;]{0,200}?\sfrom\s",
            r"(?i)<START>select\s+(?:\d+|'[^'\n]*'|\w+\(\)|@@\w+)\s*(?:;|$|,|--)",
            r"(?i)\binsert\s+into\s+[\w.\"\x60]+\s*(?:\([^)]*\)\s*)?(?:values\s*\(|select\s)",
            r"(?i)\bupdate\s+[\w.\"\x60]+\s+set\s+[\w.\"\x60]+\s*=",
            rf"(?i)\bdelete\s+from\s+{_FROM}\s+where\s+[\w.]+{_COMPARE}",
            rf"(?i)\bdelete\s+from\s+{_FROM}\s*;",
            rf"<START>(?:delete\s+from|DELETE\s+FROM)\s+{_FROM}[ \t]*$",
            r"(?i)\bdrop\s+(?:table|database|schema|view|index|user|role|trigger|procedure)\s+(?:if\s+exists\s+)?[\w.\"\x60]+"
            r"\s*(?:;|--|\bcascade\b)",
            r"(?i)\bdrop\s+(?:table|database|schema|view)\s+if\s+exists\s",
            r"<START>(?:drop|DROP)\s+(?:table|TABLE|database|DATABASE|schema|SCHEMA|view|VIEW|index|INDEX)\s+[\w.\"\x60]+<END>",
            r"(?i)\b(?:run|execute|exec|type)\s+(?:drop|truncate)\s+(?:table|database)\s+\w+",
            r"(?i)\bcreate\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+|unique\s+)?(?:table|view|function|procedure|trigger)\s+"
            r"(?:if\s+not\s+exists\s+)?[\w.\"\x60]+\s*(?:\(\s*[\w\"\x60]+\s+\w|\bas\s+(?:\(\s*)?select\b|\breturns\b)",
            r"(?i)\bcreate\s+(?:unique\s+)?index\s+\w+\s+on\s+\w+\s*\(",
            r"(?i)<START>create\s+(?:database|user|role|schema)\s+\w+\s*(?:;|\bidentified\b|\bwith\s+password\b)",
            r"(?i)\balter\s+table\s+[\w.\"\x60]+\s+(?:add|drop|rename|alter|modify|change|set)\b",
            r"(?i)\btruncate\s+table\s+\w+",
            r"(?i)\bgrant\s+(?:all(?:\s+privileges)?|select|insert|update|delete|execute)(?:\s*,\s*\w+)*\s+on\s+[\w.* ]+\s+to\s+",
            r"(?i)\brevoke\s+(?:all(?:\s+privileges)?|select|insert|update|delete)(?:\s*,\s*\w+)*\s+on\s+[\w.* ]+\s+from\s+",
            r"(?i)\bunion\s+(?:all\s+)?select\b",
            r"(?i)'\s*(?:or|and)\s+'?\w+'?\s*=\s*'?\w",
            r"(?i)\b(?:or|and)\s+1\s*=\s*1\b",
            r"(?i)\bwith\s+\w+\s+as\s*\(\s*select\b",
            r"(?i)\bexec(?:ute)?\s+(?:xp_|sp_)\w",
            r"(?i)\binformation_schema\.",
        ),
        "weak": (r"(?i)\border\s+by\s+\w+\s+(?:asc|desc)\b", r"(?i)\bgroup\s+by\s+\w+\.\w+", r"(?i)\bwhere\s+\w+\s*=\s*['\d]"),
    },
    "graphql": {
        "strong": (r"\b(?:query|mutation|subscription)(?: \w+)?(?:\([^)\n]*\))? *\{\s*\w+",),
    },
}
