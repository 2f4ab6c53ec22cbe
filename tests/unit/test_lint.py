"""lint reports a slip of each kind, in a small tree that is clean without it."""

import os
import shutil
import subprocess

import pytest

from rig import ROOT

README = """A sentence with a < b is no drawing.

    common   base < .
    master   os < queue < .
    worker   base < task < .
"""
MAN = """.Dd January 1, 2026
.Dt FERRYX 8
.Os
.Sh NAME
.Nm ferryx
.Nd a page
.Sh DESCRIPTION
It is short.
"""
HEADER = """#ifndef {guard}
#define {guard}

{text}
#endif
"""
FILES = {
    "README.md": README,
    "master/ferryx.8": MAN,
    "master/ctl/ferryx.8": MAN,
    "etc/ferryd.init": "#!/bin/sh\n",
    "tests/demo/demo.sh": "#!/bin/bash\n",
    "common/base/clock.h": "int clock_now(void);\n",
    "common/base/clock.c": '#include "common/base/clock.h"\n\nint\nclock_now(void)\n{\n\treturn 1;\n}\n',
    "common/channel.h": "int channel_open(void);\n",
    "common/channel.c": '#include "common/channel.h"\n#include "common/base/clock.h"\n\n'
                        "int\nchannel_open(void)\n{\n\treturn clock_now();\n}\n",
    "master/state.h": "struct state {\n\tint phase;\n\tvoid (*progress)(struct state *s);\n};\n",
    "master/os/signals.h": "int signals_take(void);\n",
    "master/os/signals.c": '#include "master/os/signals.h"\n#include "master/state.h"\n\n'
                           "int\nsignals_take(void)\n{\n\treturn 2;\n}\n",
    "master/os/other.h": "int other(void);\n",
    "master/os/other.c": '#include "master/os/other.h"\n#include "master/os/signals.h"\n\n'
                         "int\nother(void)\n{\n\treturn signals_take();\n}\n",
    "master/queue/claim.h": "int claim(void);\n",
    "master/queue/private.h": "int claim_secret(void);\n",
    "master/queue/claim.c": '#include "master/queue/claim.h"\n#include "master/os/signals.h"\n'
                            '#include "master/queue/private.h"\n\n'
                            "int\nclaim_secret(void)\n{\n\treturn 3;\n}\n\n"
                            "int\nclaim(void)\n{\n\treturn claim_secret() + signals_take();\n}\n",
    "master/main.c": '#include "common/channel.h"\n#include "master/queue/claim.h"\n\n'
                     "int\nmain(void)\n{\n\treturn claim() + channel_open();\n}\n",
    "master/ctl/main.c": '#include "common/channel.h"\n\nint\nmain(void)\n{\n\treturn channel_open();\n}\n',
    "worker/base/ring.h": "int ring_read(void);\n",
    "worker/base/ring.c": '#include "worker/base/ring.h"\n\nint\nring_read(void)\n{\n\treturn 4;\n}\n',
    "worker/task/carry.h": "int carry(void);\n",
    "worker/task/carry.c": '#include "worker/task/carry.h"\n#include "worker/base/ring.h"\n\n'
                           "int\ncarry(void)\n{\n\treturn ring_read();\n}\n",
    "worker/main.c": '#include "worker/task/carry.h"\n\nint\nmain(void)\n{\n\treturn carry();\n}\n',
}


class Tree:
    def __init__(self, root):
        self.root = str(root)
        for path, text in FILES.items():
            if path.endswith(".h"):
                guard = path.upper().replace("/", "_").replace(".", "_")
                text = HEADER.format(guard=guard, text=text)
            self.write(path, text)
        os.makedirs(f"{self.root}/tests/mutants")
        for path in (".clang-format", "tests/lint.sh", "tests/layers.py", "tests/form.py", "tests/messages.py", "tests/mutants/mutants.py"):
            shutil.copy(f"{ROOT}/{path}", f"{self.root}/{path}")

    def write(self, path, text):
        os.makedirs(os.path.dirname(f"{self.root}/{path}"), exist_ok=True)
        with open(f"{self.root}/{path}", "w") as f:
            f.write(text)

    def read(self, path):
        with open(f"{self.root}/{path}") as f:
            return f.read()

    def append(self, path, text):
        self.write(path, self.read(path) + text)

    def include(self, path, header):
        """Adds an include as the first line of code."""
        text, line = self.read(path), f'#include "{header}"\n'
        guard = "_H\n\n"
        self.write(path, text.replace(guard, guard + line, 1) if path.endswith(".h") else line + text)

    def compile(self):
        for directory, _, names in os.walk(self.root):
            for name in names:
                if name.endswith(".c"):
                    path = os.path.relpath(os.path.join(directory, name), self.root)
                    os.makedirs(os.path.dirname(f"{self.root}/build/{path}"), exist_ok=True)
                    # gcc 14 takes these two for errors unless it is told not to
                    lenient = ("-w", "-Wno-error=implicit-function-declaration", "-Wno-error=int-conversion")
                    subprocess.run(["gcc", "-I.", "-c", *lenient, "-o", f"build/{path[:-2]}.o", path], cwd=self.root, check=True)

    def findings(self, compile=True):
        """What lint prints about this tree; of its checks only the compilers' warnings are left out."""
        if compile:
            self.compile()
        env = {**os.environ, "BUILD": "build", "MAKE": "true"}
        done = subprocess.run(["sh", "tests/lint.sh"], cwd=self.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        lines = [line for line in done.stdout.splitlines() if "readelf: " not in line]
        assert (done.returncode == 0) == (lines == ["lint: clean"]), done.stdout
        return lines


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def has(lines, *words):
    assert any(all(word in line for word in words) for line in lines), lines


def test_clean_tree(tree):
    assert tree.findings() == ["lint: clean"]


def test_include_of_a_higher_folder(tree):
    tree.include("master/os/other.c", "master/queue/claim.h")
    has(tree.findings(), "master/os/other.c:1: includes master/queue/claim.h: os is below queue")


def test_include_of_the_top_folder(tree):
    tree.include("common/base/clock.c", "common/channel.h")
    has(tree.findings(), "common/base/clock.c:1: includes common/channel.h: base is below .")


def test_free_header_is_free_within_its_program(tree):
    tree.include("master/os/other.c", "master/state.h")
    assert tree.findings() == ["lint: clean"]
    tree.include("worker/task/carry.c", "master/state.h")
    has(tree.findings(), "worker/task/carry.c:1: includes master/state.h: worker uses nothing of master")


def test_file_of_a_free_header_calls_nothing_of_its_program(tree):
    tree.write("master/agenda.h", HEADER.format(guard="MASTER_AGENDA_H", text="int agenda_claim(void);"))
    text = '#include "master/agenda.h"\n#include "common/channel.h"\n\nint\nagenda_claim(void)\n{\n\treturn channel_open();\n}\n'
    tree.write("master/agenda.c", text)
    tree.append("master/os/other.c", "\nint agenda_claim(void);\nint other_wants(void);\n\n"
                                     "int\nother_wants(void)\n{\n\treturn agenda_claim();\n}\n")
    assert tree.findings() == ["lint: clean"]
    tree.include("master/agenda.c", "master/os/signals.h")
    tree.write("master/agenda.c", tree.read("master/agenda.c").replace("channel_open()", "channel_open() + signals_take()"))
    has(tree.findings(), "master/agenda.c: uses signals_take of master/os/signals.c: every folder uses it, so it is below them all")


@pytest.mark.parametrize("path, header, why", [
    ("worker/task/carry.c", "master/os/other.h", "worker uses nothing of master"),
    ("master/os/other.c", "worker/base/ring.h", "master uses nothing of worker"),
    ("common/channel.c", "worker/base/ring.h", "common uses nothing of worker"),
    ("master/ctl/main.c", "master/os/other.h", "ctl uses nothing of master"),
])
def test_include_of_another_program(tree, path, header, why):
    tree.include(path, header)
    has(tree.findings(), f"{path}:1: includes {header}: {why}")


def test_private_header_of_another_folder(tree):
    tree.include("master/main.c", "master/queue/private.h")
    tree.write("master/queue/claim_private.h", tree.read("master/queue/private.h").replace("PRIVATE_H", "CLAIM_PRIVATE_H"))
    tree.include("master/main.c", "master/queue/claim_private.h")
    lines = tree.findings()
    has(lines, "master/main.c:1: master/queue/claim_private.h is private to its folder")
    has(lines, "master/main.c:2: master/queue/private.h is private to its folder")


def test_circle_of_headers(tree):
    tree.include("master/os/other.h", "master/os/signals.h")
    tree.include("master/os/signals.h", "master/os/other.h")
    has(tree.findings(), "circle of headers: master/os/other.h master/os/signals.h")


def test_folder_that_is_not_drawn(tree):
    tree.write("worker/pipe/pipe.c", "int\npipe_run(void)\n{\n\treturn 5;\n}\n")
    has(tree.findings(), "README.md: the drawing of worker lacks the folder pipe")


def test_drawing_of_a_folder_that_is_gone(tree):
    tree.write("README.md", README.replace("base < task", "base < pipe < task"))
    has(tree.findings(), "README.md: the drawing of worker names pipe, which has no file")


def test_program_that_is_not_drawn(tree):
    tree.write("README.md", README.replace("worker", ""))
    has(tree.findings(), "README.md: no line draws the folders of worker")


def test_call_of_a_higher_folder(tree):
    tree.append("worker/base/ring.c", "\nint carry(void);\nint\nring_up(void)\n{\n\treturn carry();\n}\n")
    lines = tree.findings()
    has(lines, "worker/base/ring.c: uses carry of worker/task/carry.c: base is below task")
    has(lines, "circle of 2 files: worker/base/ring.c worker/task/carry.c")
    has(lines, "worker/base/ring.c -> worker/task/carry.c: carry")


@pytest.mark.parametrize("use", [
    "int other(void);\nstatic int (*const table[])(void) = { other };\nint\nuse(int i)\n{\n\treturn table[i]();\n}\n",
    "int other(void);\nint (*hook)(void);\nvoid\nuse(void)\n{\n\thook = other;\n}\n",
    "extern int other_count;\nint\nuse(void)\n{\n\treturn other_count;\n}\n",
], ids=["table", "assignment", "data"])
def test_circle_of_files_by_more_than_calls(tree, use):
    tree.append("master/os/other.c", "\nint other_count;\n")
    tree.append("master/os/signals.c", "\n" + use)
    has(tree.findings(), "circle of 2 files: master/os/other.c master/os/signals.c")


def test_callback_that_is_registered_is_no_circle(tree):
    """other gives signals a function of its own to call later."""
    tree.append("master/os/signals.c", "\nvoid signals_on(int (*take)(void));\n\nvoid\nsignals_on(int (*take)(void))\n{\n\ttake();\n}\n")
    tree.append("master/os/other.c", "\nvoid signals_on(int (*take)(void));\nvoid other_start(void);\n\n"
                                     "void\nother_start(void)\n{\n\tsignals_on(other);\n}\n")
    assert tree.findings() == ["lint: clean"]


def test_table_of_functions_in_a_free_header(tree):
    tree.write("master/state.h", tree.read("master/state.h").replace("\tint phase;\n", "\tint phase;\n\tint (*claim)(int now);\n"))
    has(tree.findings(), "master/state.h: struct state is a table of functions")


def test_source_that_was_not_built(tree):
    tree.compile()
    os.remove(f"{tree.root}/build/worker/base/ring.o")
    has(tree.findings(compile=False), "worker/base/ring.c: not built")


def test_object_of_a_source_that_is_gone(tree):
    """Builds into a directory that was used before leave such objects."""
    tree.compile()
    shutil.copy(f"{tree.root}/build/worker/main.o", f"{tree.root}/build/worker/base/old.o")
    assert tree.findings(compile=False) == ["lint: clean"]


def body(lines):
    return "\nint\nlong_one(int n)\n{\n" + "\tn++;\n" * (lines - 4) + "\treturn n;\n}\n"


def test_length_of_a_function(tree):
    tree.append("common/channel.c", body(42))
    assert tree.findings() == ["lint: clean"]
    tree.append("common/channel.c", body(43).replace("long_one", "longer"))
    has(tree.findings(), "common/channel.c:", "longer has 43 lines, more than 42")


def test_length_of_main(tree):
    tree.write("master/ctl/main.c", body(43).replace("long_one(int n)", "main(int n, char **argv)"))
    has(tree.findings(), "main has 43 lines, more than 42")


def test_tables_have_any_length(tree):
    cases = "".join(f"\tcase {n}:\n\t\treturn {n + 1};\n" for n in range(40))
    names = "".join(f'\t\t{{ {n}, "name {n}" }},\n' for n in range(50))
    tree.append("common/channel.c", "\nint\nnext(int n)\n{\n\tswitch (n) {\n" + cases + "\tdefault:\n\t\treturn 0;\n\t}\n}\n"
                "\nint\nnamed(int n)\n{\n\tstatic const struct {\n\t\tint number;\n\t\tconst char *name;\n\t} names[] = {\n" + names
                + "\t};\n\n\treturn names[n].number;\n}\n")
    assert tree.findings() == ["lint: clean"]


def test_cases_with_work_in_them_are_no_table(tree):
    cases = "".join(f"\tcase {n}:\n\t\tn++;\n\t\tn--;\n\t\tbreak;\n" for n in range(12))
    tree.append("common/channel.c", "\nint\nnext(int n)\n{\n\tswitch (n) {\n" + cases + "\t}\n\treturn n;\n}\n")
    has(tree.findings(), "next has 54 lines, more than 42")


SIX = "int\nsix(int a, int b, int c, int d, int e, int (*f)(int, int))\n{\n\treturn f(a + b, c + d + e);\n}\n"


def test_six_parameters(tree):
    tree.append("common/channel.c", "\n" + SIX)
    has(tree.findings(), "six takes 6 parameters, more than 5")


def test_five_parameters(tree):
    tree.append("common/channel.c", "\n" + SIX.replace("int a, int b", "int b").replace("a + ", ""))
    assert tree.findings() == ["lint: clean"]


def test_six_parameters_with_a_comment_that_gives_no_reason(tree):
    tree.append("common/channel.c", "\n/* Adds. */\n" + SIX)
    has(tree.findings(), "six takes 6 parameters, more than 5")


@pytest.mark.parametrize("path", ["common/channel.c", "common/channel.h"])
def test_six_parameters_with_their_reason(tree, path):
    why = "\n/* Adds.  Six parameters: the library calls it with these. */\n"
    tree.append("common/channel.c", (why if path.endswith(".c") else "\n") + SIX)
    if path.endswith(".h"):
        tree.append(path, why + SIX.split("\n{")[0].replace("int\n", "int ") + ";\n")
    assert tree.findings() == ["lint: clean"]


@pytest.mark.parametrize("call", ["PQgetvalue(res, row(1, 2), 3)", "PQgetisnull(res,\n\t    0, 12)", "PQgetlength(res, 0, 0)"])
def test_column_by_its_number(tree, call):
    tree.append("common/channel.c", f"\nint\ncolumn(int res)\n{{\n\treturn {call};\n}}\n")
    has(tree.findings(), f"{call[:call.index('(')]}(..., ", "the column needs a name")


def test_column_by_its_name(tree):
    tree.append("common/channel.c", "\nenum { CLAIM_ID };\n\nint\ncolumn(int res)\n{\n\treturn PQgetvalue(res, 0, CLAIM_ID);\n}\n")
    assert tree.findings() == ["lint: clean"]


def test_cast_for_printf(tree):
    tree.append("common/channel.c", '\nvoid\nsay(long n)\n{\n\tprintf("%lld", (long long)n);\n}\n')
    has(tree.findings(), "(long long): print with PRId64")


def test_words_in_comments_and_literals_are_no_code(tree):
    tree.append("common/channel.c", '\n/* No (long long)n, no PQgetvalue(res, 0, 0). */\nconst char *said = "(long long)";\n')
    assert tree.findings() == ["lint: clean"]


@pytest.mark.parametrize("path", ["common/channel.c", "common/channel.h"])
def test_long_line(tree, path):
    tree.append(path, "\n/*" + "\n * " + "x" * 98 + "\n */\n")
    has(tree.findings(), f"{path}:", "101 columns, more than 100")


STATEMENT = """
static const char *sql = "UPDATE ferry.task SET state = 'done' "
			 "WHERE id = (SELECT id FROM ferry.node WHERE x) "
			 "AND node IS NOT DISTINCT FROM 1 "
			 "ORDER BY id "
			 "RETURNING id, 'at''s end'";
"""


def test_statement_of_one_clause_a_line(tree):
    tree.append("common/channel.c", STATEMENT)
    assert tree.findings() == ["lint: clean"]


@pytest.mark.parametrize("old, new, what", [
    ('ORDER BY id "\n\t\t\t "', "ORDER BY id ", "RETURNING begins a literal of its own"),
    ('1 "\n\t\t\t "', "1 ", "ORDER BY begins a literal of its own"),
    ('ferry.node WHERE x) "\n\t\t\t "', 'ferry.node WHERE x "\n\t\t\t ") ', "WHERE begins a literal of its own"),
    ("= 'done' ", "= 'done' FROM ferry.node ", "FROM begins a literal of its own"),
    ("RETURNING id, 'at", "RETURNING id, 'a\"\n    \"t", "a literal ends within quotes"),
])
def test_statement_of_more_clauses_a_line(tree, old, new, what):
    assert old in STATEMENT
    tree.append("common/channel.c", STATEMENT.replace(old, new))
    has(tree.findings(), "common/channel.c:", "SQL: " + what)


def test_clauses_that_may_share_a_line(tree):
    tree.append("common/channel.c", """
static const char *sql = "SELECT t.id FROM ferry.task t JOIN ferry.node n ON n.id = t.node "
			 "WHERE t.state = 'done' "
			 "ORDER BY t.id LIMIT 1";
""")
    assert tree.findings() == ["lint: clean"]


def test_short_statement_is_one_literal(tree):
    tree.append("common/channel.c", '\nstatic const char *sql = "SELECT a FROM b WHERE c = 1";\n')
    assert tree.findings() == ["lint: clean"]


def test_form_that_clang_format_would_change(tree):
    version = subprocess.run("clang-format --version", shell=True, stdout=subprocess.PIPE, text=True).stdout
    tree.write("tests/unit/odd.c", "int odd( int n ) { return n; }\n")
    if "version 14." in version:
        has(tree.findings(), "tests/unit/odd.c:1:", "[-Wclang-format-violations]")
    else:
        assert tree.findings() == ["lint: clean"]


@pytest.mark.parametrize("path, text, what", [
    ("common/channel.c", "\nint\nf(const char *s)\n{\n\treturn atoi(s);\n}\n", "atoi(s)"),
    ("common/channel.c", "\n/* TO" "DO */\n", "TO" "DO"),
    ("common/channel.c", "\nint a; \n", "int a; "),
    ("common/channel.c", "\nint a;\n" * 250, "common/channel.c"),
    ("tests/lint.sh", "", "lint: clean"),
    ("tests/demo/demo.sh", "if\n", "demo.sh"),
    ("master/ferryx.8", ".Xx no macro\n", "master/ferryx.8"),
])
def test_slips_of_other_kinds(tree, path, text, what):
    tree.append(path, text)
    has(tree.findings(), what)


@pytest.mark.parametrize("find, said", [("return 4;", "lint: clean"), ("return 5;", "its text stands 0 times in worker/base/ring.c")])
def test_slip_whose_text_has_vanished(tree, find, said):
    tree.write("tests/unit/test_ring.c", "")
    tree.write("tests/mutants/ring.toml", f"[[slip]]\nname = 'n'\nfile = 'worker/base/ring.c'\nfind = '{find}'\nput = ''\n"
                                          "tests = ['unit/test_ring']\n")
    has(tree.findings(), said)


@pytest.mark.parametrize("call, said", [
    ('warnx("the queue is gone.")', "ends as a sentence does"),
    ('warnx("the queue is gone\\n")', "ends with a line feed"),
    ('warnx("")', "says nothing"),
    ('warnx("the queue  is gone")', "has two blanks"),
    ('warnx("%s", n ? "an invalid queue" : "a queue")', "lint: clean"),
    ('warnx(n ? "an invalid queue" : "a queue")', 'says "invalid"'),
    ('err(1, "failed to " "open the queue")', 'says "failed to"'),
    ('snprintf(why, sizeof(why), "something is wrong")', 'says "something"'),
    ('snprintf(path, sizeof(path), "something is wrong")', "lint: clean"),
    (f'warnx("{"the queue " * 30}")', "more than 200"),
])
def test_slips_of_messages(tree, call, said):
    """Lint judges the format of a message, and neither its arguments nor other texts."""
    tree.append("common/channel.c", f"\nvoid f(int n, char why[64], char path[64])\n{{\n\t{call};\n}}\n")
    lines = [line for line in tree.findings() if "clang" not in line]
    has(lines or ["lint: clean"], said)


def test_messages_of_the_tree_are_found():
    """Of functions that the compiler checks, of macros for them, with a number of 64 bits, from a choice, from the schema."""
    done = subprocess.run(["/usr/bin/python3", "tests/messages.py", "--list"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found = {(line.split(":")[0], line.split(": ", 1)[1]) for line in done.stdout.splitlines()}
    for path, message in (("worker/endpoint/pin.c", "source changed: another ETag than when the transfer began"),
                          ("master/phase.c", "ferryd %s is up, %d workers"),
                          ("worker/pipe/silence.c", "no progress for %s s (destination side)"),
                          ("worker/task/carry.c", "the source has %s bytes, expect_size is %s"),
                          ("etc/schema.sql", "role %s cannot insert a task with created_by %s, whose rights it does not have")):
        assert (path, message) in found, message
    assert len(found) > 400
