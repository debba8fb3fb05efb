import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
from prefect import flow, task

answered = threading.Event()


class SlowRates(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(3)
        answered.set()
        self.send_response(200)
        self.end_headers()


@task(timeout_seconds=1)
def fetch_rates(url: str) -> str:
    return httpx.get(url).text


@flow
def load_rates() -> str:
    with HTTPServer(("127.0.0.1", 0), SlowRates) as server:
        threading.Thread(target=server.handle_request).start()
        future = fetch_rates.submit(f"http://127.0.0.1:{server.server_port}")
        future.wait()
        return f"{future.state.name}, service has answered: {answered.is_set()}"


if __name__ == "__main__":
    print(load_rates())
