import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread


@contextmanager
def price_service(*answers: tuple[int, dict]) -> Iterator[str]:
    """Give these answers on loopback, one to each request."""
    left = iter(answers)

    class Service(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = next(left)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    server = HTTPServer(("127.0.0.1", 0), Service)
    Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
