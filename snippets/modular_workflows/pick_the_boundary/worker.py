import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from prefect import Flow, get_client
from prefect.runner import Runner


@contextmanager
def serve(flow: Flow, name: str) -> Iterator[None]:
    runner = Runner(query_seconds=1)
    deployment = runner.add_flow(flow, name=name)
    thread = Thread(target=asyncio.run, args=[runner.start()])
    thread.start()
    try:
        yield
    finally:
        runner.execute_in_background(runner.astop)
        thread.join()
        with get_client(sync_client=True) as client:
            client.delete_deployment(deployment)
