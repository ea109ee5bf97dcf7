"""A threaded server for rewards that are asked for by HTTP, of the standard library alone."""

from __future__ import annotations

import json
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, final

from plaudit.errors import InputError
from plaudit.integrations.hosting import Source
from plaudit.integrations.openrlhf import RemoteReward

LONGEST = 512 * 2**20
"""Most bytes of a request."""

_logger = logging.getLogger(__name__)


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # one request a rollout, all of a batch at once: five waiting ones would be refused
    made: RemoteReward
    path: str

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is no failure of the server's."""
        del request
        if isinstance(sys.exception(), ConnectionError):
            return _logger.info("%s went away", client_address)
        return _logger.exception("a request of %s failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listening

    def do_POST(self) -> None:
        """Answers with rewards; 404 for another path, 400 for what is no request. Scoring never fails one."""
        told = self.headers.get("Content-Length") or "0"
        if not told.isascii() or not told.isdigit():
            self.close_connection = True  # where the body ends is not known
            return self._send(400, {"error": f"Content-Length is {told!r}; give the number of bytes"})
        length = int(told)
        if length > LONGEST:
            self.close_connection = True  # the body stays unread
            return self._send(413, {"error": f"{length} bytes; the most is {LONGEST}"})
        body = self.rfile.read(length)
        if self.path != self.server.path:
            return self._send(404, {"error": f"no {self.path} here; POST to {self.server.path}"})
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError) as error:  # also bytes that are no text, and brackets without an end
            return self._send(400, {"error": f"not JSON: {error}"})
        try:
            return self._send(200, self.server.made.answer(payload))
        except InputError as error:
            return self._send(400, {"error": str(error)})

    def do_GET(self) -> None:
        """Says that the server is up."""
        if self.path == "/health":
            return self._send(200, {"status": "ok", "reward": self.server.made.reward.name})
        return self._send(404, {"error": f"POST to {self.server.path}"})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are logged for those who ask for it."""
        _logger.debug(format, *args)


@final
class RewardServer:
    """Serves a reward while it is entered, in threads of its own.

        with RewardServer("verify/math") as server:
            print(server.url)

    Args:
        reward: a reward, or a reference to one.
        host: address to listen at.
        port: 0 for any free one.
        path: where requests are posted.
        options: those of `plaudit.integrations.openrlhf.as_remote_reward`.
    """

    def __init__(
        self, reward: Source, host: str = "127.0.0.1", port: int = 0, path: str = "/get_reward", **options: Any
    ) -> None:
        made = RemoteReward(reward, **options)  # before the port is taken
        self._listening = _Listening((host, port), _Handler)
        self._listening.made, self._listening.path = made, path
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where requests are posted."""
        host, port = self._listening.server_address[:2]
        return f"http://{host!s}:{port}{self._listening.path}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._listening.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}
        )
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._listening.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._listening.server_close()

    def run(self) -> None:
        """Serves in this thread until it is interrupted."""
        try:
            self._listening.serve_forever()
        finally:
            self._listening.server_close()


def serve(reward: Source, host: str = "127.0.0.1", port: int = 5000, path: str = "/get_reward", **options: Any) -> None:
    """Serves a reward until interrupted.

    `POST {"query", "prompts", "labels"}` gives `{"rewards", "scores", "extra_logs"}`, as OpenRLHF's client asks for it.

    Args:
        reward: a reward, or a reference to one.
        host: address to listen at; `0.0.0.0` for other machines.
        port: where.
        path: where requests are posted.
        options: those of `plaudit.integrations.openrlhf.as_remote_reward`.
    """
    server = RewardServer(reward, host, port, path, **options)
    _logger.warning("%s is served at %s", reward if isinstance(reward, str) else type(reward).__name__, server.url)
    server.run()
