"""A small model hub on the loopback, which speaks as much of the real one's protocol as downloads need."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REVISION = 'a1' * 20


@dataclass
class Hub:
    """What the server has and does.

    Attributes:
        name: OWNER/NAME of its only model.
        folder: the model's files.
        gated: refuse all files until a licence is accepted.
        breaks_after: bytes of a large file that are all that it gives, whatever is asked for; 0 for no limit.
        damages: whether a byte of large files is changed on the way.
        ranges: what was asked for from the middle of a file, as it came.
    """

    name: str
    folder: Path
    gated: bool = False
    breaks_after: int = 0
    damages: bool = False
    ranges: list[str] = field(default_factory=list)
    url: str = ''

    def info(self) -> dict[str, Any]:
        """As /api/models/NAME?blobs=true answers."""
        siblings = []
        for path in sorted(self.folder.iterdir()):
            content = path.read_bytes()
            sibling: dict[str, Any] = {'rfilename': path.name, 'size': len(content)}
            sibling['blobId'] = hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest()
            if path.suffix == '.safetensors':
                sibling['lfs'] = {'sha256': sum_of(content), 'size': len(content), 'pointerSize': 130}
            siblings.append(sibling)
        return {'id': self.name, 'sha': REVISION, 'siblings': siblings, 'tags': [], 'downloads': 0}


def sum_of(content: bytes) -> str:
    """Hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at ``hub.url`` while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition('?')[0]
            api, files = f'/api/models/{hub.name}', f'/{hub.name}/resolve/{REVISION}/'
            if path in (api, f'{api}/revision/{REVISION}', f'{api}/revision/main'):
                self.answer(200, json.dumps(hub.info()).encode())
            elif path.startswith(api):
                self.answer(404, b'', {'X-Error-Code': 'RevisionNotFound'})
            elif not path.startswith(files):
                self.answer(404, b'', {'X-Error-Code': 'RepoNotFound'})
            elif hub.gated:
                self.answer(403, b'', {'X-Error-Code': 'GatedRepo'})
            else:
                self.file(hub.folder / path.removeprefix(files))

        def file(self, path: Path) -> None:
            content = path.read_bytes()
            etag, is_large = sum_of(content), path.suffix == '.safetensors'
            if hub.damages and is_large:
                content = content[:-1] + bytes([content[-1] ^ 255])
            asked = self.headers.get('Range', '')
            headers = {'ETag': f'"{etag}"', 'X-Repo-Commit': REVISION, 'Accept-Ranges': 'bytes'}
            start = 0
            if asked and self.command == 'GET':
                start = int(asked.removeprefix('bytes=').partition('-')[0])
                if start:
                    hub.ranges.append(asked)
                headers['Content-Range'] = f'bytes {start}-{len(content) - 1}/{len(content)}'
            cut = hub.breaks_after if is_large else 0
            self.answer(206 if start else 200, content[start:], headers, max(1, cut - start) if cut else 0)

        def answer(self, code: int, content: bytes, headers: dict[str, str] | None = None, cut: int = 0) -> None:
            self.send_response(code)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            if self.command == 'GET':
                self.wfile.write(content[:cut] if cut else content)
            self.close_connection = bool(cut)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    hub.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
