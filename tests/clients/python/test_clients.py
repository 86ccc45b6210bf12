"""Both clients against a server whose answers the test writes."""

import asyncio
import hashlib
import os
import pathlib
import tempfile
import time
import unittest

import grpc

import harness
from tern import AsyncClient, Client, TernError
from tern import _messages as pb


class Sync:
    """Runs Client's calls."""

    def __init__(self, address, **options):
        self._client = Client(address, **options)

    def call(self, name, *args, **kwargs):
        return getattr(self._client, name)(*args, **kwargs)

    def close(self):
        self._client.close()


class Async:
    """Runs AsyncClient's calls, each awaited in one event loop."""

    def __init__(self, address, **options):
        self._loop = asyncio.new_event_loop()

        async def make():
            return AsyncClient(address, **options)
        self._client = self._loop.run_until_complete(make())

    def call(self, name, *args, **kwargs):
        return self._loop.run_until_complete(
            getattr(self._client, name)(*args, **kwargs))

    def close(self):
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


class ClientTests:
    """Every test runs for both; KIND is Sync or Async."""

    KIND = None

    def setUp(self):
        self.server = harness.FakeServer().__enter__()
        self.addCleanup(self.server.__exit__)
        self.handlers = self.server.handlers
        self.client = self.make()

    def make(self, address=None, **options):
        client = self.KIND(address or self.server.address, **options)
        self.addCleanup(client.close)
        return client

    def answer_first_byte(self):
        """Classifies encoded pictures by their first byte; 'x' is refused."""
        self.requests = []

        def classify(request, context):
            self.requests.append(request)
            reply = pb.ClassifyResponse()
            reply.answered_by.model = request.model.name
            reply.answered_by.version = 3
            for image in request.images:
                result = reply.results.add(batch_size=4)
                if image.encoded[:1] == b"x":
                    result.status.code = 3
                    result.status.message = "not a picture"
                    continue
                result.classes.add(index=image.encoded[0], label="shoe",
                                   probability=0.75, logit=1.5)
                if request.return_logits:
                    result.logits.extend([1.5, -2])
            return reply
        self.handlers["Classify"] = classify

    def test_one_picture_is_one_result(self):
        self.answer_first_byte()
        result = self.client.call("classify", b"\x07", model="m", logits=True)
        self.assertEqual(result.classes, ((7, "shoe", 0.75, 1.5),))
        self.assertEqual((result.label, result.probability), ("shoe", 0.75))
        self.assertEqual(result.logits, (1.5, -2.0))
        self.assertEqual((result.model, result.version, result.batch_size),
                         ("m", 3, 4))

    def test_one_bad_picture_raises_and_in_a_list_fails_alone(self):
        self.answer_first_byte()
        with self.assertRaises(TernError) as caught:
            self.client.call("classify", b"x", model="m")
        self.assertEqual(caught.exception.code,
                         grpc.StatusCode.INVALID_ARGUMENT)
        results = self.client.call("classify", [b"\1", b"x", b"\2"], model="m")
        self.assertEqual([r.error is None for r in results],
                         [True, False, True])
        self.assertEqual(results[2].best.index, 2)
        with self.assertRaisesRegex(TernError, "not a picture"):
            results[1].label

    def test_long_lists_keep_their_order(self):
        self.answer_first_byte()
        values = [bytes([i]) for i in range(119)] * 3
        results = self.client.call("classify", values, model="m", version=9,
                                   top_k=2)
        self.assertEqual([r.best.index for r in results],
                         [v[0] for v in values])
        self.assertTrue(all(r.top_k == 2 and r.model.version == 9
                            for r in self.requests))
        self.assertEqual(self.client.call("classify", [], model="m"), [])

    def test_a_missing_file_raises_before_any_answer(self):
        self.answer_first_byte()
        with self.assertRaises(FileNotFoundError):
            self.client.call("classify", "/no/such.png", model="m")

    def test_the_only_model_need_not_be_named(self):
        self.answer_first_byte()
        listed = pb.ListModelsResponse()
        self.handlers["ListModels"] = lambda request, context: listed
        with self.assertRaisesRegex(TernError, "no model that is ready"):
            self.client.call("classify", b"\1")
        listed.models.add(model="a", version=1, state=3)
        listed.models.add(model="a", version=2, state=3)
        listed.models.add(model="broken", version=1, state=5)
        self.assertEqual(self.client.call("classify", b"\1").model, "a")
        listed.models.add(model="b", version=1, state=3)
        with self.assertRaisesRegex(TernError, "say which one.*a, b"):
            self.make().call("classify", b"\1")
        self.assertEqual(
            self.make(model="b").call("classify", b"\1").model, "b")

    def test_tries_again_when_pushed_back(self):
        calls = []

        def health(request, context):
            calls.append(time.monotonic())
            if len(calls) < 3:
                harness.refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED,
                               "busy", harness.retry_in(0.07))
            return pb.HealthCheckResponse(status=1)
        self.handlers["Check"] = health
        self.assertTrue(self.client.call("is_serving"))
        self.assertEqual(len(calls), 3)
        self.assertGreaterEqual(calls[1] - calls[0], 0.07)
        self.assertGreaterEqual(calls[2] - calls[1], 0.07)

    def test_classify_tries_again_as_well(self):
        self.answer_first_byte()
        inner, calls = self.handlers["Classify"], []

        def classify(request, context):
            calls.append(1)
            if len(calls) % 2 == 1:
                harness.refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED,
                               "busy", harness.retry_in(0.01))
            return inner(request, context)
        self.handlers["Classify"] = classify
        results = self.client.call("classify", [b"\1"] * 40, model="m")
        self.assertEqual(len(results), 40)
        self.assertGreaterEqual(len(calls), 3)

    def test_gives_up_after_max_attempts_and_at_the_deadline(self):
        calls = []

        def health(request, context):
            calls.append(1)
            harness.refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED,
                           "busy", harness.retry_in(self.wait))
        self.handlers["Check"] = health
        self.wait = 0.001
        client = self.make(max_attempts=2)
        with self.assertRaisesRegex(TernError, "busy"):
            client.call("is_serving")
        self.assertEqual(len(calls), 2)
        self.wait = 3600
        with self.assertRaises(TernError) as caught:
            client.call("is_serving")
        self.assertEqual(len(calls), 3)
        self.assertEqual(caught.exception.retry_after, 3600)

    def test_deadlines_hold(self):
        def health(request, context):
            while context.is_active():
                time.sleep(0.01)
            return pb.HealthCheckResponse()
        self.handlers["Check"] = health
        with self.assertRaises(TernError) as caught:
            self.make(timeout=0.1).call("is_serving")
        self.assertEqual(caught.exception.code,
                         grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_errors_name_the_fields(self):
        bad = pb.BadRequest()
        bad.field_violations.add(field="version", description="no such thing")
        self.handlers["GetModel"] = lambda request, context: harness.refuse(
            context, grpc.StatusCode.INVALID_ARGUMENT, "refused", bad)
        with self.assertRaisesRegex(TernError,
                                    "refused; version: no such thing"):
            self.client.call("model", "m", 7)

    def test_nobody_there(self):
        with self.assertRaises(TernError) as caught:
            self.make("127.0.0.1:1", max_attempts=2).call("models")
        self.assertEqual(caught.exception.code, grpc.StatusCode.UNAVAILABLE)

    def test_uploads_in_pieces(self):
        data = os.urandom(700_000)
        self.handlers["Upload"] = lambda messages, context: pb.UploadResponse(
            model=messages[0].start.model, version=4,
            digest=hashlib.sha256(
                b"".join(m.chunk for m in messages[1:])).hexdigest(),
            existed=messages[0].start.size == 700_000)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "a.twn")
            path.write_bytes(data)
            stored = self.client.call("upload", path, "m")
            self.assertEqual((stored.model, stored.version), ("m", 4))
            self.assertEqual(stored.digest, hashlib.sha256(data).hexdigest())
            self.assertTrue(stored.existed)
            self.handlers["Upload"] = (
                lambda messages, context: pb.UploadResponse(digest="other"))
            with self.assertRaisesRegex(TernError, "the server stored other"):
                self.client.call("upload", path, "m")

    def test_an_unnumbered_upload_is_repeated_only_when_pushed_back(self):
        calls = []

        def upload(messages, context):
            calls.append(1)
            if len(calls) == 1:
                harness.refuse(context, grpc.StatusCode.UNAVAILABLE,
                               "draining", harness.retry_in(0.001))
            context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        self.handlers["Upload"] = upload
        with self.assertRaisesRegex(TernError, "lost"):
            self.client.call("upload", __file__, "m")
        self.assertEqual(len(calls), 2)


class SyncTest(ClientTests, unittest.TestCase):
    KIND = Sync


class AsyncTest(ClientTests, unittest.TestCase):
    KIND = Async


if __name__ == "__main__":
    unittest.main()
