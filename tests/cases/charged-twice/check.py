"""Each member pays once, also when the mail provider fails once."""

import json
import os
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

sys.path.insert(0, os.getcwd())
from billing import bill

asked: Counter[str] = Counter()


class Providers(BaseHTTPRequestHandler):
    """The payments and the mails, of which the second one is refused."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked[who := f"{self.path} {body.get('member') or body['to']}"] += 1
        down = who == "/mails tom" and asked[who] == 1
        self.send_response(503 if down else 200)
        self.end_headers()
        self.wfile.write(b"receipt")

    def log_message(self, *_: object) -> None: ...


with ThreadingHTTPServer(("127.0.0.1", 0), Providers) as server:
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    os.environ |= {"PAYMENTS_URL": url, "MAIL_URL": url}
    state = bill({"ines": "basic", "tom": "premium"}, return_state=True)
    server.shutdown()
paid = {who: count for who, count in asked.items() if who.startswith("/debits")}
assert paid == {"/debits ines": 1, "/debits tom": 1}, f"paid: {paid}"
assert asked["/mails tom"] == 2, "tom's mail was not tried again"
assert state.name == "Completed", state
