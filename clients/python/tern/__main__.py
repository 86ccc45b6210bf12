"""python -m tern: classify pictures, list models."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Iterator, List, Optional, Sequence, Tuple, Union

import grpc

from tern import ClassScore, Client, TernError


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
    classify.add_argument("pictures", nargs="+", metavar="PATH",
                          help="JPEG and PNG files; - is standard input")
    classify.add_argument("--model", default=os.environ.get("TERN_MODEL"),
                          help="TERN_MODEL; not needed where there is one")
    classify.add_argument("--top_k", type=int, default=5, metavar="K")
    classify.add_argument("--json", action="store_true")
    models = commands.add_parser("models", help="list the server's models")
    models.add_argument("--json", action="store_true")
    return parser


def _read(paths: List[str]) -> Iterator[Union[bytes, str]]:
    """Bytes of each file, or why it cannot be read."""
    for path in paths:
        try:
            if path == "-":
                yield sys.stdin.buffer.read()
            else:
                with open(path, "rb") as file:
                    yield file.read()
        except OSError as error:
            yield error.strerror or str(error)


def _print(path: str, error: Optional[str], classes: Sequence[ClassScore],
           as_json: bool) -> None:
    if as_json:
        print(json.dumps({"source": path, "error": error,
                          "classes": [c._asdict() for c in classes]}))
    elif error is not None:
        print(f"{path}  FAILED: {error}")
    else:
        print(f"{path}  " + ", ".join(
            f"{c.label or c.index} {100 * c.probability:.2f} %"
            for c in classes))


def _classify(client: Client, options: argparse.Namespace) -> int:
    failed = 0
    # What cannot be read fails alone, as what cannot be decoded does.
    read = list(_read(options.pictures))
    results = iter(client.classify(
        [r for r in read if isinstance(r, bytes)], model=options.model,
        top_k=options.top_k))
    for path, content in zip(options.pictures, read):
        if isinstance(content, str):
            error: Optional[str] = content
            classes: Tuple[ClassScore, ...] = ()
        else:
            result = next(results)
            error = None if result.error is None else result.error.message
            classes = result.classes
        _print(path, error, classes, options.json)
        failed += error is not None
    return int(failed > 0)


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
    except (TernError, ValueError) as error:
        print(f"tern: {error}", file=sys.stderr)
        if (isinstance(error, TernError) and
                error.code == grpc.StatusCode.UNAVAILABLE):
            print(f"no answer from {options.server}: does tern-server run "
                  "there? --server or TERN_SERVER names its gRPC address",
                  file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
