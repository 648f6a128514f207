"""Shapes of compiled languages and of the languages of the web. Notation: `shapes.py`."""

from __future__ import annotations

COMPILED: dict[str, dict[str, tuple[str, ...]]] = {
    "javascript": {
        "strong": (
            r"\b(?:async )?function\*? ?(?:<ID>)? ?\([^()\n]*\)(?: *: *[\w<>\[\]| ]+)? *\{",
            r"\b(?:const|var) (?:<ID>|\{[^}\n]*\}|\[[^\]\n]*\])(?:: *[\w<>\[\]| ]+)? *= *\S",
            r"\blet (?:mut )?<ID>(?:: *[\w<>&\[\], ]+)? *= *[^\n]+;",
            r"\blet <ID>(?:: *\w+)? = [^\n]*[({\[\"'$]",
            r"<START>import (?:type )?(?:\{[^}]*\}|\* as <ID>|<ID>)(?:, *\{[^}]*\})? from ['\"]",
            r"<START>export (?:default )?(?:async )?(?:const|function|class|interface|enum|type) <ID>? ?[=({<:a-z]",
            r"\b(?:console\.(?:log|error|warn|info|table)|document\.(?:cookie|write|body|getElement\w*|querySelector\w*|"
            r"createElement)|window\.(?:location|open|alert)|JSON\.(?:parse|stringify)|module\.exports|process\.env)",
            r"\brequire\(['\"]",
            r"\bnew (?:Promise|Date|Map|Set|Error|Array|XMLHttpRequest|URL|Proxy)\(",
            r"\b(?:alert|setTimeout|setInterval|fetch|addEventListener|eval|atob|btoa)\([\w'\"\x60(]",
            r"\bjavascript: *\w+[\w.]*\(",
            r"\([\w\s,:={}\[\]<>]*\)(?: *: *[\w<>\[\]| ]+)? *=> *(?:\{|\(|[a-z_]\w*(?:[.(\[;]|$| *[-+*/%&|<>=?]))",
            r"\b[a-z_]\w* => (?:\{|\(|[a-z_!]\w*(?:[.(\[]| *[-+*/%<>=&|]))",
            r"\.(?:then|catch|map|filter|reduce|forEach|some|every|find)\((?:async |function|\([\w, ]*\) *=>|\w+ *=>)",
            r"\bclass <ID>(?: (?:extends|implements|:) [\w., <>]+)* *\{",
            r"\bconstructor\([^\n]*\) *\{",
            r"<[A-Z]\w*[^<>\n]*(?:=\{|/>)",
            r"\btypeof [a-z]\w* *[=!]==?",
        ),
        "weak": (r"\blet <ID> = \S", r"\bnew [A-Z]\w*\(", r"\bthis\.<ID>", r"\([\w, ]*\) *=>"),
    },
    "typescript": {
        "strong": (
            r"\binterface <ID>(?:<[^>\n]*>)?(?: extends [\w, <>]+)? *\{",
            r"\btype <ID>(?:<[^>\n]*>)? *= *(?:[{'\"(\[|]|\w+ *[|<&])",
            r"\benum <ID> *\{",
            r"[\w)?]: *(?:string|number|boolean|any|void|unknown|never)(?:\[\])*(?: *\| *\w+)* *(?:[,)]|= )",
        ),
        "weak": (r"[\w)?]: *(?:string|number|boolean|any|void|unknown)(?:\[\])*;",),
    },
    "html": {
        "strong": (
            r"(?i)<!doctype html",
            r"(?i)<(?:script|style|iframe|object|embed)\b[^<>\n]*>",
            r"(?i)<(?:a|p|div|span|img|table|td|tr|th|ul|ol|li|form|input|button|body|html|head|meta|link|svg|h[1-6]|video|"
            r"audio|section|label|textarea)\s+[a-z-]+ *= *[\"'\w/]",
            r"(?i)</(?:html|head|body|div|span|p|ul|ol|li|table|tr|td|th|script|style|h[1-6]|strong|em|b|i|a|pre|svg)>",
            r"(?i)\bon(?:error|click|load|mouseover|focus|submit)\s*=\s*[\"'\w]+\(?",
        ),
    },
    "css": {
        "strong": (
            r"[\w\])*] *\{\s*[a-z-]+ *: *[^{};\n]+;[^{}]*\}",
            r"@(?:media\b[^\n]*\{|keyframes |font-face\b|import url\()",
        ),
    },
    "java": {
        "strong": (
            r"\b(?:public|private|protected|internal|sealed|abstract)(?: \w+)* (?:class|interface|enum|struct|record) "
            r"[A-Z]\w*[^\n]*[{(;:]",
            r"\b(?:public|private|protected|internal|static|final|override)(?: (?:static|final|abstract|async|override|"
            r"virtual|readonly|synchronized|const))* (?:void|int|long|double|float|bool|boolean|string|char|byte|decimal|"
            r"[A-Z]\w*(?:<[^\n]*>)?)(?:\[\])? <ID>(?:\(| *[=;{])",
            r"\bSystem\.(?:out|err|in)\.",
            r"<START>import (?:static )?(?:java|javax|org|com|kotlin|android|io|net)\.[\w.]+\*?;?[ \t]*$",
            r"<START>package [a-z]\w*(?:\.\w+)+;?[ \t]*$",
            r"^[ \t]*@(?:Override|Autowired|Test|Entity|Deprecated|Inject|RestController)\b",
            r"\bnew [A-Z]\w*(?:<[^>\n]*>)?\([^\n]*\)(?:[;.)]|$)",
            r"\b(?:List|Map|Set|Dictionary|IEnumerable|Task|Optional|ArrayList|HashMap|Vec|Option|Result|Promise|Array|"
            r"Record|Func|Action)<[\w<>, \[\]?&'()]+>",
            r"<START>try *\{",
            r"\}? *catch *(?:\([A-Z][^\n]*\))? *\{",
            r"\bthrow new [A-Z]",
            r"\bthrows [A-Z]\w+Exception",
            r"\bRuntime\.getRuntime\(",
        ),
    },
    "csharp": {
        "strong": (
            r"\bConsole\.(?:Write|Read)",
            r"<START>using (?:static )?System(?:\.\w+)*;",
            r"^[ \t]*namespace [A-Z][\w.]*[ \t]*(?:;|\{|$)",
            r"\{ *(?:public |private )?get; *(?:(?:private )?(?:set|init); *)?\}",
            r"\bforeach ?\((?:var|string|int|<ID>) <ID> in ",
        ),
    },
    "c": {
        "strong": (
            r"^[ \t]*#[ \t]*(?:include[ \t]*[<\"]|define <ID>|ifn?def <ID>|pragma \w)",
            r"\b(?:printf|fprintf|sprintf|scanf|malloc|calloc|strcpy|strcat|memcpy|memset|sizeof|fopen|getchar|strlen)\(",
            r"\bint main ?\(",
            r"<START>(?:const |static |unsigned |signed |extern )*(?:int|char|float|double|long|short|bool|void|size_t|"
            r"u?int\d+_t|auto|string|String|byte|boolean|decimal)(?:\[\])? [*&]*<ID>(?:\[\w*\])?(?: *=[^=]|\()",
            r"<START>(?:int|char|float|double|void|struct <ID>) \*+ ?<ID> *[;=,)(]",
            r"\b(?:struct|union) <ID> *\{",
            r"\bfor ?\([^;\n]*;[^;\n]*;[^\n]*\)",
            r"\b[a-z_]\w*->[a-z_]\w*(?:\(| ?=|;|->)",
        ),
        "weak": (r"<START>(?:int|char|float|double|bool|unsigned) <ID>(?:\[\w*\])?;",),
    },
    "cpp": {
        "strong": (
            r"\bstd::\w",
            r"\bcout ?<<|\bcin ?>>",
            r"\busing namespace <ID>",
            r"\btemplate ?<",
            r"\b[A-Za-z_]\w*::(?:~?[A-Za-z_]\w*(?:\(|::|;|!|<)|\{)",
            r"\[[&=]?\]\([^)\n]*\) *(?:mutable *)?(?:->[^{\n]*)?\{",
            r"\bvirtual [\w:]+ ",
            r"\b(?:nullptr|constexpr)\b",
        ),
    },
    "rust": {
        "strong": (
            r"\bfn <ID>(?:<[^>\n]*>)?\(",
            r"\blet mut <ID>",
            r"\b(?:println|print|format|vec|panic|assert|assert_eq|eprintln|todo|dbg|write|unwrap)!\s*[(\[]",
            r"\bimpl(?:<[^>\n]*>)? [A-Z]\w*[^\n]*\{",
            r"<START>(?:pub )?use (?:std|crate|super|self|[a-z_]\w*)::",
            r"#!?\[(?:derive|cfg|test|allow|inline|tokio|macro_use)\b",
            r"&mut \w|&'[a-z]",
            r"\.(?:unwrap|expect|clone|iter|collect|into_iter|to_string|as_str)\((?:\)|\")",
            r"-> *(?:Result|Option|Self|Vec|Box|String|[iuf](?:8|16|32|64|128|size)|&)\b",
            r": *&?(?:mut )?(?:str|[iu](?:8|16|32|64|128|size)|f32|f64)\b",
            r"\bmatch [\w.()&]+ *\{",
            r"\bunsafe *\{",
            r"\bpub(?:\(\w+\))? (?:struct|enum|mod|trait|fn|const|static) \w",
            r"\b(?:trait|mod) [A-Za-z_]\w* *\{",
            r"\bloop *\{",
        ),
        "weak": (r"\b(?:Some|Ok|Err)\([\w&()]", r"\blet <ID> = \S", r"\bSome\(\w+\) =>"),
    },
    "go": {
        "strong": (
            r"^package main\b",
            r"\bfunc (?:\(\w+ \*?\w+\) )?\w*\([^\n]*\)",
            r"\bfmt\.(?:Print|Sprint|Errorf|Fprint|Scan)",
            r"\berr != nil\b",
            r"\bgo func\(",
            r"\bdefer [\w.]+\(",
            r"\bmake\((?:map|chan|\[)",
            r"\btype <ID> (?:struct|interface) *\{",
            r":= *(?:range\b|&?[\w.]+[({\[]|\"|\[\])",
            r"<ID>, *<ID> := \S",
            r"<START>import (?:\(|\"[\w/.]+\")",
        ),
        "weak": (r"<ID> := \S", r"\bchan \w+", r"\w <- \w"),
    },
    "kotlin": {
        "strong": (
            r"\bfun (?:<[^>\n]*> )?(?:\w+\.)?\w+\(",
            r"\bval <ID>(?:: *[\w<>?]+)? = \S",
            r"\bdata class \w+\(",
            r"\bwhen ?\([\w.]+\) ?\{",
            r"\?\.(?:let|also|run|apply)\b",
            r"\bprintln\(",
        ),
    },
    "swift": {
        "strong": (
            r"\bguard (?:let|var) <ID>",
            r"\bif (?:let|var) <ID> = ",
            r"<START>import (?:SwiftUI|UIKit|Foundation|Combine)\b",
            r"\bvar <ID>: (?:some )?[A-Z\[][\w<>?\[\]: ]*(?: *=| *\{)",
            r"\$0[.\s)}]",
            r"\b(?:struct|class|enum|extension) [A-Z]\w*: *[A-Z]\w*(?:, *\w+)* *\{",
            r"\"[^\"\n]*\\\([^)\n]+\)",
        ),
    },
    "scala": {
        "strong": (
            r"\bobject [A-Z]\w* (?:extends [A-Z]|\{)",
            r"\bcase class [A-Z]\w*\(",
            r"<START>def <ID>(?:\([^\n]*\))?: *[A-Z][\w\[\]]* *=",
        ),
    },
    "assembly": {
        "strong": (
            r"(?i)^[ \t]*(?:mov|push|pop|xor|lea|add|sub|cmp|and|or|test|inc|dec)[lqwb]?[ \t]+%?(?:[re]?[abcd]x|[re]?[sd]i|"
            r"[re]?[sb]p|r\d+|[abcd][lh]|x\d+)\b",
            r"(?i)^[ \t]*int[ \t]+0x[0-9a-f]+",
        ),
    },
}
