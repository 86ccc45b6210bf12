#!/usr/bin/env python3
"""No hot loop of a kernel may keep vectors on the stack.

A compiler that runs out of registers keeps accumulators in memory: everything
still works, at half the speed. This disassembles the given object files, finds
the innermost loops around multiply-accumulate instructions and fails where one
of them moves a vector from or to the stack.

    check_hot_loops.py OBJDUMP OBJECT...
"""

import re
import subprocess
import sys

# Of x86-64 and arm64; none means anything else on the other.
MULTIPLIES = re.compile(r"\b(vpdp[bw]\w+|vpmaddwd|vpmaddubsw|tdpbusd|udot)\b")
STACK = re.compile(r"^(?=.*%[xyz]mm).*\(%r[sb]p[,)]"
                   r"|^(?:ld|st)\w+\s.*\b[dqv]\d.*\[(?:sp|x29)[],]")
JUMP = re.compile(r"^(?:j\w+|b(?:\.\w+)?|cbn?z\s+\w+,|tbn?z\s+\w+, #\w+,)"
                  r"\s+([0-9a-f]+)\b")


def functions(objdump, path):
    """Yields (name, [(address, instruction)])."""
    text = subprocess.run(
        [objdump, "-dC", "--no-show-raw-insn", path],
        check=True, capture_output=True, text=True).stdout
    name, body = None, []
    for line in text.splitlines():
        head = re.match(r"^[0-9a-f]+ <(.*)>:$", line)
        if head:
            if name:
                yield name, body
            name, body = head.group(1), []
            continue
        code = re.match(r"^\s*([0-9a-f]+):\s+(.*)$", line)
        if code:
            body.append((int(code.group(1), 16), code.group(2)))
    if name:
        yield name, body


def hot_loops(body):
    """Spans from a backward jump's target to the jump that multiply, and hold
    no smaller ones that do."""
    loops = {}
    for address, code in body:
        jump = JUMP.match(code)
        if not jump or int(jump.group(1), 16) > address:
            continue
        first = int(jump.group(1), 16)
        loop = [code for at, code in body if first <= at <= address]
        if sum(bool(MULTIPLIES.search(code)) for code in loop) >= 4:
            loops[first, address] = loop
    for (first, last), loop in loops.items():
        if not any(first <= f and l <= last and (f, l) != (first, last)
                   for f, l in loops):
            yield loop


def main():
    objdump, objects = sys.argv[1], sys.argv[2:]
    hot, bad = 0, 0
    for path in objects:
        found = 0
        for name, body in functions(objdump, path):
            for loop in hot_loops(body):
                found += 1
                traffic = [code for code in loop if STACK.search(code)]
                if traffic:
                    bad += 1
                    print(f"{path}: a hot loop of {name} touches the stack:")
                    print("    " + "\n    ".join(traffic))
        hot += found
    if hot == 0:
        sys.exit("no hot loop found: wrong objects, or this check is blind")
    print(f"{hot} hot loops, {bad} of them touch the stack")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
