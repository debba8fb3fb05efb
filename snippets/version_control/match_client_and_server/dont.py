import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.client.orchestration import get_client

REPORT = Path(__file__).with_name("slowest.py")


def report_with(client: str, **environment: str) -> tuple[str, str]:
    """Run the report with a version of Prefect laid over the installed one."""
    uv = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--no-deps"]
    with TemporaryDirectory() as folder:
        subprocess.run([*uv, "--target", folder, f"prefect=={client}"])
        env = os.environ | environment | {"PYTHONPATH": folder}
        report = [sys.executable, REPORT]
        ran = subprocess.run(report, env=env, capture_output=True, text=True)
    return ran.stdout.strip(), ran.stderr


if __name__ == "__main__":
    with get_client(sync_client=True) as api:
        server = api.api_version()
        client = "3.9.1"
        said, _ = report_with(client, PREFECT_API_URL=str(api.api_url))
        print(f"Client {client}, server {server}: {said}")
