import os
import re
import subprocess
import sys
from tempfile import TemporaryDirectory

REQUIREMENTS = "prefect==3.8.8\nsqlalchemy<2.1\n"
DAYS = ["2026-10-19", "2026-10-21"]


def uv(*arguments: str, stdin: str = "") -> str:
    run = [sys.executable, "-m", "uv", "--quiet", "pip", *arguments]
    return subprocess.check_output(run, input=stdin, text=True)


def resolve(requirements: str, day: str, *options: str) -> str:
    until = ["--python-version", "3.11", "--exclude-newer", f"{day}T00:00:00Z"]
    return uv("compile", *until, *options, "-", stdin=requirements)


def builds() -> list[str]:
    lock = resolve(REQUIREMENTS, DAYS[0], "--generate-hashes")
    return [resolve(lock, day) for day in DAYS]


def run_with(package: str, program: str) -> str:
    with TemporaryDirectory() as folder:
        uv("install", "--no-deps", "--target", folder, package)
        env = os.environ | {"PYTHONPATH": folder}
        run = [sys.executable, "-c", program]
        ran = subprocess.run(run, env=env, capture_output=True, text=True)
    return (ran.stdout or ran.stderr).splitlines()[-1]


if __name__ == "__main__":
    for day, built in zip(DAYS, builds(), strict=True):
        fastapi = re.findall("fastapi==[0-9.]+", built)[0]
        print(f"Built on {day}: prefect==3.8.8, {fastapi}")
    start = "import prefect.testing.utilities; print('works')"
    print("First import:", run_with(fastapi, start))
