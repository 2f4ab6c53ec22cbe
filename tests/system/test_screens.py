"""The screens beside the README are those that their command makes."""

import re
import subprocess
import sys

import pytest

from rig import ROOT


def commands(path):
    with open(path, encoding="utf-8") as f:
        return re.findall(r"^\$ ferryctl (\w+)", f.read(), re.M)


def words(path):
    """The headings of tables and the names of what is told: words in capitals, and those in front of a colon or at the left."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return set(re.findall(r"\b[A-Z]{2,}(?:[ _][A-Z]+)*\b", text)) | set(re.findall(r"^([a-z_0-9]+) {2,}\S", text, re.M))


@pytest.mark.limit(180)
def test_screens_are_up_to_date(tmp_base):
    kept, made = f"{ROOT}/etc/doc/screens.txt", f"{tmp_base}/screens.txt"
    subprocess.run([sys.executable, f"{ROOT}/tests/system/screens.py", made], check=True)
    assert commands(made) == commands(kept) == ["status", "watch", "ls", "show"]
    assert words(made) == words(kept), 'run "make screens"'
    with open(made, encoding="utf-8") as f:
        text = f.read()
    for sentence in ("all is well", "queue archive is paused", r"\[[█▒░]+\] \d+% ", "verified_by +crc64", "No such file"):
        assert re.search(sentence, text), f"no {sentence!r} in:\n{text}"
