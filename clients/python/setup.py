"""Adds the messages of proto/ to the package, as one descriptor file.

No generated code: tern/_messages.py builds the classes when it is imported,
with whatever protobuf release is installed.
"""

import pathlib
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
FILES = ["grpc/health/v1/health.proto", "google/rpc/error_details.proto",
         "tern/v1/inference.proto", "tern/v1/repository.proto"]


class BuildWithDescriptors(build_py):
    def run(self):
        super().run()
        target = pathlib.Path(self.build_lib, "tern", "descriptors.binpb")
        target = target.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        compiler = ([shutil.which("protoc")] if shutil.which("protoc") else
                    [sys.executable, "-m", "grpc_tools.protoc"])
        subprocess.run(compiler + [f"-I{PROTO}", "--include_imports",
                                   f"--descriptor_set_out={target}"] + FILES,
                       check=True)


setup(cmdclass={"build_py": BuildWithDescriptors})
