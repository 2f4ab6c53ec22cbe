"""Makes plausible slips in the code, one at a time, and asks whether the tests notice.

    mutants.py [--jobs N] [--only WORDS] [--list] [FILE.toml ...]

A slip is an entry of a .toml file beside this program:

    [[slip]]
    name  = "the claim is left out of the statement that ends a task"   what is wrong after the slip
    file  = "worker/transfer/settle.c"                                  where
    find  = "AND claim = $2"                                            text that stands there exactly once
    put   = ""                                                          what replaces the text
    tests = ["tests/system/test_fence.py", "unit/test_settle"]          pytest's names, or unit tests of build/tests
    equivalent = "..."                                                  why no test can notice; the slip is not run

Each slip is applied to a copy of the tree, the copy is built, and the tests of the slip run there. A slip is caught when one of
them fails. All tests must pass in the copy before the first slip. Exit status 1: a slip could not be applied or built, or fewer
than 95 % were caught.
"""

import argparse
import concurrent.futures
import glob
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON = "/usr/bin/python3"
NEEDED = 0.95
TIMEOUT = 900  # seconds for the tests of one slip; a slip may make a test wait in vain


def load(files):
    """The slips of all files, each a dict with the name of its file in "list"."""
    slips = []
    for path in files:
        with open(path, "rb") as f:
            for slip in tomllib.load(f)["slip"]:
                missing = {"name", "file", "find", "put", "tests"} - set(slip)
                if missing:
                    raise SystemExit(f"mutants: {path}: {slip.get('name', '?')}: {', '.join(sorted(missing))} is missing")
                slips.append({**slip, "list": os.path.basename(path)})
    names = [slip["name"] for slip in slips]
    for name in names:
        if names.count(name) > 1:
            raise SystemExit(f"mutants: two slips have the name \"{name}\"")
    return slips


def check(slip):
    """Why the slip cannot be applied; None if it can."""
    path = os.path.join(ROOT, slip["file"])
    if not os.path.exists(path):
        return f"there is no file {slip['file']}"
    with open(path) as f:
        count = f.read().count(slip["find"])
    if count != 1:
        return f"its text stands {count} times in {slip['file']}"
    if slip["find"] == slip["put"]:
        return "it changes nothing"
    for test in slip["tests"]:
        name = test.partition("::")[0]
        source = f"tests/{name}.c" if name.startswith("unit/") else name
        if not os.path.exists(os.path.join(ROOT, source)):
            return f"there is no test {test}"
    return None


class Copy:
    """A copy of the tree with a build of its own."""

    def __init__(self, base, number, make):
        self.root = os.path.join(base, str(number))
        self.make = make
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
        for name in filter(None, files):
            name = name.decode()
            os.makedirs(os.path.dirname(os.path.join(self.root, name)), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), os.path.join(self.root, name))
        modules = os.path.join(ROOT, "tests", "node_modules")
        if os.path.exists(modules):
            os.symlink(os.path.realpath(modules), os.path.join(self.root, "tests", "node_modules"))
        # The unprivileged account of the tests reads the schema and runs the programs.
        for directory in (base, self.root):
            os.chmod(directory, 0o755)

    def build(self, tests=None):
        """Builds what the tests need; without tests, everything."""
        targets = {"all", "units"}
        if tests is not None and not any(test.startswith("tests/unit/") for test in tests):
            targets = {f"build/tests/{test}" if test.startswith("unit/") else "all" for test in tests}
        if "all" in targets:
            targets.add("build/tests/instant")
        return subprocess.run([*self.make, *sorted(targets)], cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, tests):
        """The name of the first command of which a test fails, with its output; (None, "") if all pass."""
        units = [test for test in tests if test.startswith("unit/")]
        system = [test for test in tests if not test.startswith("unit/")]
        commands = [[f"build/tests/{test}"] for test in units]
        if system:
            commands.append([PYTHON, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *system])
        for command in commands:
            try:
                done = subprocess.run(command, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                      env={**os.environ, "FERRY_BUILD": "build"}, timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                return " ".join(command), "no end within the time limit"
            if command[0] == PYTHON and done.returncode not in (0, 1):
                raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}")
            if done.returncode != 0:
                return " ".join(command), done.stdout
        return None, ""

    def try_slip(self, slip):
        """"caught", "survived" or "broken", and what there is to say."""
        path = os.path.join(self.root, slip["file"])
        with open(path) as f:
            before = f.read()
        try:
            with open(path, "w") as f:
                f.write(before.replace(slip["find"], slip["put"], 1))
            built = self.build(slip["tests"])
            if built.returncode != 0:
                return "broken", "it does not compile: " + built.stdout[-600:]
            command, output = self.run(slip["tests"])
            if command is None:
                return "survived", ""
            failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR", "not ok"))]
            return "caught", failed[0] if failed else command
        except RuntimeError as error:
            return "broken", str(error)
        finally:
            # A time stamp of now makes the next build see the old text.
            with open(path, "w") as f:
                f.write(before)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="slips of which the name, file or list contains this text")
    parser.add_argument("--list", action="store_true", help="check that each slip can be applied, and run none")
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()

    slips = load(options.files or sorted(glob.glob(f"{HERE}/*.toml")))
    slips = [s for s in slips if options.only in s["name"] or options.only in s["file"] or options.only in s["list"]]
    bad = [(slip, why) for slip in slips if (why := check(slip))]
    for slip, why in bad:
        print(f"broken    {slip['list']}: {slip['name']}: {why}")
    if options.list or bad:
        print(f"{len(slips)} slips, {len(bad)} of them cannot be applied")
        return 1 if bad else 0

    todo = [slip for slip in slips if "equivalent" not in slip]
    base = tempfile.mkdtemp(prefix="mutants-")
    copies = queue.Queue()
    try:
        make = ["make", "-s", f"CC={options.cc}", "BUILD=build", "OPT=-O1 -g"]
        for number in range(options.jobs):
            copy = Copy(base, number, make)
            built = copy.build()
            if built.returncode != 0:
                raise SystemExit("mutants: the tree does not build:\n" + built.stdout[-3000:])
            copies.put(copy)
        copy = copies.get()
        command, output = copy.run(sorted({test for slip in todo for test in slip["tests"]}))
        copies.put(copy)
        if command is not None:
            raise SystemExit(f"mutants: {command} fails without any slip:\n{output[-3000:]}")

        def one(slip):
            copy = copies.get()
            started = time.monotonic()
            try:
                verdict, what = copy.try_slip(slip)
            finally:
                copies.put(copy)
            print(f"{verdict:9} {slip['list']}: {slip['name']} ({time.monotonic() - started:.0f} s) {what}", flush=True)
            return verdict

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            verdicts = list(pool.map(one, todo))
    finally:
        shutil.rmtree(base, ignore_errors=True)

    caught, broken = verdicts.count("caught"), verdicts.count("broken")
    share = caught / len(verdicts) if verdicts else 1
    print(f"{len(verdicts)} slips: {caught} caught ({100 * share:.1f} %), {verdicts.count('survived')} survived, {broken} broken; "
          f"{len(slips) - len(todo)} more are equivalent")
    return 0 if share >= NEEDED and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
