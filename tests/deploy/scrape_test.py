#!/usr/bin/env python3
"""What a scrape of many models costs the server.

    scrape_test.py --bin=FOLDER --model=FILE.twn --picture=FILE [--models=50]

Serves the model under 50 names, sends each a request so that all series exist,
and scrapes 100 times. Server time is the CPU time of the server's process over
the scrapes, nothing else being asked of it meanwhile. It is printed, not judged:
that every series is there is what can fail.
"""

import argparse
import pathlib
import statistics
import time

from tern_server import TernServer, free_folder


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, type=pathlib.Path)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--picture", required=True, type=pathlib.Path)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--scrapes", type=int, default=100)
    arguments = parser.parse_args()

    repository = free_folder()
    names = [f"model-{i:03d}" for i in range(arguments.models)]
    for name in names:
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "1" / "model.twn").write_bytes(arguments.model.read_bytes())
    with TernServer(arguments.bin, repository) as server:
        for name in names:
            result = server.client("classify", str(arguments.picture), f"--model={name}")
            assert result.returncode == 0, result.stderr
        text = server.scrape().decode()
        for name in names:
            assert f'tern_inferences_total{{model="{name}",version="1"}} 1' in text, name
        walls = []
        before = server.cpu_seconds()
        for _ in range(arguments.scrapes):
            start = time.perf_counter()
            server.scrape()
            walls.append(time.perf_counter() - start)
        cpu_ms = (server.cpu_seconds() - before) / arguments.scrapes * 1e3
    print(f"{arguments.models} models: {cpu_ms:.2f} ms of server CPU time a scrape, "
          f"median {statistics.median(walls) * 1e3:.2f} ms until answered, "
          f"{len(text) / 1024:.0f} KiB, {text.count(chr(10))} lines")


if __name__ == "__main__":
    main()
