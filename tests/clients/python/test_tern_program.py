"""The `tern` program on a real server."""

import json
import os
import shutil
import subprocess
import unittest

import numpy as np
from PIL import Image

import harness
from tern import Client

PICTURES = harness.ROOT / "tests/engine/image/data"


class TernProgramTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.RealServer().__enter__()
        cls.addClassCleanup(cls.server.__exit__)
        with Client(cls.server.address) as client:
            client.upload(cls.server.model, "fashion")
        path = f"{harness.BIN}:{os.environ['PATH']}"
        cls.environment = {**os.environ, "PATH": path,
                           "TERN_SERVER": cls.server.address,
                           "XDG_CONFIG_HOME": str(cls.server.dir)}

    def run_bash(self, script):
        return subprocess.run(["bash", "-euo", "pipefail", "-c", script],
                              cwd=self.server.dir, env=self.environment,
                              capture_output=True, text=True, check=False)

    def test_logits_do_not_depend_on_the_batch(self):
        pixels = np.random.default_rng(5).integers(0, 256, (50, 28, 28),
                                                   np.uint8)
        folder = self.server.dir / "noise"
        folder.mkdir()
        for i, picture in enumerate(pixels):
            Image.fromarray(picture).save(folder / f"{i:02}.png")
        for batch in (1, 7, 50):
            done = self.run_bash(
                f"tern classify noise --model=fashion --batch={batch} "
                f"--dump_logits={batch}.f32 --json")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)["images"], 50)
        dumps = [(self.server.dir / f"{b}.f32").read_bytes()
                 for b in (1, 7, 50)]
        self.assertEqual(len(dumps[0]), 50 * 10 * 4)
        self.assertEqual(dumps[1:], [dumps[0]] * 2)
        with Client(self.server.address) as client:
            results = client.classify(pixels, model="fashion", logits=True)
        np.testing.assert_array_equal(
            np.frombuffer(dumps[0], "<f4").reshape(50, 10),
            np.array([r.logits for r in results], np.float32))

    def test_errors_come_from_the_server(self):
        done = self.run_bash("tern classify shoe.jpg --model=fashion")
        self.assertEqual(done.returncode, 1)
        shutil.copy(PICTURES / "rgb.png", self.server.dir / "rgb.png")
        done = self.run_bash("tern classify rgb.png --model=nobody")
        self.assertEqual(done.returncode, 1)
        self.assertIn("NOT_FOUND", done.stderr)
        self.assertIn("tern models list", done.stderr)
        done = self.run_bash("echo text | tern classify - --model=fashion")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not a JPEG or PNG", done.stdout)


if __name__ == "__main__":
    unittest.main()
