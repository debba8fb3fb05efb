"""Git's own server behind HTTP or HTTPS on loopback, which asks for a token."""

from __future__ import annotations

import os
import ssl
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import trustme

# No configuration of this machine helps Git, and it asks nobody.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


def git(*command: str) -> str:
    """Run Git as Ada, and return what it prints."""
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    return subprocess.check_output(["git", *author, *command], text=True)


class GitHost(BaseHTTPRequestHandler):
    """Ask for the token, and hand over to Git."""

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        self.server.given.append(b64decode(given).decode())
        if self.server.token not in self.server.given[-1].split(":"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        ended = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            stdout=subprocess.PIPE,
            env=os.environ
            | {
                "GIT_PROJECT_ROOT": self.server.folder,
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get(
                    "Content-Encoding", ""
                ),
            },
        )
        head, _, body = ended.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


@contextmanager
def git_host(folder: Path, token: str) -> Iterator[ThreadingHTTPServer]:
    """Serve the bare repositories below a folder.

    Args:
        folder: Where they are.
        token: The user or the password that Git must give.

    Yields:
        A server with its `address`, the credentials that it was `given`, the
        `token` and the `folder`.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHost)
    server.folder, server.token, server.given = folder, token, []
    server.address = f"127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def add_https(host: ThreadingHTTPServer) -> Path:
    """Let a host speak HTTPS, and return what `GIT_SSL_CAINFO` must name."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(host.folder / "authority.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    host.socket = context.wrap_socket(host.socket, server_side=True)
    return host.folder / "authority.pem"
