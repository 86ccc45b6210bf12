"""The Python client, its module program and its README on a real server."""

import asyncio
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

import grpc
import numpy as np
from PIL import Image

import harness
from tern import AsyncClient, Client, TernError

PICTURES = harness.ROOT / "tests/engine/image/data"


class RealServerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.RealServer().__enter__()
        cls.addClassCleanup(cls.server.__exit__)
        cls.client = Client(cls.server.address, model="lenet5")
        cls.addClassCleanup(cls.client.close)
        cls.uploaded = cls.client.upload(cls.server.model, "lenet5")

    def test_all_kinds_of_pictures_give_the_same_answer(self):
        rng = np.random.default_rng(1)
        pixels = rng.integers(0, 256, (28, 28), np.uint8)
        path = self.server.dir / "noise.png"
        Image.fromarray(pixels).save(path)
        results = [self.client.classify(value, logits=True) for value in
                   (path, str(path), path.read_bytes(), pixels,
                    pixels[:, :, None], Image.open(path))]
        self.assertEqual(len(results[0].logits), 10)
        for result in results[1:]:
            self.assertEqual(result.logits, results[0].logits)
        self.assertEqual(results[0].best.logit, max(results[0].logits))
        self.assertAlmostEqual(
            sum(c.probability for c in
                self.client.classify(path, top_k=10).classes), 1, places=6)

    def test_batches_equal_single_pictures(self):
        rng = np.random.default_rng(2)
        batch = rng.integers(0, 256, (75, 28, 28), np.uint8)
        together = self.client.classify(batch, logits=True)
        self.assertEqual(len(together), 75)
        for pixels, result in list(zip(batch, together))[::10]:
            alone = self.client.classify(pixels, logits=True)
            self.assertEqual(alone.logits, result.logits)

    def test_asyncio_gives_the_same(self):
        batch = np.random.default_rng(3).integers(0, 256, (40, 28, 28),
                                                  np.uint8)

        async def run():
            async with AsyncClient(self.server.address,
                                   model="lenet5") as client:
                self.assertTrue(await client.is_serving())
                together = await client.classify(batch, logits=True)
                alone = await asyncio.gather(
                    *(client.classify(p, logits=True) for p in batch))
                return together, alone
        together, alone = asyncio.run(run())
        self.assertEqual([r.logits for r in together],
                         [r.logits for r in alone])

    def test_a_bad_picture_fails_alone(self):
        results = self.client.classify(
            [PICTURES / "rgb.png", b"no picture", PICTURES / "grey.jpg"])
        self.assertIsNone(results[0].error)
        self.assertEqual(results[1].error.code,
                         grpc.StatusCode.INVALID_ARGUMENT)
        self.assertTrue(results[1].error.message.startswith(
            "image: not a JPEG or PNG"), results[1].error.message)
        self.assertIsNone(results[2].error)

    def test_errors_are_the_servers(self):
        with self.assertRaises(TernError) as caught:
            self.client.classify(PICTURES / "rgb.png", model="nobody")
        self.assertEqual(caught.exception.code, grpc.StatusCode.NOT_FOUND)
        self.assertIn("nobody", caught.exception.message)
        with self.assertRaises(TernError) as caught:
            self.client.classify(np.zeros((5, 5), np.uint8))
        self.assertEqual(caught.exception.code,
                         grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("28", caught.exception.message)

    def test_models_come_and_go(self):
        stored = self.client.upload(self.server.model, "other", version=7)
        self.assertEqual((stored.version, stored.existed), (7, False))
        again = self.client.upload(self.server.model, "other", version=7)
        self.assertTrue(again.existed)
        self.assertEqual(stored.digest, self.uploaded.digest)
        self.assertEqual([m.state for m in self.client.models("other")],
                         ["ready"])
        details = self.client.model("other")
        self.assertEqual((details.height, details.width, details.channels,
                          details.classes), (28, 28, 1, 10))
        self.client.unload("other", 7)
        self.assertEqual(self.client.models("other")[0].state, "unloaded")
        self.assertEqual(self.client.load("other", 7).state, "ready")
        self.client.delete("other", 7)
        self.assertEqual([m for m in self.client.models()
                          if m.model == "other"], [])

    def run_module(self, *arguments, input=None):
        done = subprocess.run(
            [sys.executable, "-m", "tern", f"--server={self.server.address}",
             *map(str, arguments)], input=input, capture_output=True,
            check=False)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done

    def test_python_m_tern(self):
        done = self.run_module("classify", PICTURES / "rgb.png",
                               "--model=lenet5", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["classes"]), 5)
        done = self.run_module("classify", PICTURES / "rgb.png", __file__,
                               "--model=lenet5")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: ", done.stdout)
        done = self.run_module("models")
        self.assertIn("lenet5  version 1  ready", done.stdout)
        done = self.run_module("classify", "/no/such.png", "-",
                               "--model=lenet5",
                               input=(PICTURES / "rgb.png").read_bytes())
        self.assertEqual(done.returncode, 1)
        missing, piped = done.stdout.splitlines()
        self.assertEqual(missing,
                         "/no/such.png  FAILED: No such file or directory")
        self.assertRegex(piped, r"^-  .+ \d+\.\d\d %, ")
        done = self.run_module("classify", PICTURES / "rgb.png", "--top_k=0")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "tern: top_k: want at least 1, got 0\n")
        done = self.run_module("--server=127.0.0.1:1", "--timeout=1", "models")
        self.assertEqual(done.returncode, 1)
        self.assertIn("does tern-server run there?", done.stderr)
        self.assertEqual(self.run_module("fly").returncode, 2)

    def test_the_readmes_examples_run(self):
        readme = (harness.ROOT / "clients/python/README.md").read_text()
        examples = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
        self.assertEqual(len(examples), 3)
        # The first one leaves the model's name out: a server of its own.
        with harness.RealServer() as server:
            with Client(server.address) as client:
                client.upload(server.model, "fashion")
            (server.dir / "shoe.png").write_bytes(
                (PICTURES / "grey_8.png").read_bytes())
            (server.dir / "broken.png").write_bytes(b"broken")
            (server.dir / "fashion.twn").write_bytes(
                server.model.read_bytes())
            before = pathlib.Path.cwd()
            os.chdir(server.dir)
            try:
                for example in examples:
                    out = io.StringIO()
                    with contextlib.redirect_stdout(out):
                        exec(example.replace("localhost:8500",
                                             server.address), {})
                    self.assertNotEqual(out.getvalue(), "")
            finally:
                os.chdir(before)


if __name__ == "__main__":
    unittest.main()
