#!/usr/bin/env python3
"""Trains every data set x quantiser x seed and prints the accuracies.

Resumable: a finished run leaves its result as JSON and is not repeated, an
interrupted one goes on from its checkpoint. The training's result does not
depend on the number of threads, so runs may share the machine:

  tests/bench/accuracy.py --bin=build/release/bin --out=build/accuracy \\
      --data=fashion=/usr/share/datasets/fashion-mnist [--data=NAME=DIR ...] \\
      --jobs=2 --threads=1
"""

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys
import time


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--out", default="build/accuracy")
    parser.add_argument("--data", action="append", metavar="NAME=DIR",
                        help="IDX folder; default: Debian's Fashion-MNIST")
    parser.add_argument("--quantizers", default="float,twn,bwn")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=2, help="of each run")
    parser.add_argument("--train_options", default="",
                        help="more options of tern-trainer train")
    return parser.parse_args()


def run_one(options, name, folder, quantizer, seed):
    out = pathlib.Path(options.out)
    base = out / f"{name}-{quantizer}-{seed}"
    result_file = base.with_suffix(".json")
    if result_file.exists():
        return json.loads(result_file.read_text())
    trainer = f"{options.bin}/tern-trainer"
    model = base.with_suffix(".twn")
    checkpoint = pathlib.Path(f"{model}.checkpoint")
    command = [trainer, "train", "--network=lenet5", f"--quantizer={quantizer}",
               f"--data=idx:{folder}", f"--seed={seed}", f"--output={model}",
               f"--threads={options.threads}", "--json",
               *options.train_options.split()]
    if checkpoint.exists():
        command.append("--resume")
    print("+", " ".join(command), file=sys.stderr, flush=True)
    start = time.monotonic()
    with open(base.with_suffix(".log"), "a") as log:
        trained = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, check=True)
    seconds = time.monotonic() - start
    evaluated = subprocess.run(
        [trainer, "evaluate", str(model), f"--data=idx:{folder}", "--compare",
         f"--threads={options.threads}", "--json"],
        stdout=subprocess.PIPE, check=True)
    result = {"train": json.loads(trained.stdout), "evaluate": json.loads(evaluated.stdout),
              "data": name, "quantizer": quantizer, "seed": seed,
              "train_seconds": seconds, "resumed": "--resume" in command,
              "file_bytes": model.stat().st_size}
    temporary = base.with_suffix(".tmp")
    temporary.write_text(json.dumps(result))
    temporary.rename(result_file)
    print(f"{base.name}: test top-1 {100 * result['evaluate']['top1']:.2f} %, "
          f"{seconds:.0f} s", file=sys.stderr, flush=True)
    return result


def print_table(results):
    print(f"{'data':<10} {'quantizer':<9} {'test top-1 by seed':<24} {'mean':>7} "
          f"{'float act.':>10} {'agree':>8} {'seconds':>8} {'bytes':>9}")
    for data in dict.fromkeys(r["data"] for r in results):
        means = {}
        for quantizer in dict.fromkeys(r["quantizer"] for r in results):
            rows = [r for r in results if r["data"] == data and r["quantizer"] == quantizer]
            top1 = [100 * r["evaluate"]["top1"] for r in rows]
            means[quantizer] = statistics.mean(top1)
            mean = lambda key: statistics.mean(100 * r["evaluate"][key] for r in rows)
            print(f"{data:<10} {quantizer:<9} {' '.join(f'{x:.2f}' for x in top1):<24} "
                  f"{means[quantizer]:7.2f} {mean('float_top1'):10.2f} "
                  f"{min(100 * r['evaluate']['agreement'] for r in rows):8.2f} "
                  f"{max(r['train_seconds'] for r in rows):8.0f} {rows[0]['file_bytes']:9d}")
        if {"float", "twn", "bwn"} <= means.keys():
            print(f"{data:<10} float - twn = {means['float'] - means['twn']:.2f}, "
                  f"twn - bwn = {means['twn'] - means['bwn']:.2f} points")


def main():
    options = parse_arguments()
    pathlib.Path(options.out).mkdir(parents=True, exist_ok=True)
    sources = [entry.split("=", 1) for entry in
               options.data or ["fashion=/usr/share/datasets/fashion-mnist"]]
    jobs = [(name, folder, quantizer, int(seed))
            for seed in options.seeds.split(",")
            for name, folder in sources
            for quantizer in options.quantizers.split(",")]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda job: run_one(options, *job), jobs))
    print_table(results)


if __name__ == "__main__":
    main()
