#!/usr/bin/env python3
"""No compiler may contract or reorder floating point (engine/NUMERICS.md).

Every source of the tree must be compiled with -ffp-contract=off, and with no
flag that lets the compiler compute something else than what is written.

    check_compile_flags.py COMPILE_COMMANDS ROOT
"""

import json
import pathlib
import shlex
import sys

UNSAFE = {"-Ofast", "-ffast-math", "-funsafe-math-optimizations",
          "-fassociative-math", "-freciprocal-math", "-ffinite-math-only"}


def error(flags):
    unsafe = UNSAFE.intersection(flags)
    if unsafe:
        return f"is compiled with {', '.join(sorted(unsafe))}"
    contract = [f for f in flags if f.startswith("-ffp-contract=")]
    if contract[-1:] != ["-ffp-contract=off"]:
        return "is compiled without -ffp-contract=off"
    return None


def main():
    commands = pathlib.Path(sys.argv[1]).resolve()
    root = pathlib.Path(sys.argv[2]).resolve()
    checked, bad = 0, 0
    for entry in json.loads(commands.read_text()):
        source = pathlib.Path(entry["file"])
        # What the build generates computes nothing.
        if root not in source.parents or commands.parent in source.parents:
            continue
        checked += 1
        message = error(shlex.split(entry["command"]))
        if message:
            bad += 1
            print(f"{source.relative_to(root)}: {message}")
    if checked == 0:
        sys.exit(f"no source below {root}: wrong folder, or this check is blind")
    print(f"{checked} sources, {bad} errors")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
