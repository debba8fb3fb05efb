import json
from base64 import b64decode
from pathlib import Path
from tempfile import mkdtemp

import httpx
from prefect import flow, task
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings


@task
def log_in() -> str:
    return "not-a-real-token"


@task
def fetch_orders(token: str) -> list[str]:
    headers = {"Authorization": f"Bearer {token}"}
    request = httpx.Request("GET", "https://shop.test/orders", headers=headers)
    response = httpx.Response(401, request=request)  # the shop refuses
    return response.raise_for_status().json()


@flow(persist_result=True)
def load_orders() -> int:
    return len(fetch_orders(log_in()))


def stored_in(storage: str) -> list[bytes]:
    texts = [file.read_text() for file in Path(storage).iterdir()]
    records = [json.loads(t) if t[0] == "{" else {"result": t} for t in texts]
    return [b64decode(record["result"]) for record in records]


if __name__ == "__main__":
    storage = mkdtemp()
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}):
        load_orders(return_state=True)
    stored = [b"not-a-real-token" in pickled for pickled in stored_in(storage)]
    print(f"Stored: {len(stored)}, with the token: {sum(stored)}")
