"""What is written about the schema is true: the life of a row at the head of schema.sql, and the manual page ferry(7)."""

import re

import pytest

from rig import ROOT, SCHEMA
from statements import prepared


def read(path):
    with open(f"{ROOT}/{path}") as f:
        return f.read()


def statements():
    """The text of each prepared statement of the programs, by its name."""
    return {name: " ".join(sql.split()) for name, sql in prepared("master", "worker").items()}


def life_of_a_row():
    """What the head of schema.sql names as a statement or function, with the states that it leads to."""
    head = read("etc/schema.sql").partition("\n-- from ")
    header, _, *lines = ("-- from " + head[2].partition("\n--\n")[0]).splitlines()
    to, who, statement = (header.index(column) for column in ("to ", "who, when", "statement"))
    found, state = {}, None
    for line in lines:
        state = line[to:who].strip() or state
        if line[statement:]:
            found.setdefault(line[statement:], set()).add(state.strip("()"))
    return found


def sets_state(sql):
    """The states that an UPDATE of ferry.task sets."""
    found = set()
    for assignments in re.findall(r"UPDATE ferry\.task(?: t)? SET (.*?) (?:WHERE|FROM)\b", sql):
        assignment = re.search(r"(?<![\w.])state = (CASE .*? END|'\w+')", assignments)
        found |= set(re.findall(r"'(\w+)'", assignment.group(1))) if assignment else set()
    return found


def test_life_of_a_row_names_every_statement_that_changes_a_state(db):
    changing = {name: sets_state(sql) for name, sql in statements().items()}
    functions = db.sql("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'ferry'::regnamespace AND prolang <> 12")
    changing |= {f"ferry.{f['proname']}()": sets_state(" ".join(f["prosrc"].split())) for f in functions}
    told = {name: states for name, states in life_of_a_row().items() if states != {"deleted"}}
    assert told.pop("INSERT") == {"queued"}
    assert {name: states for name, states in changing.items() if states} == told


def test_schema_says_which_version_it_is():
    assert f"version {SCHEMA}," in read("etc/schema.sql").partition("\n")[0]


def test_life_of_a_row_names_the_statement_that_deletes_rows(db):
    functions = db.sql("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'ferry'::regnamespace AND prolang <> 12")
    deleting = {name for name, sql in statements().items() if "DELETE FROM ferry.task " in sql}
    deleting |= {f"ferry.{f['proname']}()" for f in functions if re.search(r"DELETE FROM ferry\.task\s", f["prosrc"])}
    assert {name for name, states in life_of_a_row().items() if states == {"deleted"}} == deleting


@pytest.fixture(scope="module")
def page():
    return read("master/ferry.7")


def section(page, title):
    return re.search(rf"^\.Sh {title}\n(.*?)^\.Sh ", page, re.M | re.S).group(1)


def columns_told(page):
    """(table or view, what is said about whom): columns, as the lists below the headings name them."""
    found, heading = {}, None
    for line in page.splitlines():
        if line.startswith((".Sh", ".Ss")):
            heading = re.match(r"\.Ss The (?:table|view) ferry\.(\w+)(?:: (.*))?$", line)
        elif heading and line.startswith(".It Va"):
            found.setdefault(heading.groups(), set()).update(re.findall(r"Va (\w+)", line))
    return found


def test_manual_has_every_column_of_every_table_and_view(db, page):
    told = {}
    for (relation, _), columns in columns_told(page).items():
        told.setdefault(relation, set()).update(columns)
    there = {}
    for row in db.sql("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'ferry' "
                      "AND table_name NOT IN ('task_live', 'task_ended')"):
        there.setdefault(row["table_name"], set()).add(row["column_name"])
    assert told == there


def test_manual_says_which_columns_are_a_producers(db, page):
    """The policy refuses values of all others."""
    columns = {row["attname"] for row in db.sql("SELECT attname FROM pg_attribute WHERE attrelid = 'ferry.task'::regclass AND attnum > 0 "
                                                "AND NOT attisdropped AND attgenerated = ''")}
    check = db.one("SELECT pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polname = 'producer_inserts'")
    assert columns_told(page)["task", "what a producer says"] == columns - set(re.findall(r"THEN '(\w+)'::text", check))


def test_manual_says_what_a_producer_may_read(db, page):
    may = {row["table_name"] for row in db.sql("SELECT table_name FROM information_schema.table_privileges WHERE table_schema = 'ferry' "
                                               "AND grantee = 'ferry_producer' AND privilege_type = 'SELECT'")}
    producer = re.search(r"^\.It Li ferry_producer\n.*?may read(.*?)^\.It", page, re.M | re.S).group(1)
    assert set(re.findall(r"ferry\.(\w+)", producer)) == may


def test_manual_has_every_function_and_its_parameters(db, page):
    there = {row["proname"]: row["pronargs"] for row in db.sql(
        "SELECT proname, pronargs FROM pg_proc WHERE pronamespace = 'ferry'::regnamespace AND prorettype <> 'trigger'::regtype")}
    assert set(re.findall(r"\bFn ferry\.(\w+)", page)) == set(there)
    for name, parameters in re.findall(r"^\.It Fn ferry\.(\w+)(.*)$", page, re.M):
        assert len(parameters.split()) == there[name], name


def test_manual_names_nothing_that_is_not_there(db, page):
    there = {row["name"] for row in db.sql("SELECT relname AS name FROM pg_class WHERE relnamespace = 'ferry'::regnamespace UNION "
                                           "SELECT proname FROM pg_proc WHERE pronamespace = 'ferry'::regnamespace")}
    assert set(re.findall(r"\bferry\.(\w+)", page)) - there == set()


def test_manual_has_every_state_and_class_of_errors(db, page):
    assert re.findall(r"^\.It Li (\w+)$", section(page, "STATES"), re.M) == \
        [row["s"] for row in db.sql("SELECT unnest(enum_range(NULL::ferry.state))::text AS s")]
    names = re.findall(r'\[CLASS_\w+\] = \{ "(\w+)"', read("common/task.c"))
    assert ["none", *re.findall(r"^\.It Li (\w+)$", section(page, "ERROR CLASSES"), re.M)] == names


def test_manual_knows_the_channels_that_are_listened_to(page):
    listened = {sql.removeprefix("LISTEN ") for sql in statements().values() if sql.startswith("LISTEN ")}
    assert set(re.findall(r"^\.Li (ferry_\w+)", section(page, "NOTIFICATIONS"), re.M)) == listened
