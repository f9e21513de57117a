#!/usr/bin/env python3
"""Who may include whom: reads every #include of a file of this tree and fails on an edge that the table does not have.

    includes.py [ROOT]        checks the tree (default: the one this file lies in)
    includes.py --self-test   plants each kind of fault in a copy of the tree and shows that it is found
"""
import functools
import os
import re
import shutil
import sys
import tempfile

# A module may include itself and what stands behind it. The order is from the bottom up; "*" is everything.
BASE = ["base"]
PARTS = ["policy", "predict", "tune", "dispatch", "route", "sched", "alloc", "observe", "models", "traces"]
MAY = {
    "base": [],
    "part": BASE,
    "registry": ["part"] + BASE,                # names the tables of the parts by X-macro, includes none of them
    **{part: ["part"] + BASE for part in PARTS},
    "core": ["part"] + BASE,
    "curve": ["part"] + BASE,
    "calib": ["models", "part", "plots"] + BASE,
    "study": ["core", "curve", "models", "part"] + BASE,
    "api": ["study", "core", "part"] + BASE,    # sim/expertsim.[ch]
    "plots": BASE,
    "cli": ["*"],
    "tests": ["*"],
}
NEVER = {"cli": ["tests"]}                      # what even "*" does not reach
FILES = {"sim/registry.c": "registry", "sim/parts.def": "registry", "sim/expertsim.c": "api", "sim/expertsim.h": "api"}
TOPS = ["sim", "models", "traces", "calib", "plots", "tests"]
SUFFIXES = (".c", ".h", ".def", ".cu", ".m")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)


def source_files(root, suffixes=SUFFIXES):
    """Paths from the root, in a fixed order."""
    found = []
    for top in TOPS:
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders.sort()
            found += [os.path.relpath(os.path.join(folder, name), root) for name in sorted(names) if name.endswith(suffixes)]
    return found


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


@functools.cache                # self-tests read the same tree but for one file, again and again
def without_comments(text, strings=False):
    """The same text with comments (and what stands in quotes, if `strings`) blanked; lines stay where they are."""
    def blank(match):
        token = match.group(0)
        if token[0] == "/":
            return re.sub(r"[^\n]", " ", token)
        return token[0] + re.sub(r"[^\n]", " ", token[1:-1]) + token[-1] if strings else token
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def module_of(path):
    if path in FILES:
        return FILES[path]
    words = path.split("/")
    return words[1] if words[0] == "sim" and len(words) > 2 else words[0]


def target_of(root, path, name):
    """The file of this tree that an include means, or None: a header of the system."""
    for candidate in (name, os.path.normpath(os.path.join(os.path.dirname(path), name))):
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def fault_of(path, target):
    module, wanted = module_of(path), module_of(target)
    if module not in MAY:
        return f'module "{module}" is not in the table of who may include whom'
    if module != "tests" and not target.endswith((".h", "sim/parts.def")):
        return f"includes {target}: only headers are included"
    may = [module] + MAY[module]
    if wanted in NEVER.get(module, []) or (wanted not in may and "*" not in may):
        return f"{module} may not include {wanted} ({target}); it may include {', '.join(may)}"
    return None


def cycles(edges):
    """One line per file that reaches itself: the way round."""
    found, state = [], {}

    def visit(path, way):
        state[path] = "open"
        for target, line in edges.get(path, []):
            if state.get(target) == "open":
                found.append(f"{path}:{line}: includes go round: {' -> '.join((way + [path])[(way + [path]).index(target):] + [target])}")
            elif target not in state:
                visit(target, way + [path])
        state[path] = "done"

    for path in sorted(edges):
        if path not in state:
            visit(path, [])
    return found


def check(root):
    faults, edges = [], {}
    for path in source_files(root):
        text = without_comments(read(root, path))
        edges[path] = []
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            target = target_of(root, path, match.group(2))
            if target:
                edges[path].append((target, line))
                fault = fault_of(path, target)
            else:
                fault = f'"{match.group(2)}" is not there' if match.group(1) == '"' else None
            if fault:
                faults.append(f"{path}:{line}: {fault}")
    return faults + cycles(edges)


# --- self-test: (what is planted, file, line to add, what must be said) -----------------------------------------------------------------

PLANTS = [
    ("base includes a part", "sim/base/err.h", '#include "sim/part/part.h"', "base may not include part"),
    ("part includes core", "sim/part/view.h", '#include "sim/core/run.h"', "part may not include core"),
    ("core includes a policy", "sim/core/room.c", '#include "sim/policy/planted.h"', "core may not include policy"),
    ("a policy includes core", "sim/policy/lru.c", '#include "sim/core/state.h"', "policy may not include core"),
    ("a policy includes a predictor", "sim/policy/lru.c", '#  include "sim/predict/planted.h"', "policy may not include predict"),
    ("traces include models", "traces/csv.c", '#include "models/shape.h"', "traces may not include models"),
    ("study includes traces", "sim/study/feed.c", '#include "traces/trace.h"', "study may not include traces"),
    ("registry includes core", "sim/registry.c", '#include "sim/core/run.h"', "registry may not include core"),
    ("angle brackets hide nothing", "sim/base/rng.c", "#include <sim/core/run.h>", "base may not include core"),
    ("plots include core", "plots/planted.c", '#include "sim/core/run.h"', "plots may not include core"),
    ("the tool includes a test", "sim/cli/planted.c", '#include "tests/planted.h"', "cli may not include tests"),
    ("a source file is included", "sim/core/room.c", '#include "sim/core/store.c"', "only headers are included"),
    ("a header is missing", "sim/core/room.c", '#include "sim/core/no_such.h"', '"sim/core/no_such.h" is not there'),
    ("a folder that the table does not know", "sim/novel/planted.c", '#include "sim/base/err.h"', 'module "novel" is not in the table'),
    ("two headers include each other", "sim/base/err.h", '#include "sim/base/file.h"', "includes go round"),
]
SPARES = ["sim/policy/planted.h", "sim/predict/planted.h", "tests/planted.h"]


def copy_tree(root, to):
    for path in source_files(root, SUFFIXES + (".py", ".sh", ".json")):
        os.makedirs(os.path.dirname(os.path.join(to, path)), exist_ok=True)
        shutil.copyfile(os.path.join(root, path), os.path.join(to, path))


def append(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), "a", encoding="utf-8") as file:
        file.write(text)


def self_test(root):
    missed = 0
    with tempfile.TemporaryDirectory() as copy:
        copy_tree(root, copy)
        for path in SPARES:
            append(copy, path, "/* Planted. */\n")
        before = check(copy)
        for what, path, line, said in PLANTS:
            kept = read(copy, path) if os.path.exists(os.path.join(copy, path)) else None
            append(copy, path, line + "\n")
            new = [fault for fault in check(copy) if fault not in before]
            caught = any(said in fault and re.match(r"\S+:\d+: ", fault) for fault in new)
            print(f"{'caught' if caught else 'MISSED'}: {what}{'' if caught else f': {new}'}")
            missed += not caught
            os.remove(os.path.join(copy, path))
            if kept is not None:
                append(copy, path, kept)
    print(f"{len(PLANTS) - missed} of {len(PLANTS)} planted faults caught")
    return missed > 0


def main(check, self_test, suffixes):
    """What both scripts of rules do with their arguments; the exit status."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return self_test(here)
    root = arguments[0] if arguments else here
    faults = check(root)
    for fault in faults:
        print(fault)
    print(f"{len(source_files(root, suffixes))} files, {len(faults)} faults")
    return len(faults) > 0


if __name__ == "__main__":
    sys.exit(main(check, self_test, SUFFIXES))
