"""Shapes of scripting languages and of what several languages share. Notation: `shapes.py`."""

from __future__ import annotations

SCRIPTS: dict[str, dict[str, tuple[str, ...]]] = {
    "python": {
        "strong": (
            r"<START>(?:async )?def <ID>\([^\n]*\)(?: *-> *[^:\n]+)? *:",
            r"<START>class (?:[A-Z]\w*|<ID>\([\w., =]*\)) *:[ \t]*(?:$|#|pass|\.\.\.)",
            r"<START>import (?:os|sys|re|json|math|time|random|subprocess|socket|shutil|requests|numpy|pandas|torch|"
            r"sqlite3|pickle|base64|logging|asyncio|datetime|itertools|functools|collections|pathlib|ctypes|urllib|"
            r"threading|hashlib|csv|matplotlib|sklearn|tensorflow|flask|django)(?:\.<ID>)*(?: as <ID>|, *<ID>)*<END>",
            r"<START>import <ID>(?:\.<ID>)+(?: as <ID>)?<END>",
            r"<START>from <ID>(?:\.<ID>)* import (?:\(|\*|<ID>(?: as <ID>)?(?:, *<ID>(?: as <ID>)?)*<END>)",
            r"\blambda <ID>(?:, *<ID>)* *: *\S",
            r"\bfor <ID>(?:, *<ID>)* in <ID>(?:\.<ID>)*\([^\n]*(?:\)|:)",
            r"[\[({]<ID>(?:\.\w+|\[[^\]\n]*\]|\([^()\n]*\)| *[-+*/%]+ *\w+)+ for <ID>(?:, *<ID>)* in <ID>",
            r"[\[(]\w for \w in <ID>",
            r"__(?:init|name|main|file|class|dict|import|str|repr|call|enter|exit|builtins|globals|subclasses)__",
            r"<START>(?:async )?with <ID>[\w.]*\([^\n]*\) as <ID> *:",
            r"<START>except(?: \(?<ID>(?:Error|Exception|Interrupt)[^\n]*)? *:[ \t]*$",
            r"\braise <ID>(?:Error|Exception)\b",
            r"<START>while (?:True|1) *:",
            r"<START>(?:if|elif|while) [^\n]*(?: [=!]= | is None| not in |\.\w+\()[^\n]*:",
            r"\b(?:print|eval|exec|open|input|compile|getattr|setattr|hasattr|__import__)\([frbFRB]{0,2}[\"']",
            r"<START>(?:print|eval|exec|exit|input)\([^\n]*\)[ \t]*(?:$|;|#)",
            r"\bself\.<ID>(?: *[-+*/]?= |\(|\.)",
            r"\b(?:os|sys|subprocess|requests|shutil|np|pd|plt|re|json|math|random|socket|sqlite3|asyncio)\.[a-z]\w*\(",
            r"\bf\"[^\"\n]*\{[^}\n]+\}|\bf'[^'\n]*\{[^}\n]+\}",
            r"\w\[(?:'[^'\n]{0,80}'|\"[^\"\n]{0,80}\")\]",
            r"\bawait <ID>[\w.]*\(",
            r"^[ \t]*<ID>(?:\.<ID>)* *[-+*/|]?= *<ID>(?:\.<ID>)+\(",
            r"^[ \t]*<ID> *= *(?:int|str|float|list|dict|set|len|open|input|range|sorted)\([^\n]*\)[ \t]*$",
            r"^>>> \S",
        ),
        "weak": (
            r"<START>import <ID>(?: as <ID>)?[ \t]*$",
            r"^[ \t]*(?:try|else|finally) *:[ \t]*$",
            r"^[ \t]*(?:if|elif|while|for) [^\n]+:[ \t]*$",
            r"^[ \t]+return\b[^\n]*[\w)\]][ \t]*$",
            r"^@<ID>(?:\.<ID>)*(?:\([^\n]*\))?[ \t]*$",
            r"^[ \t]*<ID> *(?:[-+*/]|\*\*|//)= *\w+[ \t]*$",
            r"^[ \t]*<ID> *= *(?:<ID>\([^\n]*\)|\[[^\n]*\]|\{[^\n]*\}|'[^'\n]*'|\"[^\"\n]*\"|True|False|None)[ \t]*$",
            r"^[ \t]*(?:pass|break|continue)[ \t]*$",
            r"^[ \t]+print\(",
        ),
    },
    "ruby": {
        "strong": (
            r"\bdo \|[\w, ()*&]+\|",
            r"\{ ?\|[\w, ()*&]+\|",
            r"\"[^\"\n]*#\{[^}\n]+\}",
            r"\(&:\w+[?!]?\)",
            r"<START>require(?:_relative)? ['\"][\w/.-]+['\"]",
            r"<START>puts [\"'\w]",
            r"\battr_(?:accessor|reader|writer) :",
            r"<START>class [A-Z]\w*(?:::[A-Z]\w*)* < [A-Z]",
            r"^[ \t]*def (?:self\.)?<ID>[?!]?(?:[ (][^\n]*)?\n(?:[^\n]*\n){0,40}?[ \t]*end[ \t]*$",
            r"\.(?:nil|empty|any|blank|present)\?",
            r"\.each(?:_\w+)?(?: do\b| *\{)",
        ),
        "weak": (r"^[ \t]*end[ \t]*$", r"^[ \t]*@\w+ *\|?\|?= *\S", r"\bunless \w+[.?(]", r"^[ \t]*elsif "),
    },
    "php": {
        "strong": (
            r"<\?(?:php|=)",
            r"\$_(?:GET|POST|SERVER|REQUEST|SESSION|COOKIE|FILES)\b",
            r"\$[a-z_]\w*(?:->\w+|\[[^\]\n]*\])* *[-+*/.]?= *[^=\s>]",
            r"\$[a-z_]\w*->\w+",
            r"\bfunction <ID>\([^)\n]*\$",
            r"\bforeach ?\(\$",
        ),
    },
    "r": {
        "strong": (
            r"<- *function *\(",
            r"[\w.]+ *<- *(?:<ID>(?:\.<ID>)*::?)?[A-Za-z_][\w.]*\(",
            r"%>%|%in%",
            r"<START>library\(\"?[\w.]+\"?\)",
            r"\b(?:ggplot|data\.frame|read\.csv|read\.table|as\.numeric|sapply|lapply)\(",
        ),
        "weak": (r"^[ \t]*[\w.]+ *<- *\S", r"^[ \t]*(?:mean|summary|sd|plot|head|str)\(\w+\)[ \t]*$", r"\w ~ \w"),
    },
    "perl": {
        "strong": (r"<START>my [$@%(]", r"<START>use (?:strict|warnings);", r"=~ ?[ms]?/", r"\$\w+\{\w+\}"),
    },
    "lua": {
        "strong": (
            r"<START>local function <ID>",
            r"<START>local <ID>(?:, *<ID>)* *= *\S",
            r"^[ \t]*function <ID>[\w.:]*\([^)\n]*\)[ \t]*\n(?:[^\n]*\n){0,40}?[ \t]*end\b",
            r"\bthen\n(?:[^\n]*\n){0,20}?[ \t]*end[ \t]*$",
        ),
    },
    "vba": {
        "strong": (
            r"<START>Dim <ID> As [A-Z]",
            r"^[ \t]*End (?:Sub|Function|If|With)[ \t]*$",
            r"^[ \t]*(?:Public |Private )?Sub <ID>\(",
        ),
    },
    "haskell": {
        "strong": (r"^<ID> :: [^\n]*->", r"^main = do\b", r"^module [A-Z][\w.]* (?:\([^)]*\) )?where"),
    },
    "lisp": {
        "strong": (r"\((?:defun|defn|defmacro|define|setq|setf|lambda|let\*?) [(\w]",),
    },
    "code": {
        "strong": (
            r"\b(?:if|for|foreach|while|switch|catch|elif|elseif|using|lock) ?\([^\n]*\) ?\{",
            r"[\w)\]'\"] ?(?:===|!==) ?[\w(\['\"]",
            r"\w\(\);",
            r"<START>(?:[a-z_]\w*\.)+[a-z_]\w*\((?:[^()\n]|\([^()\n]*\))*\);?[ \t]*$",
            r"\b[a-z_]\w*\.[a-z_]\w*\((?:[\"'{\[]|\)\.|[^()\n]*=>)",
            r"\}\)\.?[a-z;]",
            r"^#!/",
        ),
        "weak": (
            r"[a-z_]\w+\.[a-z_]\w+\(",
            r"\w\([^()\n]*[\"',.=\[\]>][^()\n]*\);",
            r"^[ \t]*[\w.$\[\]]+ *[-+*/|&.]?= *[^=\n;]+;[ \t]*$",
            r" (?:&&|\|\|) ",
            r"[\w)] (?:==|!=|>=|<=) [\w'\"(]",
            r" (?:[-+*/]=) \w",
            r"\b[a-z_]\w*(?:\+\+|--)[;)\]]",
            r"^[ \t]*(?:// |/\* )",
            r"^[ \t]*\}[ \t]*(?:else\b[^\n]*\{)?[;)]*[ \t]*$",
            r"^[ \t]*return\b[^\n]*;[ \t]*$",
            r"\{ ?return\b[^\n{}]*\}",
        ),
    },
}
