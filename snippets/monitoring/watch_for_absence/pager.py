from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Empty, Queue
from threading import Thread

alerts: Queue[str] = Queue()


class Pager(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        alerts.put(self.rfile.read(size).decode())
        self.send_response(204)
        self.end_headers()


def next_alert(seconds: float) -> str:
    try:
        return alerts.get(timeout=seconds)
    except Empty:
        return "no alert"


server = HTTPServer(("127.0.0.1", 0), Pager)
url = f"http://127.0.0.1:{server.server_port}"
Thread(target=server.serve_forever, daemon=True).start()
