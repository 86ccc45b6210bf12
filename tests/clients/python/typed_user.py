"""What a type checker has to make of a user's program; it is never run."""

import asyncio
from typing import List

import numpy as np
from PIL import Image
from typing_extensions import assert_type

from tern import AsyncClient, Client, Result


def one_or_many(client: Client) -> None:
    assert_type(client.classify("shoe.png"), Result)
    assert_type(client.classify(b"\x89PNG", top_k=3), Result)
    assert_type(client.classify(Image.new("L", (28, 28))), Result)
    assert_type(client.classify(["a.png", "b.png"]), List[Result])
    # Its shape says whether an array is one picture or many.
    results: List[Result] = client.classify(np.zeros((9, 28, 28), np.uint8))
    assert_type(results[0].classes[0].index, int)


async def awaited() -> None:
    async with AsyncClient("localhost:8500") as client:
        assert_type(await client.classify("shoe.png"), Result)
        assert_type(await client.classify(("a.png", "b.png")), List[Result])
        both = await asyncio.gather(client.classify("a.png"),
                                    client.classify("b.png"))
        assert_type(both[1].label, str)
