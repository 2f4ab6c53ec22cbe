"""Each fuzzer takes the inputs of its corpus, and new ones for ten seconds.  All run at the same time, behind everything else."""

import pathlib
import subprocess

import pytest

from rig import patience

HERE = pathlib.Path(__file__).parent
BUILD = HERE.parents[1] / "build-fuzz"
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))
SECONDS = 10


def inputs(name):
    return list((HERE / "corpus" / name).iterdir())


def start(name, directory):
    """The fuzzer under way: first every input of the corpus, then changes of them."""
    (directory / name).mkdir()
    dictionary = HERE / "corpus" / f"{name}.dict"
    command = ["nice", "-n", "10", str(BUILD / f"fuzz_{name}"), f"-max_total_time={SECONDS}", "-close_fd_mask=1",
               f"-artifact_prefix={directory}/", "-timeout=100", "-seed=0"]
    command += [f"-dict={dictionary}"] if dictionary.exists() else []
    with open(directory / f"{name}.log", "wb") as log:
        return subprocess.Popen([*command, str(directory / name), str(HERE / "corpus" / name)], stdout=log, stderr=log)


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory):
    assert BUILD.is_dir(), "the fuzzers are not built: make check builds them"
    directory = tmp_path_factory.mktemp("fuzz")
    running = {name: start(name, directory) for name in NAMES}
    yield directory, running
    for process in running.values():
        process.kill()
        process.wait()


@pytest.mark.limit(240)
@pytest.mark.parametrize("name", NAMES)
def test_fuzz(fuzzers, name):
    directory, running = fuzzers
    assert inputs(name), f"there is no corpus for {name}"
    code = running[name].wait(timeout=200 * patience())
    log = (directory / f"{name}.log").read_text(errors="replace")
    assert code == 0, log[-8000:]
    assert f"seed corpus: files: {len(inputs(name))} " in log, "each input of the corpus was taken"
