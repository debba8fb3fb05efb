import re
import subprocess
import sys
from tempfile import TemporaryDirectory

REQUIREMENTS = "prefect==3.8.8\nsqlalchemy<2.1\n"
DAYS = ["2026-10-19", "2026-10-21"]


def uv(*arguments: str, stdin: str = "") -> str:
    run = [sys.executable, "-m", "uv", "--quiet", *arguments]
    return subprocess.check_output(run, input=stdin, text=True)


def resolve(requirements: str, day: str, *options: str) -> str:
    """Choose the releases that an installation on that day takes."""
    until = ["--python-version", "3.11", "--exclude-newer", f"{day}T00:00:00Z"]
    return uv("pip", "compile", *until, *options, "-", stdin=requirements)


def builds() -> list[str]:
    return [resolve(REQUIREMENTS, day) for day in DAYS]


def first_import(built: str) -> str:
    """Install a build, and import what a test of a flow needs."""
    with TemporaryDirectory() as folder:
        python = f"{folder}/new/bin/python"
        uv("venv", f"{folder}/new")
        uv("pip", "install", "--python", python, "-r", "-", stdin=built)
        begin = "import prefect.testing.utilities; print('works')"
        run = [python, "-c", begin]
        ran = subprocess.run(run, capture_output=True, text=True)
    return (ran.stdout or ran.stderr).splitlines()[-1]


if __name__ == "__main__":
    for day, built in zip(DAYS, builds()):
        fastapi = re.findall("fastapi==[0-9.]+", built)[0]
        print(f"Built on {day}: prefect==3.8.8, {fastapi}")
    print("First import:", first_import(built))
