"""A Dask cluster on your machine: a scheduler and workers, each a process."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
processes: list[subprocess.Popen] = []


def dask(*arguments: str) -> None:
    """Start what `dask scheduler` or `dask worker` starts in a terminal."""
    processes.append(
        subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
            cwd=HERE,  # a worker imports what the flow imports
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    )


@contextmanager
def cluster() -> Iterator[str]:
    """Run a scheduler and a worker, and yield the address of the scheduler."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dask("scheduler", "--host", "127.0.0.1", "--port", str(port))
    try:
        while not listens(port):
            time.sleep(0.1)
        scheduler = f"tcp://127.0.0.1:{port}"
        add_worker(scheduler)
        yield scheduler
    finally:
        while processes:
            processes.pop().kill()


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return not caller.connect_ex(("127.0.0.1", port))


def add_worker(scheduler: str) -> None:
    dask("worker", scheduler, "--nthreads", "1", "--no-nanny")


def replace_worker(scheduler: str) -> None:
    """Pull the plug of the newest worker, and start another one."""
    processes.pop().kill()
    add_worker(scheduler)
