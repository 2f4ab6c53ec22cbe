"""The SQL statements that the programs prepare, as their sources have them."""

import codecs
import functools
import glob
import os
import re
import shlex
import subprocess

from rig import ROOT

STATEMENTS = re.compile(r"const struct db_stmt \w+(?:\[\w+\])? = \{(.*?)\};", re.S)  # one, or an array of them
TEXTS = re.compile(r'(?:"(?:[^"\\]|\\.)*"\s*)+')


def unquoted(literals):
    """Joins string literals of C."""
    return "".join(codecs.decode(text, "unicode_escape") for text in re.findall(r'"((?:[^"\\]|\\.)*)"', literals))


@functools.cache
def flags():
    packages = shlex.split("pkg-config --cflags libpq libbsd-overlay libconfuse libcurl libcrypto expat libisal")
    return shlex.split(subprocess.run(packages, check=True, stdout=subprocess.PIPE, text=True).stdout)


@functools.cache
def prepared(*programs):
    """Returns {name: SQL} of all statements in these folders."""
    found = {}
    for path in sorted(p for program in programs for p in glob.glob(f"{ROOT}/{program}/**/*.c", recursive=True)):
        with open(path) as f:
            if "db_stmt" not in f.read():
                continue
        command = ["gcc", "-E", "-P", "-std=gnu11", "-D_GNU_SOURCE", '-DFERRY_VERSION=""', "-I.", *flags(), os.path.relpath(path, ROOT)]
        text = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
        for match in STATEMENTS.finditer(text):
            texts = [unquoted(group) for group in TEXTS.findall(match[1])]
            for name, sql in zip(texts[::2], texts[1::2]):
                assert found.get(name, sql) == sql, f"two statements have the name {name}"
                found[name] = sql
    return found


def writes(sql, *tables):
    """Whether the statement changes one of these tables of the schema."""
    return re.search(rf"(INSERT INTO|UPDATE|DELETE FROM) ferry\.({'|'.join(tables)})\b", sql) is not None


def array(values):
    """A literal of an array, as the programs send it."""
    return "{" + ",".join(str(value) for value in values) + "}"


def run(conn, name, *parameters):
    """Executes a statement of ferryd in a session, with parameters as text; returns the rows as dictionaries."""
    with conn.cursor() as cur:
        cur.execute("SELECT FROM pg_prepared_statements WHERE name = %s", (name,))
        if cur.rowcount == 0:
            cur.execute(f"PREPARE {name} AS {prepared('master')[name]}")
        values = ", ".join("NULL" if p is None else cur.mogrify("%s", (str(p),)).decode() for p in parameters)
        cur.execute(f"EXECUTE {name}" + (f"({values})" if parameters else ""))
        return [dict(row) for row in cur.fetchall()] if cur.description else []
