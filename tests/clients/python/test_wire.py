"""Pictures, requests and the retry rule, without a server."""

import io
import pathlib
import tempfile
import unittest

import grpc
import numpy as np
from PIL import Image

from tern import TernError, _wire

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class Pictures(unittest.TestCase):
    def test_paths_and_bytes_are_sent_as_they_are(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "a.jpg")
            path.write_bytes(b"\xff\xd8picture")
            for value in (path, str(path), b"\xff\xd8picture",
                          bytearray(b"\xff\xd8picture")):
                self.assertEqual(_wire.to_image(value).encoded,
                                 b"\xff\xd8picture")

    def test_arrays_are_raw_pixels(self):
        array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
        raw = _wire.to_image(array).raw
        self.assertEqual((raw.height, raw.width, raw.channels), (2, 4, 3))
        self.assertEqual(raw.pixels, bytes(range(24)))
        # A view that is not contiguous, and grey without a channel axis.
        raw = _wire.to_image(array[:, ::-1, 1]).raw
        self.assertEqual((raw.height, raw.width, raw.channels), (2, 4, 1))
        self.assertEqual(raw.pixels, bytes([10, 7, 4, 1, 22, 19, 16, 13]))

    def test_wrong_arrays_say_what_is_wanted(self):
        with self.assertRaisesRegex(TypeError, "want dtype uint8, got float"):
            _wire.to_image(np.zeros((2, 2)))
        with self.assertRaisesRegex(ValueError, r"got shape \(2, 2, 4\)"):
            _wire.to_image(np.zeros((2, 2, 4), np.uint8))
        with self.assertRaisesRegex(TypeError, "PIL image, got int"):
            _wire.to_image(5)
        # RGBA, not 28 pictures.
        with self.assertRaisesRegex(ValueError, "1 or 3 channels, got shape"):
            _wire.split_images(np.zeros((28, 28, 4), np.uint8))

    def test_pil_images_lose_nothing(self):
        pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
        picture = Image.fromarray(pixels)
        picture.getexif()[0x0112] = 6
        sent = Image.open(io.BytesIO(_wire.to_image(picture).encoded))
        np.testing.assert_array_equal(np.asarray(sent), pixels)
        self.assertEqual(sent.getexif()[0x0112], 6)
        for mode in ("CMYK", "F", "L", "P", "RGBA"):
            encoded = _wire.to_image(Image.new(mode, (3, 2))).encoded
            self.assertEqual(Image.open(io.BytesIO(encoded)).size, (3, 2))

    def test_what_is_a_batch(self):
        def count(shape):
            values, single = _wire.split_images(np.zeros(shape, np.uint8))
            return len(values), single
        self.assertEqual(count((28, 28)), (1, True))
        self.assertEqual(count((28, 28, 3)), (1, True))
        self.assertEqual(count((7, 28, 28)), (7, False))
        self.assertEqual(count((7, 28, 28, 1)), (7, False))
        self.assertEqual(_wire.split_images(["a.png"]), (["a.png"], False))
        self.assertEqual(_wire.split_images("a.png"), (["a.png"], True))

    def test_requests_are_bounded(self):
        requests = list(_wire.classify_requests([b"x"] * 70, "m", 3, 2, True))
        self.assertEqual([len(r.images) for r in requests], [32, 32, 6])
        self.assertEqual(requests[0].model.version, 3)
        large = [bytes(5 << 20)] * 3
        requests = list(_wire.classify_requests(large, "m", None, 2, False))
        self.assertEqual([len(r.images) for r in requests], [2, 1])
        self.assertIsNone(requests[0].model.WhichOneof("choice"))


class Retries(unittest.TestCase):
    def test_waits_as_the_server_says_and_up_to_a_quarter_more(self):
        for harmless in (True, False):
            delay = _wire.retry_delay(TernError(EXHAUSTED, "", 2.0), 1,
                                      harmless, 60)
            self.assertGreaterEqual(delay, 2.0)
            self.assertLessEqual(delay, 2.5)

    def test_doubles_its_own_wait_up_to_two_seconds(self):
        for attempt, longest in ((1, 0.05), (2, 0.1), (6, 1.6), (9999, 2)):
            delay = _wire.retry_delay(TernError(UNAVAILABLE, ""), attempt,
                                      True, 60)
            self.assertLessEqual(delay, longest)
            self.assertGreaterEqual(delay, longest / 2)

    def test_not_otherwise(self):
        retry = _wire.retry_delay
        self.assertIsNone(retry(TernError(UNAVAILABLE, ""), 1, False, 60))
        self.assertIsNone(retry(TernError(EXHAUSTED, ""), 1, True, 60))
        self.assertIsNone(retry(TernError(EXHAUSTED, "", 5.0), 1, True, 4))
        self.assertIsNone(
            retry(TernError(grpc.StatusCode.NOT_FOUND, "", 0.1), 1, True, 60))

    def test_garbled_details_are_ignored(self):
        error = _wire.error_of(EXHAUSTED, "busy",
                               [("grpc-status-details-bin", b"\xff\xff")])
        self.assertEqual((error.message, error.retry_after), ("busy", None))
        self.assertEqual(_wire.error_of(EXHAUSTED, None, None).message, "")


if __name__ == "__main__":
    unittest.main()
