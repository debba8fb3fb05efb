"""A web shop, stores and a chat for alerts, on this machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

TOKEN = "only-here"  # noqa: S105
DAY = date(2026, 3, 1)
STORES = {"berlin": [500, 250], "hamburg": [100]}


class Shop:
    """A web shop with the same sales on each day.

    Attributes:
        url: Its address.
        sales: What its customers paid, in cents.
        refusals: The status codes with which it answers first.
        asked: The days that it was asked for.
        alerts: The texts that came to the chat.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self.begin()

    def begin(self) -> None:
        """Forget what was."""
        self.sales: list[object] = [1200, 800]
        self.refusals: list[int] = []
        self.asked: list[str] = []
        self.alerts: list[str] = []

    def answer(self, day: str, authorization: str | None) -> tuple[int, object]:
        """The status code and the content of an answer."""
        self.asked.append(day)
        if authorization != f"Bearer {TOKEN}":
            return 401, None
        if self.refusals:
            return self.refusals.pop(0), None
        return 200, [
            {"order_id": f"{day}-{number}", "cents": cents}
            for number, cents in enumerate(self.sales)
        ]


@contextmanager
def open_shop() -> Iterator[Shop]:
    """Run the web shop until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            day = parse_qs(url.query)["day"][0]
            self.say(*shop.answer(day, self.headers["Authorization"]))

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            shop.alerts.append(json.loads(self.rfile.read(size))["text"])
            self.say(200, None)

        def say(self, status: int, content: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shop = Shop(server.server_port)
    Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()


def send_files(folder: Path, day: date = DAY) -> None:
    """Do what the stores do at night."""
    folder = folder / str(day)
    folder.mkdir(parents=True, exist_ok=True)
    for store, sales in STORES.items():
        rows = [f"{day}-{n},{cents}\n" for n, cents in enumerate(sales)]
        (folder / f"{store}.csv").write_text("order_id,cents\n" + "".join(rows))


def variables(folder: Path, shop: Shop) -> dict[str, str]:
    """The variables with which a run uses a folder and the web shop."""
    return {
        "DAILY_SALES_DATABASE_URL": f"sqlite:///{folder}/sales.db",
        "DAILY_SALES_SHOP_URL": shop.url,
        "DAILY_SALES_SHOP_TOKEN": TOKEN,
        "DAILY_SALES_CSV_FOLDER": f"{folder}/csv",
        "DAILY_SALES_ALERT_URL": f"{shop.url}alerts",
        "DAILY_SALES_CLONE_TOKEN": "none",
    }
