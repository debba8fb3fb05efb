import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

answers = []


class SlowRates(BaseHTTPRequestHandler):
    """Needs three seconds for each answer."""

    def do_GET(self):
        time.sleep(3)
        answers.append("EUR 1.08")
        self.send_response(200)
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), SlowRates)
url = f"http://127.0.0.1:{server.server_port}"
Thread(target=server.serve_forever, daemon=True).start()
