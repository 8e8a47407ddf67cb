"""Looks on at a live view as the Foxglove app does, in its websocket protocol."""

import asyncio
import json
import struct
from typing import Any

import pytest

websockets = pytest.importorskip('websockets')

PROTOCOL = 'foxglove.sdk.v1'
MESSAGE_DATA = 1
SECONDS = 60


class Client:
    """What the Foxglove app does: reads what is advertised, subscribes, takes messages."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.channels: dict[str, dict[str, Any]] = {}
        self._topics: dict[int, str] = {}

    async def take(self) -> tuple[str, bytes] | None:
        """The next thing the server says; topic and bytes if it is a message."""
        said = await self._socket.recv()
        if isinstance(said, str):
            content = json.loads(said)
            for channel in content['channels'] if content['op'] == 'advertise' else ():
                self.channels[channel['topic']] = channel
            return None
        kind, subscription, _ = struct.unpack_from('<BIQ', said)
        return (self._topics[subscription], said[13:]) if kind == MESSAGE_DATA else None

    async def wait_for(self, *topics: str) -> None:
        while not set(topics) <= self.channels.keys():
            await self.take()

    async def subscribe(self, *topics: str) -> None:
        wanted = []
        for topic in topics:
            number = len(self._topics)
            self._topics[number] = topic
            wanted.append({'id': number, 'channelId': self.channels[topic]['id']})
        await self._socket.send(json.dumps({'op': 'subscribe', 'subscriptions': wanted}))


def connected(address: str) -> Any:
    return websockets.connect(address, subprotocols=[PROTOCOL], max_size=None)


async def collect(address: str, counts: dict[str, int]) -> tuple[Client, dict[str, list[bytes]]]:
    """Subscribe to topics once they are there and take so many messages of each."""
    got: dict[str, list[bytes]] = {topic: [] for topic in counts}
    async with connected(address) as socket:
        client = Client(socket)
        await client.wait_for(*counts)
        # The server advertises a channel a moment before it takes subscriptions to it.
        await asyncio.sleep(0.5)
        await client.subscribe(*counts)
        while any(len(got[topic]) < count for topic, count in counts.items()):
            if message := await client.take():
                got[message[0]].append(message[1])
    return client, got


def look(address: str, counts: dict[str, int]) -> tuple[Client, dict[str, list[bytes]]]:
    return asyncio.run(asyncio.wait_for(collect(address, counts), SECONDS))


def address_in(line: str) -> str:
    return next(word for word in line.split() if word.startswith('ws://'))
