"""Other versions of Prefect, each in an environment of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_server
from time import sleep

import httpx

OF_ITS_TIME = ["--exclude-newer", "2026-10-19", "sqlalchemy<2.1"]
REPORT = Path(__file__).with_name("slowest.py")


def install(version: str, folder: str) -> str:
    """Install a version of Prefect; return the path of its Python."""
    environment = Path(folder, version)
    uv = [sys.executable, "-m", "uv", "--quiet"]
    pip = [*uv, "pip", "install", "--python", environment, *OF_ITS_TIME]
    if not environment.exists():
        subprocess.check_call([*uv, "venv", environment])
        subprocess.check_call([*pip, f"prefect=={version}"])
    return f"{environment}/bin/python"


@contextmanager
def server(version: str, folder: str) -> Iterator[str]:
    """Run a server of that version, and return the address of its API."""
    with create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    start = ["-m", "prefect", "server", "start", "--no-services", "--port"]
    env = os.environ | {"PREFECT_HOME": f"{folder}/home"}
    env.pop("PREFECT_API_URL", None)
    process = subprocess.Popen(
        [install(version, folder), *start, port],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/api"
    try:
        while process.poll() is None:
            with suppress(httpx.ConnectError):
                version_of(url)
                break
            sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def version_of(api_url: str) -> str:
    return httpx.get(f"{api_url}/admin/version").json()


def report(client: str, api_url: str, **settings: str) -> tuple[str, str]:
    """Run the report with a client; return its output and its log."""
    env = os.environ | settings | {"PREFECT_API_URL": api_url}
    run = [client, str(REPORT)]
    ran = subprocess.run(run, env=env, capture_output=True, text=True)
    return ran.stdout.strip(), ran.stderr
