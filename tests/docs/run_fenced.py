#!/usr/bin/env python3
"""Runs the fenced commands of a document, in order, as a reader would.

    run_fenced.py DOCUMENT --bin=FOLDER --root=SOURCE_FOLDER [--serve=MODEL.twn]

A fence opened with ```sh runs in bash (errors end it) in one scratch folder
for the whole document, with the built programs on the PATH and `make` replaced
by a check that its targets exist. A fence that a test cannot run says why:

    ```sh norun: needs a container engine

What a reader has lies in the folder: the pictures shoe.png, photos/a.jpg and
more/a.jpg. With --serve there is a server too, named by TERN_SERVER and
TERN_HTTP, which serves the model as `fashion`, and its file fashion.twn.

Servers that a fence starts in the background are ended when the document is
done. Other fences (text, json, python ...) are left alone, except that every
`text` fence right after an `sh` fence is that command's output: its first line
must come out again (numbers may differ).
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from tern_server import TernServer

FENCE = re.compile(r"^```(\w+)?[ ]*(.*)$")

MAKE_STUB = """#!/usr/bin/env bash
# Stands in for make: the targets must exist.
for target in "$@"; do
  case "$target" in -*|*=*) continue;; esac
  grep -qE "^$target:" "{root}/Makefile" || {{ echo "make: no target $target" >&2; exit 2; }}
done
"""


def fences(text):
    """Yields (line number, language, remark, body)."""
    lines = text.splitlines()
    i = 0
    while i < len(lines):
        match = FENCE.match(lines[i])
        if not match:
            i += 1
            continue
        start = i + 1
        end = start
        while end < len(lines) and not lines[end].startswith("```"):
            end += 1
        yield start, match[1] or "", match[2], "\n".join(lines[start:end])
        i = end + 1


def pattern_of(line):
    """A pattern that the line matches whatever its numbers are."""
    parts = re.split(r"\d+(?:[.,]\d+)*", line.strip())
    return r"\d+(?:[.,]\d+)*".join(re.sub(r"(\\?\s)+", r"\\s+", re.escape(part)) for part in parts)


class Shell:
    """One scratch folder and one environment for a document."""

    def __init__(self, bin_folder, root):
        self.scratch = tempfile.TemporaryDirectory(prefix="tern-docs-")
        stubs = pathlib.Path(self.scratch.name) / ".stubs"
        stubs.mkdir()
        make = stubs / "make"
        make.write_text(MAKE_STUB.format(root=root))
        make.chmod(0o755)
        self.state = pathlib.Path(self.scratch.name) / ".state"
        self.environment = dict(
            os.environ, PATH=f"{stubs}:{bin_folder}:{os.environ['PATH']}", TERN_SOURCE=root)
        self.groups = []
        self._copy_pictures(pathlib.Path(root) / "tests/engine/image/data")

    def _copy_pictures(self, data):
        for name, source in (("shoe.png", "grey_8.png"), ("photos/a.jpg", "grey.jpg"),
                             ("more/a.jpg", "grey.jpg")):
            target = pathlib.Path(self.scratch.name) / name
            target.parent.mkdir(exist_ok=True)
            shutil.copy(data / source, target)

    @contextlib.contextmanager
    def serving(self, bin_folder, model):
        """A server with the model `fashion`, as long as the block runs."""
        shutil.copy(model, pathlib.Path(self.scratch.name) / "fashion.twn")
        version = pathlib.Path(self.scratch.name) / ".repository/fashion/1"
        version.mkdir(parents=True)
        shutil.copy(model, version / "model.twn")
        with TernServer(bin_folder, version.parents[1]) as server:
            self.environment |= {"TERN_SERVER": server.grpc, "TERN_HTTP": server.http}
            yield

    def run(self, body, timeout):
        # Variables and background jobs of one fence are there in the next.
        script = (f"set -euo pipefail\n[[ ! -f {self.state} ]] || source {self.state}\n"
                  f"{body}\ndeclare -p | grep -vE '^declare -[a-zA-Z]*r|BASH|EUID|PPID|SHELLOPTS|UID' "
                  f">{self.state}\n")
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(["bash", "-c", script], cwd=self.scratch.name, stdout=output,
                                       stderr=subprocess.STDOUT, env=self.environment,
                                       start_new_session=True)
            self.groups.append(process.pid)
            status = process.wait(timeout=timeout)
            output.seek(0)
            return status, output.read()

    def close(self):
        for group in self.groups:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(group, sign)
                except ProcessLookupError:
                    break
        self.scratch.cleanup()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("document", type=pathlib.Path)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--serve", metavar="MODEL.twn")
    parser.add_argument("--timeout", type=float, default=540)
    arguments = parser.parse_args()

    shell = Shell(os.path.abspath(arguments.bin), os.path.abspath(arguments.root))
    ran = skipped = 0
    last_output = None
    with contextlib.ExitStack() as stack:
        stack.callback(shell.close)
        if arguments.serve:
            stack.enter_context(shell.serving(arguments.bin, arguments.serve))
        for line, language, remark, body in fences(arguments.document.read_text()):
            place = f"{arguments.document}:{line}"
            if language == "sh" and remark.startswith("norun:"):
                skipped += 1
                last_output = None
            elif language == "sh":
                status, last_output = shell.run(body, arguments.timeout)
                ran += 1
                if status != 0:
                    sys.exit(f"{place}: the command failed with {status}:\n{body}\n---\n{last_output}")
                if body.strip().startswith("make"):
                    last_output = None
            elif language == "text" and last_output is not None:
                first = next(filter(str.strip, body.splitlines()), "")
                if not re.search(pattern_of(first), last_output):
                    sys.exit(f"{place}: the shown output does not come out again:\n{first}\n---\n{last_output}")
                last_output = None
    print(f"{arguments.document}: {ran} fences ran, {skipped} are not for a test")
    if ran + skipped == 0:
        sys.exit(f"{arguments.document}: no sh fence")


if __name__ == "__main__":
    main()
