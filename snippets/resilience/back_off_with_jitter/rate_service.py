from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic

requests = Counter()
last_request = {}


class RateService(BaseHTTPRequestHandler):
    """Knows one day, and needs a quiet second before it answers."""

    def do_GET(self):
        now = monotonic()
        quiet = now - last_request.get(self.path, now)
        last_request[self.path] = now
        requests[self.path] += 1
        known = self.path == "/2026-03-01"
        self.send_response(404 if not known else 503 if quiet < 1 else 200)
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), RateService)
url = f"http://127.0.0.1:{server.server_port}"
Thread(target=server.serve_forever, daemon=True).start()
