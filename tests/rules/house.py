#!/usr/bin/env python3
"""House rules that a compiler does not know: the library neither prints nor exits and has no globals; every file opens with a
comment and stays small; nothing is left "to do"; parts.def and the files of the parts agree.

    house.py [ROOT]        checks the tree (default: the one this file lies in)
    house.py --self-test   plants each kind of fault in a copy of the tree and shows that it is found
"""
import functools
import os
import re
import sys
import tempfile

from includes import append, copy_tree, main, read, source_files, without_comments

LIBRARY = ("sim/", "models/", "traces/", "calib/", "plots/")
NOT_LIBRARY = ("sim/cli/",)
LINES_MAX = 700
SCRIPTS = (".py", ".sh", ".h", ".c", ".def", ".cu", ".m")
FOLDERS = {                 # as meson.build has them
    "policy": "sim/policy", "predictor": "sim/predict", "dispatcher": "sim/dispatch", "router": "sim/route", "scheduler": "sim/sched",
    "allocator": "sim/alloc", "timing": "models", "tuner": "sim/tune", "observer": "sim/observe", "source": "traces", "probe": "calib",
}

ENDS = re.compile(r"\b(exit|_exit|_Exit|quick_exit|abort|system)\s*\(")
PRINTS = re.compile(r"\b(v?printf|puts|putchar|perror)\s*\(|\bstd(?:out|err)\b|\b(?:STDOUT|STDERR)_FILENO\b")
LEFT = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
# A definition of a variable: at file scope, or static anywhere. A "(" ends the match: functions and macros are none.
VARIABLE = re.compile(r"^(?:[ \t]*static|(?!typedef|extern|return|struct \w+;|union \w+;|enum|goto|else|case)[A-Za-z_]\w*)\b[^;={}()#]*\w[\[\]\w \t]*(?:=|;)", re.M)
POINTER_TO_FUNCTION = re.compile(r"^[ \t]*static[^;={}()#]*\(\*\s*(?!const\b)\w+[^)]*\)\s*\(", re.M)
TABLE = re.compile(r"^const es_(\w+?) es_\1_(\w+)\s*=", re.M)
PART = re.compile(r"^ES_PART\((\w+), (\w+)\)", re.M)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def is_library(path):
    return path.startswith(LIBRARY) and not path.startswith(NOT_LIBRARY)


def is_constant(definition):
    """The variable itself: behind the last star, when there is one."""
    head = re.split(r"[=;]", definition)[0]
    return re.search(r"\bconst\b", head.rsplit("*", 1)[-1]) is not None


def library_faults(path, code):
    for match in ENDS.finditer(code):
        yield line_of(code, match.start()), f"the library never ends the process: {match.group(1)}()"
    for match in PRINTS.finditer(code):
        yield line_of(code, match.start()), f"the library never prints: {match.group(0).rstrip('( ')}"
    for match in VARIABLE.finditer(code):
        if not is_constant(match.group(0)):
            yield line_of(code, match.start()), f"a global that is not const: {' '.join(match.group(0).split())}"
    for match in POINTER_TO_FUNCTION.finditer(code):
        yield line_of(code, match.start()), f"a global that is not const: {' '.join(match.group(0).split())}"


def opens_with_comment(path, text):
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#!")]
    first = lines[0].lstrip() if lines else ""
    return first.startswith(("#", '"""')) if path.endswith((".py", ".sh")) else first.startswith("/*")


def file_faults(path, text):
    lines = text.count("\n")
    if lines > LINES_MAX:
        yield lines, f"{lines} lines, the most is {LINES_MAX}: it tells two stories"
    if not opens_with_comment(path, text):
        yield 1, "the opening comment is missing"
    for match in LEFT.finditer(text):
        yield line_of(text, match.start()), f"something is left: {match.group(1)}"


def part_faults(root):
    """parts.def against the files."""
    listed, found, text = {}, {}, read(root, "sim/parts.def")
    for match in PART.finditer(text):
        kind, name = match.groups()
        where = f"sim/parts.def:{line_of(text, match.start())}"
        if (kind, name) in listed:
            yield f"{where}: {kind} {name} is there twice"
        listed[kind, name] = where
    for path in source_files(root, (".c",)):
        for kind, name in TABLE.findall(without_comments(read(root, path))):
            if is_library(path) and kind in FOLDERS:
                found[kind, name] = path
    for (kind, name), where in listed.items():
        path = f"{FOLDERS.get(kind, '?')}/{name}.c"
        if not os.path.isfile(os.path.join(root, path)):
            yield f"{where}: {path} is not there"
        elif found.get((kind, name)) != path:
            yield f"{where}: {path} does not define es_{kind}_{name}"
    for (kind, name), path in found.items():
        if (kind, name) not in listed:
            yield f"{path}:1: es_{kind}_{name} has no line in sim/parts.def"


@functools.cache
def all_file_faults(path, text):
    faults = list(file_faults(path, text))
    if is_library(path) and not path.endswith((".py", ".sh")):
        faults += library_faults(path, without_comments(text, strings=True))
    return [f"{path}:{line}: {fault}" for line, fault in faults]


def check(root):
    return list(part_faults(root)) + [fault for path in source_files(root, SCRIPTS) for fault in all_file_faults(path, read(root, path))]


# --- self-test: (what is planted, file, text to add, what must be said); None: nothing may be said ----------------------------------------

PLANTS = [
    ("exit in the library", "sim/base/err.c", "void planted(void) { exit(1); }\n", "never ends the process: exit()"),
    ("abort in a part", "sim/policy/lru.c", "void planted(void) { abort (); }\n", "never ends the process: abort()"),
    ("printf in core", "sim/core/room.c", 'void planted(void) { printf("x"); }\n', "never prints: printf"),
    ("a message on stderr", "traces/csv.c", 'void planted(void) { fprintf(stderr, "x"); }\n', "never prints: stderr"),
    ("puts in models", "models/table.c", 'void planted(void) { puts("x"); }\n', "never prints: puts"),
    ("a static variable", "sim/core/room.c", "static int planted;\n", "not const: static int planted"),
    ("a static variable with a value", "sim/core/room.c", "static int planted = 1;\n", "not const: static int planted"),
    ("a static array", "sim/core/room.c", "static unsigned char planted[16];\n", "not const: static unsigned char planted"),
    ("a variable others can see", "sim/core/room.c", "int planted = 1;\n", "not const: int planted"),
    ("a pointer to constants is no constant", "sim/core/room.c", 'static const char *planted = "x";\n', "not const: static const char *planted"),
    ("an array of pointers to constants", "sim/core/room.c", "static const char *planted[] = { 0 };\n", "not const: static const char *planted"),
    ("a variable inside a function", "sim/core/room.c", "int planted(void)\n{\n    static int calls = 0;\n    return calls++;\n}\n", "not const: static int calls"),
    ("a variable of a thread", "sim/core/room.c", "static _Thread_local int planted;\n", "not const: static _Thread_local int planted"),
    ("a pointer to a function", "sim/core/room.c", "static int (*planted)(void) = 0;\n", "not const: static int (*planted"),
    ("constants, declarations and quoted words", "sim/core/room.c", 'struct planted;\ntypedef struct planted planted;\nextern const int planted_far;\n'
     'static const char *const planted_names[] = { "exit(1)", "printf(stderr)" };   /* abort() */\nconst int planted_one = 1;\n'
     "static int (*const planted_call)(void) = 0;\nstatic inline int planted_two(int a)\n{\n    int b = a;\n    return b;\n}\n", None),
    ("something left over", "sim/core/room.c", "/* TO" + "DO: planted */\n", "something is left"),
    ("a file that is too long", "sim/core/room.c", "\n" * (LINES_MAX + 1), "it tells two stories"),
    ("a file without an opening comment", "sim/core/planted.c", "#include <stdio.h>\n/* late */\n", "the opening comment is missing"),
    ("a script without an opening comment", "tests/planted.sh", "#!/bin/sh\necho planted\n", "the opening comment is missing"),
    ("a line of parts.def without a file", "sim/parts.def", "ES_PART(policy, planted)\n", "sim/policy/planted.c is not there"),
    ("a line of parts.def twice", "sim/parts.def", "ES_PART(policy, lru)\n", "policy lru is there twice"),
    ("a part without a line in parts.def", "sim/policy/planted.c", "/* Planted. */\nconst es_policy es_policy_planted = { 0 };\n", "has no line in sim/parts.def"),
    ("a part in a file of another name", "sim/policy/planted_fault.c", "/* Planted. */\nconst es_policy es_policy_planted = { 0 };\n", "has no line in sim/parts.def"),
]


def planted(copy, before, path, text):
    """What is found more than `before` once `text` stands at the end of `path`."""
    kept = read(copy, path) if os.path.exists(os.path.join(copy, path)) else None
    append(copy, path, text)
    new = [fault for fault in check(copy) if fault not in before]
    os.remove(os.path.join(copy, path))
    if kept is not None:
        append(copy, path, kept)
    return new


def self_test(root):
    missed = 0
    with tempfile.TemporaryDirectory() as copy:
        copy_tree(root, copy)
        before = check(copy)
        for what, path, text, said in PLANTS:
            new = planted(copy, before, path, text)
            right = any(said in fault for fault in new) if said else not new
            print(f"{('caught' if said else 'passed') if right else 'WRONG'}: {what}{'' if right else f': {new}'}")
            missed += not right
    print(f"{len(PLANTS) - missed} of {len(PLANTS)} as they should be")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main(check, self_test, SCRIPTS))
