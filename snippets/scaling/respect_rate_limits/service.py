"""Somebody else's service: it allows three calls in any two seconds."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from time import monotonic

calls: list[float] = []


class Rates(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        calls.append(monotonic())
        too_many = len(calls) > 3 and calls[-1] - calls[-4] < 2
        self.send_response(429 if too_many else 200)
        self.end_headers()
        if not too_many:
            self.wfile.write(b"1.08")


server = HTTPServer(("127.0.0.1", 0), Rates)
url = f"http://127.0.0.1:{server.server_port}"
Thread(target=server.serve_forever, daemon=True).start()
