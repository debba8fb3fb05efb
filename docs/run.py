"""Run a program of the site on this machine, with a Prefect server of its own.

The server starts empty on a free port, and ends and is deleted with the
program. No server that your settings name is asked.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

PROGRAMS = "{{ config.site_url }}programs/"  # the build writes the address here


def run(home: Path, program: str) -> int:
    """Start a server, run the program, and return how it ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_")
    } | {
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    prefect = [sys.executable, "-m", "prefect"]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*prefect, "server", "start", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            while not answers(f"{api}/health"):
                if server.poll() is not None:
                    sys.exit((home / "server.log").read_text())
                time.sleep(0.2)
            command = [sys.executable, program]
            return subprocess.run(command, cwd=home, env=environment).returncode
        finally:
            server.terminate()
            server.wait()


def answers(url: str) -> bool:
    try:
        return urlopen(url).status == 200
    except URLError:
        return False


if __name__ == "__main__":
    folder, *files = sys.argv[1:]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        for name in files:
            with urlopen(f"{PROGRAMS}{folder}/{name}") as answer:
                Path(home, name).write_bytes(answer.read())
        code = run(Path(home), files[0])
    sys.exit(code)
