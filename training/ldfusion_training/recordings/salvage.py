"""What is left of damaged rosbag2 recordings: read from the start up to the damage, file by file, without metadata."""

import io
import re
import sqlite3
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple
from zlib import crc32

import apsw
from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.storage_mcap import McapReader

from ldfusion_models.errors import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZstdError = zstd.ZstdError
# What rosbags raises where a recording is damaged.
DAMAGES = (ReaderError, OSError, apsw.Error, ZstdError, RuntimeError, ValueError, TypeError, EOFError)
SUFFIXES = ('.mcap', '.db3', '.mcap.zstd', '.db3.zstd')
MCAP_MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 2, 3, 4, 5, 6
# No recorder writes larger pieces; a length beyond is damage.
LARGEST_RECORD = 1 << 30
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
COPIED_BYTES = 1 << 20


class RawMessage(NamedTuple):
    """One message as it is stored; ``log_ns`` is when it was recorded."""

    topic: str
    type: str
    log_ns: int
    data: bytes


class Salvage:
    """The readable messages of a recording's files.

    Attributes:
        topics: names with their types.
        counts: readable messages by topic.
        problems: one line for each file that can't be read to its end.
    """

    def __init__(self, bag: Path) -> None:
        """Look through all files once.

        Raises:
            InputError: no file of a recording, or not one message in them.
        """
        self._files = storage_files(bag)
        if not self._files:
            raise InputError(f'{bag}: holds no recording ({", ".join(SUFFIXES)})')
        self.topics: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        for path in self._files:
            read = 0
            try:
                for message in _messages(path):
                    read += 1
                    self.topics[message.topic] = message.type
                    self.counts[message.topic] += 1
            except _DamageError as damage:
                self.problems.append(f'{path.name}: {damage}; {read} messages could be read')
        if not self.topics:
            raise InputError(f'{bag}: not a readable rosbag2 recording ({"; ".join(self.problems) or "no messages"})')

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """The readable messages of some topics, in the order in which they were recorded."""
        for path in self._files:
            try:
                yield from (message for message in _messages(path) if message.topic in topics)
            except _DamageError:
                continue


def storage_files(bag: Path) -> list[Path]:
    """The files that hold a recording's messages, in order of their numbers; ``bag`` may be one itself."""
    if bag.is_file():
        return [bag] if bag.name.endswith(SUFFIXES) else []
    found = [path for path in bag.iterdir() if path.name.endswith(SUFFIXES)]
    return sorted(found, key=_natural_order)


def _natural_order(path: Path) -> list[int | str]:
    """Splits a name so that 2 comes before 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', path.name)]


class _DamageError(Exception):
    """Where a file can't be read any further, and why."""


def _messages(path: Path) -> Iterator[RawMessage]:
    """A file's messages up to its damage, which then is raised."""
    if path.suffix == '.zstd':
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / path.stem
            damage = _decompress(path, plain)
            yield from _messages(plain)
        if damage:
            raise _DamageError(damage)
    elif path.suffix == '.mcap':
        yield from _mcap_messages(path)
    else:
        yield from _sqlite_messages(path)


def _decompress(source: Path, target: Path) -> str:
    """Decompress as far as possible; returns what is wrong, if anything is."""
    decompressor = zstd.ZstdDecompressor()
    with source.open('rb') as compressed, target.open('wb') as plain:
        try:
            while block := compressed.read(COPIED_BYTES):
                plain.write(decompressor.decompress(block))
        except (zstd.ZstdError, EOFError) as error:
            return f'its compression is damaged ({error})'
    return '' if decompressor.eof else 'is truncated'


def _mcap_messages(path: Path) -> Iterator[RawMessage]:
    whole = McapReader(path)
    try:
        whole.open()
    except DAMAGES:
        with path.open('rb') as file:
            yield from _damaged_mcap_messages(file)
        return
    try:
        for connection, log_ns, data in whole.messages(whole.connections):
            yield RawMessage(connection.topic, connection.msgtype, log_ns, _plain(data))
    except DAMAGES as error:
        raise _DamageError(f'is damaged ({error})') from error
    finally:
        whole.close()


def _damaged_mcap_messages(file: IO[bytes]) -> Iterator[RawMessage]:
    if file.read(len(MCAP_MAGIC)) != MCAP_MAGIC:
        raise _DamageError('is no MCAP file')
    reader = _McapReader()
    last, damages = 0, []
    for code, body in _mcap_records(file):
        last = code
        if code == CHUNK:
            # Recorders interleave topics within a chunk; in time order, as undamaged recordings are read.
            content, damage = _chunk_content(body)
            yield from sorted(reader.messages(_mcap_records(content, inside=True)), key=lambda message: message.log_ns)
            damages += [damage] if damage else []
        else:
            yield from reader.messages([(code, body)])
    if last != FOOTER:
        damages.append('is truncated')
    if damages:
        raise _DamageError(damages[0])


def _mcap_records(file: IO[bytes], inside: bool = False) -> Iterator[tuple[int, bytes]]:
    """Codes and contents of records up to the footer; a last one that is cut is given only if it is a chunk."""
    while len(head := file.read(9)) == 9:
        code, length = struct.unpack('<BQ', head)
        if length > LARGEST_RECORD:
            raise _DamageError(f'is damaged at byte {file.tell() - 9}')
        body = file.read(length)
        if len(body) == length or (code == CHUNK and not inside):
            yield code, body
        if code == FOOTER or len(body) < length:
            return


def _chunk_content(body: bytes) -> tuple[IO[bytes], str]:
    """A chunk's records as far as they can be decompressed, and what is wrong."""
    stream = io.BytesIO(body)
    head = stream.read(28)
    compression = _text(stream)
    length = stream.read(8)
    if len(head) < 28 or len(length) < 8:
        return io.BytesIO(), 'is truncated'
    try:
        content = _decompress_chunk(compression, stream.read())
    except (RuntimeError, ValueError, EOFError, ZstdError) as error:
        return io.BytesIO(), f'a chunk is damaged ({error})'
    size, checksum = struct.unpack('<QI', head[16:28])
    if len(content) < size:
        return io.BytesIO(content), 'is truncated'
    if checksum and crc32(content) != checksum:
        return io.BytesIO(), 'a chunk is damaged (checksum)'
    return io.BytesIO(content), ''


def _decompress_chunk(compression: str, stored: bytes) -> bytes:
    if compression == 'zstd':
        content: bytes = zstd.ZstdDecompressor().decompress(stored)
        return content
    if compression == 'lz4':
        plain: bytes = LZ4FrameDecompressor().decompress(stored)
        return plain
    if compression:
        raise ValueError(f'compression {compression!r} is unknown')
    return stored


class _McapReader:
    """Knows a file's schemas and channels while its records pass by."""

    def __init__(self) -> None:
        self._types: dict[int, str] = {}
        self._channels: dict[int, tuple[str, int]] = {}

    def messages(self, records: Iterable[tuple[int, bytes]]) -> Iterator[RawMessage]:
        for code, body in records:
            stream = io.BytesIO(body)
            if code == SCHEMA:
                number = _number(stream)
                self._types[number] = _text(stream)
            elif code == CHANNEL:
                number, schema = _number(stream), _number(stream)
                self._channels[number] = (_text(stream), schema)
            elif code == MESSAGE:
                channel, _, log_ns, _ = struct.unpack('<HIQQ', stream.read(22))
                topic, schema = self._channels.get(channel, ('', 0))
                if schema in self._types:
                    yield RawMessage(topic, self._types[schema], log_ns, _plain(stream.read()))


def _sqlite_messages(path: Path) -> Iterator[RawMessage]:
    connection = sqlite3.connect(f'file:{path.resolve()}?mode=ro&immutable=1', uri=True)
    try:
        # Else SQLite refuses a file that is shorter than it was.
        connection.execute('PRAGMA writable_schema=ON')
        topics = {
            number: (name, kind) for number, name, kind in connection.execute('SELECT id, name, type FROM topics')
        }
        # By number, that is as stored: the index by time lies at the end, where truncated files have nothing.
        for number, log_ns, data in connection.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY id'):
            if number in topics:
                yield RawMessage(*topics[number], log_ns, _plain(data))
    except (sqlite3.DatabaseError, OverflowError) as error:
        raise _DamageError(f'is damaged ({error})') from error
    finally:
        connection.close()


def _plain(data: bytes) -> bytes:
    """A message without the compression that recorders may put on each; CDR never begins like it."""
    return zstd.decompress(data) if data[:4] == ZSTD_MAGIC else data


def _number(stream: IO[bytes]) -> int:
    return int.from_bytes(stream.read(2), 'little')


def _text(stream: IO[bytes]) -> str:
    length = int.from_bytes(stream.read(4), 'little')
    return stream.read(length).decode(errors='replace')
