#!/usr/bin/python3
"""layers.py [ROOT [BUILD]]: who may include and call whom; prints each finding, exit status 1 if there was one.

README draws the folders of each program, lowest first: "worker   base < sign < ... < .", where "." is the program's own folder.
A file may include headers of its own folder and of folders before it, and may call what is defined there.  common stands below
every program; ctl and exporter are the single folders master/ctl and master/exporter.  Calls are read from the objects with nm.  A static table of functions, or a
function whose address is stored, is an undefined symbol like any call, so that both count.  A pointer that a lower folder declares
and a higher one fills in is no symbol: so the direction is turned where it must be.
"""

import os
import re
import subprocess
import sys

PROGRAMS = ("common", "master", "worker", "ctl", "exporter")
# Headers that every folder of the program may include; what is defined for them in a .c file of that name may be called.
FREE = ("worker/worker.h", "master/state.h", "master/agenda.h")
DRAWING = re.compile(r"^\s*(common|master|worker)\s+(\S+(?: < \S+)*)\s*$")
INCLUDE = re.compile(r'^#include "((?:common|master|worker)/[^"]+)"')
PRIVATE = re.compile(r"(^|[/_])private\.h$")
POINTER = re.compile(r"^\s+[\w\s*]*\(\*\w+\)\(", re.M)
STRUCT = re.compile(r"^struct (\w+) \{\n(.*?)^\}", re.M | re.S)

found = []


def finding(text):
    found.append(text)


def place(path):
    """(program, folder) of a file or header."""
    parts = path.split("/")
    if parts[:2] == ["master", "ctl"]:
        return "ctl", "."
    if parts[:2] == ["master", "exporter"]:
        return "exporter", "."
    return parts[0], "/".join(parts[1:-1]) or "."


def is_free(path):
    return path in FREE or path[:-2] + ".h" in FREE


def sources(root):
    """Paths below root of every .c and .h."""
    paths = []
    for program in ("common", "master", "worker"):
        for directory, _, names in os.walk(os.path.join(root, program)):
            paths += [os.path.relpath(os.path.join(directory, name), root) for name in names if name.endswith((".c", ".h"))]
    return sorted(paths)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def read_ranks(root, files):
    """{(program, folder): rank} as README draws it; the drawing and the tree must name the same folders."""
    ranks = {("ctl", "."): 0, ("exporter", "."): 0}
    drawn = set()
    for line in read(root, "README.md").splitlines():
        match = DRAWING.match(line)
        if match and match[1] not in drawn:
            drawn.add(match[1])
            ranks.update({(match[1], folder): rank for rank, folder in enumerate(match[2].split(" < "))})
    there = {place(path) for path in files}
    for program in ("common", "master", "worker"):
        if program not in drawn:
            finding(f'README.md: no line draws the folders of {program}, as in "{program}   lowest < next < ."')
            continue
        for _, folder in sorted(there - set(ranks)):
            if (program, folder) in there and (program, folder) not in ranks:
                finding(f"README.md: the drawing of {program} lacks the folder {folder}")
        for drawn_program, folder in sorted(set(ranks) - there):
            if drawn_program == program:
                finding(f"README.md: the drawing of {program} names {folder}, which has no file")
    return ranks


def wrong_way(ranks, source, target):
    """Why a file at source may not use one at target; None if it may.  Both are (program, folder)."""
    if source[0] != target[0]:
        return None if target[0] == "common" else f"{source[0]} uses nothing of {target[0]}"
    if source in ranks and target in ranks and ranks[target] > ranks[source]:
        return f"{source[1]} is below {target[1]}"
    return None


def check_includes(root, files, ranks):
    """Direction of the includes, and whose private headers are whose."""
    graph = {path: set() for path in files}
    for path in files:
        for number, line in enumerate(read(root, path).splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header = match[1]
            if header in graph:
                graph[path].add(header)
            here, there = place(path), place(header)
            if PRIVATE.search(header) and here != there:
                finding(f"{path}:{number}: {header} is private to its folder")
                continue
            why = wrong_way(ranks, here, there)
            if why and not (is_free(header) and here[0] == there[0]):
                finding(f"{path}:{number}: includes {header}: {why}")
    headers = {path: {h for h in graph[path] if h.endswith(".h")} for path in files if path.endswith(".h")}
    for circle in circles(headers):
        finding("circle of headers: " + " ".join(circle))


def check_free_headers(root, files):
    """What every folder sees holds no table of functions: through it a lower folder would call a higher one by name."""
    for path in files:
        if path in FREE:
            for name, body in STRUCT.findall(read(root, path)):
                if len(POINTER.findall(body)) > 1:
                    finding(f"{path}: struct {name} is a table of functions; its place is the header of the lowest folder that calls them")


def circles(graph):
    """Strongly connected components of more than one node, each sorted (Tarjan's algorithm)."""
    index, low, stack, out = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                out.append(sorted(stack[at:]))
            del stack[at:]
    for node in sorted(graph):
        if node not in index:
            visit(node)
    return out


def read_symbols(root, build, files):
    """({file.c: symbols that it defines for others}, {file.c: symbols that it takes from others})."""
    defined, used = {}, {}
    for path in files:
        if not path.endswith(".c"):
            continue
        target = os.path.join(build, path[:-2] + ".o")
        if not os.path.exists(target):
            finding(f"{path}: not built: {target} is missing")
            continue
        defined[path], used[path] = set(), set()
    if not used:
        return defined, used
    targets = {os.path.join(build, path[:-2] + ".o"): path for path in used}
    path = None
    for line in subprocess.run(["nm", "-A", "-P", "-g", *targets], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        name, _, rest = line.partition(": ")
        symbol, kind = rest.split()[:2]
        path = targets[name]
        if kind in "Uwv":
            used[path].add(symbol)
        else:
            defined[path].add(symbol)
    return defined, used


def check_calls(root, build, files, ranks):
    defined, used = read_symbols(root, build, files)
    for program in PROGRAMS:
        owners = {}
        for path in defined:
            if place(path)[0] in (program, "common"):
                owners.update({symbol: path for symbol in defined[path]})
        graph = {path: {} for path in used if place(path)[0] == program}
        for path in graph:
            for symbol in used[path]:
                owner = owners.get(symbol)
                if owner is None:  # of a library, or of another program: then this one does not link
                    continue
                graph[path].setdefault(owner, []).append(symbol)
            for owner, symbols in sorted(graph[path].items()):
                why = wrong_way(ranks, place(path), place(owner))
                if is_free(owner) and place(path)[0] == place(owner)[0]:
                    why = None
                elif is_free(path) and owner in graph and owner != path:
                    why = "every folder uses it, so it is below them all"
                if why:
                    finding(f"{path}: uses {', '.join(sorted(symbols))} of {owner}: {why}")
        inner = {path: {owner for owner in graph[path] if owner in graph and owner != path} for path in graph}
        for circle in circles(inner):
            finding(f"circle of {len(circle)} files: " + " ".join(circle))
            for path in circle:
                for owner in sorted(inner[path] & set(circle)):
                    finding(f"    {path} -> {owner}: {', '.join(sorted(graph[path][owner])[:6])}")


def main(root=".", build="build"):
    sys.setrecursionlimit(10000)
    files = sources(root)
    ranks = read_ranks(root, files)
    check_includes(root, files, ranks)
    check_free_headers(root, files)
    check_calls(root, build, files, ranks)
    for text in found:
        print(text)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
