"""python -m tern: classify pictures, list models."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import List, Optional

from tern import Client, TernError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tern",
                                     description=__doc__)
    parser.add_argument("--server", metavar="HOST:PORT",
                        default=os.environ.get("TERN_SERVER",
                                               "localhost:8500"),
                        help="gRPC address (TERN_SERVER; localhost:8500)")
    parser.add_argument("--timeout", type=float, default=30.0,
                        metavar="SECONDS")
    commands = parser.add_subparsers(dest="command", required=True)
    classify = commands.add_parser("classify", help="say what pictures show")
    classify.add_argument("pictures", nargs="+", metavar="PATH")
    classify.add_argument("--model", default=os.environ.get("TERN_MODEL"),
                          help="TERN_MODEL; not needed where there is one")
    classify.add_argument("--top_k", type=int, default=5, metavar="K")
    classify.add_argument("--json", action="store_true")
    models = commands.add_parser("models", help="list the server's models")
    models.add_argument("--json", action="store_true")
    return parser


def _classify(client: Client, options: argparse.Namespace) -> int:
    results = client.classify(options.pictures, model=options.model,
                              top_k=options.top_k)
    for path, result in zip(options.pictures, results):
        if options.json:
            print(json.dumps({
                "source": path,
                "error": result.error and result.error.message,
                "classes": [c._asdict() for c in result.classes]}))
        elif result.error is not None:
            print(f"{path}  FAILED: {result.error.message}")
        else:
            print(f"{path}  " + ", ".join(
                f"{c.label or c.index} {100 * c.probability:.2f} %"
                for c in result.classes))
    return int(any(r.error is not None for r in results))


def _models(client: Client, options: argparse.Namespace) -> int:
    for model in client.models():
        if options.json:
            print(json.dumps(vars(model)))
        else:
            print(f"{model.model}  version {model.version}  {model.state}"
                  f"  {model.error}".rstrip())
    return 0


def main(arguments: Optional[List[str]] = None) -> int:
    options = _parser().parse_args(arguments)
    run = {"classify": _classify, "models": _models}[options.command]
    try:
        with Client(options.server, timeout=options.timeout) as client:
            return run(client, options)
    except (TernError, OSError) as error:
        print(f"tern: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
