#!/usr/bin/python3
"""form.py [ROOT]: the form of the C files; prints each finding, exit status 1 if there was one.

Functions end within a screen, tables of cases apart; whoever takes many parameters says why; columns of results have names;
a line ends at column 100; a statement in SQL shows one clause a line.  Definitions are found by their form, which clang-format
has made: name and closing brace stand in the first column.
"""

import os
import re
import sys

COLUMNS, LINES, PARAMETERS = 100, 42, 5
FOLDERS = ("common", "master", "worker", "tests")
NOT_OURS = ("node_modules",)
CLAUSES = re.compile(r"(?<!DELETE )(?<!DISTINCT )\bFROM\b|\b(?:WHERE|(?:ORDER|GROUP|PARTITION) BY|HAVING|LIMIT|RETURNING|VALUES"
                     r"|ON CONFLICT|UNION|FOR (?:NO KEY )?UPDATE|(?:LEFT |CROSS |INNER )?JOIN)\b")
PAIRS = (("SELECT", "FROM"), ("FROM", "JOIN"), ("ORDER BY", "LIMIT"))
SQL = re.compile(r"^(?:WITH|SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|/\*.*?\*/|\'(?:[^\'\\\n]|\\.)*\'', re.S)

found = []


def finding(path, number, text):
    found.append(f"{path}:{number}: {text}")


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def blank(text):
    """The text with comments and the insides of literals replaced by blanks; lines and columns stay."""
    def empty(match):
        token = match[0]
        if token[0] == '"':
            return '"' + " " * (len(token) - 2) + '"'
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(empty, text)


def arguments(text, at):
    """The arguments of the list that opens at text[at], which is blanked; and where the list ends."""
    depth, start, parts = 0, at + 1, []
    for end in range(at, len(text)):
        if text[end] in "([{":
            depth += 1
        elif text[end] in ")]}":
            depth -= 1
            if depth == 0:
                return parts + [text[start:end].strip()], end
        elif text[end] == "," and depth == 1:
            parts.append(text[start:end].strip())
            start = end + 1
    return parts, len(text)


def check_columns(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        width = len(line.expandtabs(8))
        if width > COLUMNS:
            finding(path, number, f"{width} columns, more than {COLUMNS}")


def definitions(code):
    """(name, offset of its first line, its lines without the type, its parameters) of each function in blanked code."""
    for match in re.finditer(r"^([A-Za-z_]\w*)\(", code, re.M):
        parameters, end = arguments(code, match.end() - 1)
        if code[end + 1:end + 3] == "\n{":
            close = code.index("\n}", end + 2)
            yield match[1], match.start(), code[match.start():close + 2].split("\n"), parameters


def table_lines(lines, test):
    """How many lines of a function lie in initialisers, or in cases of one statement and their break; in a unit test, in checks."""
    count, at = 0, 0
    while at < len(lines):
        if test and re.match(r"\t+\w+\(", lines[at]):
            while not lines[at].endswith(";"):
                count, at = count + 1, at + 1
            count, at = count + 1, at + 1
            continue
        if re.search(r"= \{$", lines[at]):
            indent = re.match(r"\s*", lines[at])[0]
            while not re.match(indent + r"\};", lines[at]):
                count, at = count + 1, at + 1
            count += 1
        elif re.match(r"\s*(case .*|default):$", lines[at]):
            start = at
            while re.match(r"\s*(case .*|default):$", lines[at]):
                at += 1
            at += 1
            if re.match(r"\s*break;$", lines[at]):
                at += 1
            elif not re.match(r"\s*return\b.*;$", lines[at - 1]):
                continue
            if re.match(r"\s*(case .*:|default:|\})$", lines[at]):
                count += at - start
            continue
        at += 1
    return count


def comment_before(text, at):
    """The comment that ends above the declaration whose name stands at offset at; empty without one."""
    head = text[:at]
    cut = max(head.rfind(";"), head.rfind("\n}"), head.rfind("*/") - 1, -1)
    if head[cut + 1:cut + 3] != "*/":
        return ""
    return head[head.rfind("/*", 0, cut):cut + 3]


def check_functions(path, text, code, headers):
    for name, at, lines, parameters in definitions(code):
        number = line_of(text, at)
        length = len(lines) - table_lines(lines, path.startswith("tests/unit/"))
        if length > LINES:
            finding(path, number, f"{name} has {length} lines, more than {LINES}")
        if len(parameters) > PARAMETERS:
            beside = [comment_before(text, at)]
            for header_text, header_code in headers:
                beside += [comment_before(header_text, match.start()) for match in re.finditer(rf"\b{name}\(", header_code)]
            if not any(re.search(r"\bparameters?\b", comment, re.I) for comment in beside):
                finding(path, number, f"{name} takes {len(parameters)} parameters, more than {PARAMETERS}; "
                        'a comment at its definition or declaration must say why, with the word "parameters"')


def check_results(path, text, code):
    for match in re.finditer(r"\bPQ(?:getvalue|getisnull|getlength)\(", code):
        column = arguments(code, match.end() - 1)[0][-1]
        if re.fullmatch(r"\d+", column):
            finding(path, line_of(text, match.start()), f"{match[0]}..., {column}): the column needs a name, from an enum")


def check_casts(path, text, code):
    for match in re.finditer(r"\(\s*(?:unsigned )?long long(?: int)?\s*\)", code):
        finding(path, line_of(text, match.start()), f"{match[0]}: print with PRId64 or PRIu64 of <inttypes.h>")


def check_statement(path, text, literals):
    """A statement in more than one literal: a literal holds one clause, which begins it, and ends outside of quotes.

    What fits may stay on one line: a FROM behind its SELECT, a JOIN behind its FROM, a LIMIT behind its ORDER BY, and whatever
    stands in parentheses that open and close within the literal."""
    for match in literals:
        sql = flat = match[0][1:-1]
        while re.search(r"\([^()]*\)", flat):
            flat = re.sub(r"\([^()]*\)", lambda pair: "." * len(pair[0]), flat)
        number = line_of(text, match.start())
        inner = [clause[0] for clause in CLAUSES.finditer(flat) if flat[:clause.start()].strip("() ")
                 and not any(clause[0].endswith(second) and re.search(rf"\b{first}\b", flat[:clause.start()])
                             for first, second in PAIRS)]
        if inner:
            finding(path, number, f"SQL: {inner[0]} begins a literal of its own")
        if sql.replace("\\'", "").count("'") % 2:
            finding(path, number, "SQL: a literal ends within quotes")


def check_sql(path, text):
    """Runs of literals that begin as a statement does; macros between literals belong to the run."""
    tokens = list(TOKEN.finditer(text))
    run = []
    for token in tokens + [None]:
        joined = token is not None and run and re.fullmatch(r"[\s\\]*(?:[A-Z_]+(?:\([^()]*\))?[\s\\]*)?",
                                                            text[run[-1].end():token.start()])
        if token is not None and token[0][0] == '"' and joined:
            run.append(token)
            continue
        if len(run) > 1 and SQL.match(run[0][0][1:-1].lstrip("( ")):
            check_statement(path, text, run)
        run = [token] if token is not None and token[0][0] == '"' else []


def main(root="."):
    texts = {}
    for folder in FOLDERS:
        for directory, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = [name for name in folders if name not in NOT_OURS]
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(directory, name)
                    with open(path, encoding="utf-8") as f:
                        texts[os.path.relpath(path, root)] = f.read()
    codes = {path: blank(text) for path, text in texts.items()}
    headers = [(texts[path], codes[path]) for path in sorted(texts) if path.endswith(".h")]
    for path in sorted(texts):
        text, code = texts[path], codes[path]
        check_columns(path, text)
        check_functions(path, text, code, headers)
        check_casts(path, text, code)
        if not path.startswith("tests/"):
            check_results(path, text, code)
            check_sql(path, text)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
