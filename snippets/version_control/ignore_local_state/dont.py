import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


def git(*command: str) -> str:
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    run = ["git", *author, *command]
    return subprocess.run(run, capture_output=True, text=True).stdout.strip()


@contextmanager
def project() -> Iterator[None]:
    """A new project in which somebody has already worked with Prefect."""
    env = os.environ | {"PREFECT_HOME": ".prefect"}
    prefect = [sys.executable, "-m", "prefect", "config", "set"]
    key = "PREFECT_API_KEY=pnu_not_a_real_key"
    with TemporaryDirectory() as folder, chdir(folder):
        git("init")
        Path("report.py").write_text("print('Revenue: 1200 EUR')\n")
        subprocess.run([*prefect, key], env=env, capture_output=True)
        yield


if __name__ == "__main__":
    with project():
        git("add", ".")
        git("commit", "--message", "Begin")
        print(git("ls-files"))
        print("Keys:", git("grep", "pnu_") or "none")
