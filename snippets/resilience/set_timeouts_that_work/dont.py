import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
from prefect import flow, task

answers = []


class SlowRates(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(3)
        answers.append("EUR 1.08")
        self.send_response(200)
        self.end_headers()


@task(timeout_seconds=1)
def fetch_rates(url: str) -> str:
    return httpx.get(url).text


@flow
def load_rates() -> str:
    with HTTPServer(("127.0.0.1", 0), SlowRates) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        future = fetch_rates.submit(f"http://127.0.0.1:{server.server_port}")
        future.wait()
        return f"{future.state.name}, answers of the service: {len(answers)}"


if __name__ == "__main__":
    print(load_rates())
