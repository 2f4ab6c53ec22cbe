#!/usr/bin/python3
"""messages.py [ROOT] [--list]: the form of the messages that a person can meet; prints each finding, exit status 1 if there was one.

A message is the format of a function that the compiler checks as printf's, of those of err.h, and of an snprintf() into a reason.
A message says something, in at most 200 characters, without a full stop or a line feed at its end, and in words that help.
The functions of the schema raise messages, too.  With --list it prints all messages, to be read as one text.
"""

import os
import re
import sys

from form import TOKEN, arguments, blank, line_of

FOLDERS = ("common", "master", "worker")
LENGTH = 200
ERR_H = {"warn": 0, "warnx": 0, "err": 1, "errx": 1}
REASONS = re.compile(r"^&?[\w>.-]*(?:why|reason|error|message|complaint)(?:\.text)?$")
# Words that leave the reader alone: what is right, and where, is said instead.
BANNED = ("please", "sorry", "oops", "invalid", "illegal", "unexpected error", "internal error", "unknown error", "something",
          "somehow", "bad argument", "failed to", "unable to", "could not be processed", "an error occurred", "error occurred", "whatever")


def printf_like(texts):
    """{name: number of the argument that is the format} of the functions that the compiler checks, and of the macros for them."""
    found = {"fatal": 1, **ERR_H}
    for text in texts.values():
        for match in re.finditer(r"\b(\w+)\([^;{}()]*\)\s*(?:__attribute__\(\(noreturn\)\)\s*)?__attribute__\(\((?:noreturn, )?format\(printf, (\d+), \d+\)", text):
            found[match[1]] = int(match[2]) - 1
    for text in texts.values():
        for match in re.finditer(r"#define (\w+)\(\.\.\.\) (\w+)\((\w+), __VA_ARGS__\)", text):
            if match[2] in found:
                found[match[1]] = found[match[2]] - 1
    return found


def literals(text, start, end):
    """The texts of an argument: its literals, joined with %s for a macro; a choice has more than one.  Empty without a literal."""
    texts, joined, at = [], None, start
    for token in [*(token for token in TOKEN.finditer(text, start, end) if token[0][0] == '"'), None]:
        between = text[at:token.start() if token else end]
        if joined is not None and re.search(r"[?:]", between):
            texts.append(joined)
            joined = None
        elif joined is not None and re.search(r"\w", between):
            joined += "s" if joined.endswith("%") and not joined.endswith("%%") else "%s"  # PRId64 ends what a % begins
        if token:
            joined, at = (joined or "") + token[0][1:-1], token.end()
    return texts + ([joined] if joined is not None else [])


def spans(code, at):
    """(start, end) of each argument of the list that opens at code[at]."""
    parts, end = arguments(code, at)
    depth, start, found = 0, at + 1, []
    for i in range(at, end + 1):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        if depth == 0 and i == end or depth == 1 and code[i] == ",":
            found.append((start, i))
            start = i + 1
    return found


def messages(path, text, functions):
    """(line, message) of each message of a file; a choice between texts gives each of them."""
    code = blank(text)
    for match in re.finditer(r"\b(\w+)\(", code):
        name = match[1]
        if name not in functions and name != "snprintf":
            continue
        found = spans(code, match.end() - 1)
        number = functions.get(name, 2)
        if number >= len(found) or name == "snprintf" and not REASONS.match(text[slice(*found[0])].strip()):
            continue
        for message in literals(text, *found[number]):
            yield line_of(text, match.start()), message


def messages_of_schema(text):
    """(line, message) of what the database's functions raise."""
    for match in re.finditer(r"\b(?:RAISE (?:EXCEPTION|WARNING|NOTICE|LOG)\s+|MESSAGE\s*=\s*(?:format\(\s*)?)'((?:[^']|'')*)'", text):
        yield line_of(text, match.start()), match[1].replace("''", "'")


def faults(message):
    """What is wrong with the form of a message."""
    if re.search(r"\\n$", message):
        yield "ends with a line feed"
    if re.search(r"[^.]\.$|!$", message):
        yield "ends as a sentence does; a message has no full stop at its end"
    if not message.strip():
        yield "says nothing"
    if len(message) > LENGTH:
        yield f"has {len(message)} characters, more than {LENGTH}"
    if re.search(r"  ", message):
        yield "has two blanks"
    for word in BANNED:
        if re.search(rf"\b{word}\b", message, re.I):
            yield f'says "{word}"; say what is wrong, where, and what would be right'


def main(*arguments_of_program):
    listing = "--list" in arguments_of_program
    root = next((a for a in arguments_of_program if a != "--list"), ".")
    texts = {}
    for folder in FOLDERS:
        for directory, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.join(directory, name)
                    with open(path, encoding="utf-8") as f:
                        texts[os.path.relpath(path, root)] = f.read()
    functions, bad = printf_like(texts), 0
    found = [(path, number, message) for path in sorted(texts) for number, message in messages(path, texts[path], functions)]
    schema = "etc/schema.sql"
    if os.path.exists(os.path.join(root, schema)):
        with open(os.path.join(root, schema), encoding="utf-8") as f:
            found += [(schema, number, message) for number, message in messages_of_schema(f.read())]
    for path, number, message in found:
        if listing:
            print(f"{path}:{number}: {message}")
        for fault in [] if listing else faults(message):
            print(f'{path}:{number}: "{message}" {fault}')
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
