"""A tern-server of the build, started for a test."""

import atexit
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request


def free_folder():
    """A folder that goes when the test ends."""
    folder = tempfile.mkdtemp(prefix="tern-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


class TernServer:
    """`with TernServer(bin, repository, "--threads=1") as server:`"""

    def __init__(self, bin_folder, repository, *options):
        self.bin = pathlib.Path(bin_folder)
        self.repository = pathlib.Path(repository)
        self.options = options
        self.process = None

    def __enter__(self):
        ready = free_folder() / "ready.json"
        self.log = ready.with_name("server.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.bin / "tern-server", f"--model_repository={self.repository}",
                 "--grpc_address=127.0.0.1:0", "--http_address=127.0.0.1:0",
                 f"--ready_file={ready}", *self.options], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"tern-server did not get ready:\n{self.log.read_text()}")
            time.sleep(0.01)
        addresses = json.loads(ready.read_text())
        self.grpc = addresses["grpc"]
        self.http = addresses["http"]
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def scrape(self):
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=10) as reply:
            return reply.read()

    def client(self, *arguments, **options):
        """Runs `tern ARGUMENTS --server=...`; the caller judges the result."""
        return subprocess.run([self.bin / "tern", *arguments, f"--server={self.grpc}"],
                              capture_output=True, text=True, timeout=120, check=False, **options)

    def cpu_seconds(self):
        """CPU time that the process has used, from the scheduler (ns)."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            path = f"/proc/{self.process.pid}/task/{task}/schedstat"
            total += int(pathlib.Path(path).read_text().split()[0])
        return total * 1e-9
