import json
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Empty, Queue
from threading import Thread

ID = re.compile(r"\w{8}-\w{4}-\w{4}-\w{4}-\w{12}")
messages: Queue[str] = Queue()


class Chat(BaseHTTPRequestHandler):
    answer = 200

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        messages.put(json.loads(self.rfile.read(size))["text"])
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def next_message(seconds: float) -> str:
    try:
        return ID.sub("…", messages.get(timeout=seconds))
    except Empty:
        return "no message"


server = HTTPServer(("127.0.0.1", 0), Chat)
url = f"http://127.0.0.1:{server.server_port}/services/a-secret"
Thread(target=server.serve_forever, daemon=True).start()
