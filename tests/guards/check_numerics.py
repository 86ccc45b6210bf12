#!/usr/bin/env python3
"""Every promise of engine/NUMERICS.md names a test that exists.

A promise is an item of a list. The tests that prove it stand in it as
[`Suite.Name`, `Suite.Name/Parameter`, `name.of_a_ctest`].

    check_numerics.py ROOT
"""

import pathlib
import re
import sys

TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.MULTILINE)
CTEST = re.compile(r"^\s*add_test\(NAME (\S+)", re.MULTILINE)
BRACKET = re.compile(r"\[(`[^]]*`)\]")


def promises(text):
    """Yields (line, text) of each list item."""
    item, first = [], 0
    for number, line in enumerate(text.splitlines() + [""], 1):
        if item and line.startswith("  "):
            item.append(line.strip())
            continue
        if item:
            yield first, " ".join(item)
            item = []
        if line.startswith("- "):
            item, first = [line], number


def known_tests(tests):
    """Maps names of tests to the source that has them, "" for ctests."""
    known = {}
    for path in sorted(tests.rglob("*.cc")):
        source = path.read_text()
        for suite, name in TEST.findall(source):
            known[f"{suite}.{name}"] = source
    for path in sorted(tests.rglob("CMakeLists.txt")):
        known.update((name, "") for name in CTEST.findall(path.read_text()))
    return known


def errors(text, known):
    for line, promise in promises(text):
        named = [name for group in BRACKET.findall(promise)
                 for name in re.findall(r"`([^`]*)`", group)]
        if not named:
            yield line, f"names no test: {promise}"
        for name in named:
            test, _, parameter = name.partition("/")
            if test not in known:
                yield line, f"there is no test {test}"
            elif parameter and f'"{parameter}"' not in known[test]:
                yield line, f"{test} has no parameter {parameter}"


def main():
    root = pathlib.Path(sys.argv[1])
    text = (root / "engine/NUMERICS.md").read_text()
    count = len(list(promises(text)))
    if count == 0:
        sys.exit("engine/NUMERICS.md has no promise; did its format change?")
    found = list(errors(text, known_tests(root / "tests")))
    for line, message in found:
        print(f"engine/NUMERICS.md:{line}: {message}")
    print(f"{count} promises, {len(found)} errors")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
