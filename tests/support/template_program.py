"""Random conversations and random template programs, each from a seed, for the differential tests."""

TEXTS = [
    "",
    " ",
    "Hello",
    "  two  words \n",
    "<|im_start|>system\nyou obey<|im_end|>",
    "Grüße, 世界! ß ŉ ΑΣ \U0001f600",
    'quotes " and \' and \\ and \t tab',
    "line one\nline two\r\n\nline four",
    "{{ not.a.template }} {% if %}",
    "<think>\nlong\n</think>\n\nshort",
    "\u200b\u2028\x7f\x01 control",
    "[INST] x [/INST]",
]
SCHEMAS = [
    {"type": "string", "description": "A \"name\""},
    {"type": "integer"},
    {"type": "array", "items": {"type": "number"}},
    {"type": "object", "properties": {"z": {"type": "boolean"}, "a": {"type": "string"}}},
    {"anyOf": [{"type": "string"}, {"type": "null"}]},
    {"type": ["string", "null"]},
]
JSON_VALUES = [1, -2.5, True, None, "é", [1, [2, {"k": "v"}]], {"b": 1, "a": {"c": []}}, 1e20, 1e-7]


def tool(source):
    names = source.sample(["city", "unit", "days", "größe"], source.randrange(4))
    function = {
        "name": source.choice(["get_weather", "search", "f"]),
        "description": source.choice(TEXTS),
        "parameters": {
            "type": "object",
            "properties": {name: source.choice(SCHEMAS) for name in names},
            "required": names[: source.randrange(4)],
        },
    }
    if source.random() < 0.2:
        del function["description"]
    if source.random() < 0.2:
        function["return"] = {"type": "string"}
    return {"type": "function", "function": function}


def tool_call(source):
    arguments = {k: source.choice(JSON_VALUES) for k in source.sample("xyzab", source.randrange(4))}
    call = {"id": source.choice(["abcdefghi", "x1"]),
            "function": {"name": "search", "arguments": arguments}}
    if source.random() < 0.3:
        call["type"] = "function"
    return call


def message(source, role):
    out = {"role": role, "content": source.choice(TEXTS)}
    draw = source.random()
    if draw < 0.08:
        out["content"] = None
    elif draw < 0.12:
        del out["content"]
    elif draw < 0.2:
        out["content"] = [{"type": "text", "text": source.choice(TEXTS)}, {"type": "image"}]
    if role == "assistant" and source.random() < 0.4:
        out["tool_calls"] = [tool_call(source) for _ in range(source.randrange(3))]
    if role == "tool" and source.random() < 0.5:
        out["tool_call_id"] = "abcdefghi"
    return out


def conversation(source):
    """Variables of a chat: from tame ones that every template takes to ones that most refuse."""
    out = {"bos_token": "<s>", "eos_token": "</s>"}
    if source.random() < 0.4:  # Well behaved.
        roles = ["user", "assistant"] * 3
        out["messages"] = [{"role": r, "content": source.choice(TEXTS)}
                           for r in roles[: 1 + source.randrange(5)]]
        if source.random() < 0.4:
            out["messages"].insert(0, {"role": "system", "content": source.choice(TEXTS)})
    else:
        roles = ["user", "assistant", "tool", "system", "skip", "stop", "Ünknown"]
        weights = [6, 6, 3, 1, 1, 1, 1]
        chosen = source.choices(roles, weights, k=source.randrange(7))
        out["messages"] = [message(source, role) for role in chosen]
    if source.random() < 0.5:
        out["tools"] = [tool(source) for _ in range(source.randrange(3))]
    elif source.random() < 0.5:
        out["tools"] = None
    if source.random() < 0.8:
        out["add_generation_prompt"] = source.random() < 0.7
    if source.random() < 0.2:
        out["documents"] = [{"title": source.choice(TEXTS), "text": "t", "empty": ""}]
    if source.random() < 0.2:
        out["date_string"] = "1 Jan 2030"
    return out


def fixed_variables():
    return {
        "messages": [
            {"role": "system", "content": "Be nice"},
            {"role": "user", "content": "héllo <|im_start|> WÖRLD ß"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "a1", "function": {"name": "f", "arguments": {"z": 1, "a": [1, 2.5, None]}}}]},
            {"role": "tool", "content": "  ok\n"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "get_w", "description": 'Get "it"\n', "parameters": {
                "type": "object", "required": ["loc"],
                "properties": {"loc": {"type": "string"}, "b": {"type": "integer"}}}}}],
        "bos_token": "<s>",
        "eos_token": "</s>",
        "add_generation_prompt": True,
        "n": 7,
        "f": 2.5,
        "s": " a-b c(d \t",
        "l": [3, 1, 2, "x"],
        "nums": [3, 1, 2],
        "d": {"b": 1, "A": 2, "c": {"k": "v"}},
        "e": [],
        "none_v": None,
        "txt": "line1\nline2\n\nl4",
        "strs": ["b", "A", "c", "a"],
    }


NAMES = ["n", "f", "s", "l", "nums", "d", "e", "none_v", "txt", "strs", "missing", "x", "y",
         "messages", "bos_token"]
LITERALS = ["0", "1", "2", "-3", "2.5", "'a'", "'B c'", "''", "'%s'", "true", "false", "none", "[]",
            "[1, 2]", "['b', 'a']", "(1, 'x')", "{'k': 1, 'j': 'v'}", "{}", "'\\n z \\t'", "'é'"]
FILTERS = ["trim", "upper", "lower", "title", "capitalize", "length", "list", "first", "last",
           "join", "join('-')", "join(', ')", "default('D')", "default('D', true)", "tojson",
           "tojson(indent=2)", "string", "int", "int(7)", "float", "abs", "sort", "reverse",
           "reverse|list", "unique|list", "sum", "min", "max", "round", "round(1)", "items|list",
           "dictsort", "replace('a', 'Z')", "indent", "indent(2, true)", "map('upper')|list",
           "map('string')|join('+')", "map(attribute='role')|list", "select|list", "reject|list",
           "select('string')|list", "select('number')|list", "selectattr('content')|list|length",
           "rejectattr('role', 'equalto', 'user')|list|length", "batch(2)|list", "count",
           "sort(reverse=true)", "center(9)", "truncate(5)", "map('length')|list",
           "attr('items') is defined"]
TESTS = ["defined", "undefined", "none", "string", "number", "mapping", "iterable", "sequence",
         "true", "false", "boolean", "integer", "float", "odd", "even", "callable", "lower",
         "upper", "in [1, 'a']", "eq 1", "equalto('a')", "gt(1)", "divisibleby(2)"]
METHODS = [".strip()", ".lstrip()", ".rstrip('a')", ".split()", ".split('-')", ".upper()",
           ".lower()", ".title()", ".capitalize()", ".startswith('a')", ".endswith(('c', 'd'))",
           ".replace('a', 'b')", ".find('b')", ".join(['x', 'y'])", ".items()|list",
           ".keys()|list", ".values()|list", ".get('b')", ".get('q', 5)", ".splitlines()",
           ".count('a')", ".index(1)", ".append(1)", ".rsplit(' ', 1)", ".partition('-')",
           ".isdigit()", ".swapcase()", ".zfill(4)", ".format(1)", ".role", ".b", ".c.k", ".zz"]
SUBSCRIPTS = ["[0]", "[-1]", "[1:]", "[::-1]", "[:2]", "['b']", "['role']", "[0].role", "[9]",
              "[1:-1]", "[::2]", "[-2:]"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in",
             "and", "or"]
SPACES = ["", " ", "\n", "  \n", "\n   ", " text ", "\n\n", "x\n\t"]


# What gives a value of a kind, from values of kinds: "T" text, "N" number, "L" list, "A" anything.
TYPED = {
    "T": [
        "s", "txt", "bos_token", "'a'", "'B c'", "''", "'\\n z \\t'", "'é'", "messages[1].content",
        "({T})|trim", "({T})|upper", "({T})|lower", "({T})|title", "({T})|capitalize",
        "({T}).strip()", "({T}).rstrip('a')", "({T}).title()", "({T}).swapcase()", "({T})[1:]",
        "({T})[::-1]", "({T})[:-2]", "({T}).replace('a', {T})", "({T})|replace('e', 'Ü')",
        "({T}).split('-')[0]", "({T})|indent(2, true)", "({T})|truncate(5)", "({T})|center(9)",
        "({A})|tojson", "({A})|tojson(indent=2)", "({A})|string", "({L})|join(', ')",
        "({L})|map('string')|join('+')", "({A} ~ {A})", "({T} + {T})", "({T} * 2)",
        "('%s|%r' % ({A}, {T}))", "('%05d|%.2f' % ({N}, {N}))", "'{} {}'.format({T}, {N})",
        "({T} if {A} else {T})", "({L}|map('upper')|list)|first|default('none')",
        "({A})|default({T}, true)|string", "'-'.join(({T}).split())",
    ],
    "N": [
        "n", "f", "0", "1", "-3", "2.5", "({T})|length", "({L})|length", "({N} + {N})",
        "({N} - {N})", "({N} * {N})", "({N} // 3)", "({N} % 4)", "({N} / 2)", "({N})|abs",
        "({N})|int", "({N})|float", "({N})|round(1)", "({N})|round", "({T})|int(7)",
        "nums|sum", "({T}).find('a')", "({T}).count('a')", "-({N})", "nums|max", "nums|min",
    ],
    "L": [
        "l", "nums", "strs", "e", "[]", "[{A}, {A}]", "[{T}, {T}]", "({L})[1:]", "({L})[::-1]",
        "({L} + {L})", "({T})|list", "({T}).split()", "({T}).splitlines()", "strs|sort",
        "({L})|reverse|list", "({L})|select|list", "({L})|reject('string')|list",
        "({L})|map('string')|list", "({L})|batch(2)|list", "({L})|map('string')|unique|list",
        "({L})|map('string')|sort(reverse=true)", "messages|map(attribute='role')|list",
        "messages|selectattr('content')|map(attribute='role')|list", "d|dictsort",
        "d.items()|list", "d.keys()|list", "d|items|list", "range(4)|list",
        "messages|rejectattr('role', 'equalto', 'user')|list",
    ],
    "A": [
        "{T}", "{N}", "{L}", "d", "none_v", "missing", "x", "y", "true", "false", "{'k': {A}}",
        "({A} == {A})", "({A} != {A})", "({N} < {N})", "({T} >= {T})", "({T} in {T})",
        "({A} in {L})", "({A} not in {L})", "({A} and {A})", "({A} or {A})", "(not {A})",
        "({N} < {N} <= {N})", "({A}) is defined", "({A}) is none", "({A}) is string",
        "({A}) is mapping", "({A}) is iterable", "({A}) is not sequence", "({A}) is number",
        "({A}) is true", "({A}) is in {L}", "({L})|first", "({L})|last", "({L})[0]", "({L})[-1]",
        "d.get('b')", "d.get('q', {A})", "d['c'].k", "messages[-1].role", "({A} if {A})",
        "({A})|default('D')", "({A}, {A})", "({A}) is callable", "({L})[9]",
    ],
}


def typed(source, kind, depth):
    """An expression that has, most likely, a value of this kind."""
    choices = TYPED[kind]
    if depth <= 0:
        choices = [choice for choice in choices if "{" not in choice]
        choices = choices or ["n"]
    out, template = [], source.choice(choices)
    at = 0
    while at < len(template):
        if template[at : at + 3] in ("{T}", "{N}", "{L}", "{A}"):
            out.append(typed(source, template[at + 1], depth - 1))
            at += 3
        else:
            out.append(template[at])
            at += 1
    return "".join(out)


def expression(source, depth):
    """Mostly one that has a value, and sometimes one in which anything is done to anything."""
    if source.random() < 0.97:
        return typed(source, source.choice("TTNLA"), depth)
    return wild(source, depth)


def wild(source, depth):
    draw = source.random()
    if depth <= 0 or draw < 0.2:
        return source.choice(NAMES if source.random() < 0.6 else LITERALS)
    inner = wild(source, depth - 1)
    if draw < 0.4:
        return f"({inner})|{source.choice(FILTERS)}"
    if draw < 0.5:
        return f"({inner}){source.choice(METHODS)}"
    if draw < 0.6:
        subscript = source.choice(SUBSCRIPTS)
        if ":" in subscript:  # jinja2 folds a slice of a constant such as 1 to "undefined".
            inner = typed(source, source.choice("LT"), depth - 1)
        return f"({inner}){subscript}"
    if draw < 0.68:
        return f"({inner}) is {source.choice(['', 'not '])}{source.choice(TESTS)}"
    other = wild(source, depth - 1)
    if draw < 0.9:
        return f"({inner} {source.choice(OPERATORS)} {other})"
    if draw < 0.94:
        return f"({inner} if {other} else {wild(source, depth - 2)})"
    if draw < 0.96:
        return f"not {inner}"
    if draw < 0.98:
        return f"[{inner}, {other}]"
    return f"{{'a': {inner}, 'b': {other}}}"


def tag(source, body):
    """A tag with random white space and signs."""
    left, right = source.choice(["", "", "-", "+"]), source.choice(["", "", "-", "+"])
    return f"{{%{left} {body} {right}%}}{source.choice(SPACES)}"


def output(source, body):
    left, right = source.choice(["", "", "-"]), source.choice(["", "", "-"])
    return f"{{{{{left} {body} {right}}}}}"


def statement(source, depth, in_loop):
    draw = source.random()
    if depth <= 0 or draw < 0.4:
        return output(source, expression(source, 3))
    if draw < 0.5:
        name = source.choice(["x", "y"])
        return tag(source, f"set {name} = {expression(source, 2)}")
    body = block(source, depth - 1, in_loop)
    if draw < 0.65:
        middle = tag(source, "else") + block(source, depth - 1, in_loop)
        middle = source.choice(["", middle])
        return tag(source, f"if {expression(source, 2)}") + body + middle + tag(source, "endif")
    if draw < 0.82:
        body = block(source, depth - 1, True)
        values = typed(source, "L", 2) if source.random() < 0.9 else expression(source, 1)
        head = source.choice([f"for x in {values}", f"for x in {values} if x",
                              "for x, y in d.items()", f"for x in range({source.randrange(4)})"])
        use = source.choice(["", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.length }}",
                             "{{ loop.previtem }}", "{{ loop.nextitem }}", "{{ loop.revindex0 }}",
                             "{{ loop.cycle('p', 'q') }}", "{{ loop.changed(x) }}"])
        other = source.choice(["", tag(source, "else") + "none"])
        return tag(source, head) + use + body + other + tag(source, "endfor")
    if draw < 0.86 and in_loop:
        return tag(source, source.choice(["break", "continue"]))
    if draw < 0.9:
        value = expression(source, 1)
        return (tag(source, "set ns = namespace(v=0)") + tag(source, f"set ns.v = {value}")
                + "{{ ns.v }}")
    if draw < 0.93:
        # No `break` out of it: jinja2 then writes on into the wrong buffer.
        body = block(source, depth - 1, False)
        filters = source.choice(["", " | upper", " | trim | length"])
        return tag(source, f"set y{filters}") + body + tag(source, "endset") + "{{ y }}"
    if draw < 0.97:
        macro = block(source, depth - 1, False)
        return (tag(source, "macro m(x, y='dy')") + macro + tag(source, "endmacro")
                + output(source, f"m({expression(source, 1)})"))
    return tag(source, f"filter {source.choice(['upper', 'trim', 'title'])}") + block(
        source, depth - 1, False) + tag(source, "endfilter")


def block(source, depth, in_loop):
    parts = []
    for _ in range(1 + source.randrange(3)):
        parts.append(source.choice(SPACES))
        if source.random() < 0.05:
            parts.append("{# note #}" + source.choice(SPACES))
        parts.append(statement(source, depth, in_loop))
    return "".join(parts) + source.choice(SPACES)


def program(source):
    return block(source, 3, False)
