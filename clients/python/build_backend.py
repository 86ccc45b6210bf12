"""setuptools, plus a protobuf compiler where the machine has none."""

import shutil

from setuptools.build_meta import *  # noqa: F401,F403
from setuptools import build_meta


def get_requires_for_build_wheel(config_settings=None):
    needed = build_meta.get_requires_for_build_wheel(config_settings)
    return needed + ([] if shutil.which("protoc") else ["grpcio-tools"])
