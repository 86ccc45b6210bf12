"""Calls a second of AsyncClient on a LeNet-5, beside a bare grpcio loop.

The bare loop calls the same server's health check with bytes in and bytes out:
what grpcio costs by itself. Rounds alternate, medians are compared. Fails
below 2,000 calls/s where that is also below 80 % of the bare loop.
"""

import asyncio
import statistics
import sys
import time

import grpc.aio
import numpy as np

import harness
from tern import AsyncClient, Client

CALLERS = 64
CALLS = 3000
ROUNDS = 5


async def rate(call):
    left = CALLS

    async def caller():
        nonlocal left
        while left > 0:
            left -= 1
            await call()
    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return CALLS / (time.perf_counter() - start)


async def measure(address):
    picture = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
    rates = {"bare": [], "tern": []}
    async with AsyncClient(address, model="lenet5") as client, \
            grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        await client.classify(picture)
        for _ in range(ROUNDS):
            rates["bare"].append(await rate(lambda: check(b"")))
            rates["tern"].append(
                await rate(lambda: client.classify(picture)))
    return {name: statistics.median(values) for name, values in rates.items()}


def main():
    with harness.RealServer() as server:
        with Client(server.address) as client:
            client.upload(server.model, "lenet5")
        rates = asyncio.run(measure(server.address))
    share = rates["tern"] / rates["bare"]
    print(f"AsyncClient {rates['tern']:.0f} calls/s, bare grpcio loop "
          f"{rates['bare']:.0f} calls/s, ratio {share:.2f}")
    return 0 if rates["tern"] >= 2000 or share >= 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
