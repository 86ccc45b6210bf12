"""A server for the tests: the real one, or one whose answers a test writes."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import grpc

from tern import _messages as pb
from tern._methods import METHODS

# Set by CMakeLists.txt.
BIN = pathlib.Path(os.environ["TERN_TEST_BIN"])
WRITE_MODEL = os.environ["TERN_TEST_WRITE_MODEL"]
ROOT = pathlib.Path(__file__).resolve().parents[3]


class RealServer:
    """tern-server on a free port, and the file of a LeNet-5."""

    def __enter__(self):
        self._dir = tempfile.TemporaryDirectory(prefix="tern_python_test.")
        self.dir = pathlib.Path(self._dir.name)
        self.model = self.dir / "lenet5.twn"
        subprocess.run([WRITE_MODEL, self.model, "1"], check=True)
        (self.dir / "repository").mkdir()
        ready = self.dir / "ready.json"
        with open(self.dir / "server.log", "wb") as log:
            self._process = subprocess.Popen(
                [BIN / "tern-server",
                 f"--model_repository={self.dir / 'repository'}",
                 "--grpc_address=127.0.0.1:0", "--http_address=127.0.0.1:0",
                 f"--ready_file={ready}"], stdout=log, stderr=log)
        while not ready.exists():
            if self._process.poll() is not None:
                raise RuntimeError((self.dir / "server.log").read_text())
            time.sleep(0.02)
        self.address = json.loads(ready.read_text())["grpc"]
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)
        self._dir.cleanup()


class FakeServer:
    """Answers of METHODS' names from `handlers`: (request, context) -> reply.

    An upload's handler gets the list of its messages.
    """

    def __init__(self):
        self.handlers = {}

    def __enter__(self):
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((_Handlers(self.handlers),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.address = f"127.0.0.1:{port}"
        return self

    def __exit__(self, *_):
        self._server.stop(None)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, handlers):
        self._handlers = handlers

    def service(self, details):
        for name, method in METHODS.items():
            if method.path != details.method or name not in self._handlers:
                continue
            handler = self._handlers[name]
            make = grpc.unary_unary_rpc_method_handler
            if method.streams_request:
                make = grpc.stream_unary_rpc_method_handler
                inner = handler
                handler = lambda stream, context: inner(list(stream), context)
            return make(handler,
                        request_deserializer=method.request.FromString,
                        response_serializer=method.response.SerializeToString)
        return None


def refuse(context, code, message, *details):
    """Ends a call with google.rpc details, as tern-server does."""
    status = pb.Status(code=code.value[0], message=message)
    for detail in details:
        any_detail = status.details.add()
        any_detail.type_url = ("type.googleapis.com/" +
                               detail.DESCRIPTOR.full_name)
        any_detail.value = detail.SerializeToString()
    context.set_trailing_metadata(
        (("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


def retry_in(seconds):
    info = pb.RetryInfo()
    info.retry_delay.seconds = int(seconds)
    info.retry_delay.nanos = int(seconds % 1 * 1e9)
    return info
