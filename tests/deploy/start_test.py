#!/usr/bin/env python3
"""How long a server with one model takes from its start until it is ready.

    start_test.py --bin=FOLDER --model=FILE.twn [--starts=21]

Prints medians of the time on the wall and of the processor time. The latter is
judged, for it does not depend on what else the machine does: the image's bar of
300 ms cannot be met by a server that computes for longer.
"""

import argparse
import pathlib
import statistics
import sys
import time

from tern_server import TernServer, free_folder

MAX_READY_MS = 300


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, type=pathlib.Path)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--starts", type=int, default=21)
    arguments = parser.parse_args()

    version = free_folder() / "lenet5" / "1"
    version.mkdir(parents=True)
    (version / "model.twn").write_bytes(arguments.model.read_bytes())
    wall_ms, cpu_ms = [], []
    for _ in range(arguments.starts):
        start = time.perf_counter()
        with TernServer(arguments.bin, version.parents[1]) as server:
            wall_ms.append((time.perf_counter() - start) * 1e3)
            cpu_ms.append(server.cpu_seconds() * 1e3)
    print(f"ready after {statistics.median(wall_ms):.0f} ms "
          f"({min(wall_ms):.0f} to {max(wall_ms):.0f}), "
          f"{statistics.median(cpu_ms):.0f} ms of processor time; "
          f"medians of {arguments.starts} starts")
    return 0 if statistics.median(cpu_ms) <= MAX_READY_MS else 1


if __name__ == "__main__":
    sys.exit(main())
