import subprocess
from datetime import date
from pathlib import Path

from prefect import flow, get_run_logger, task

SCRIPT = Path(__file__).with_name("sync.sh")


@task
def sync(source: Path, target: Path, limit: int) -> None:
    logger = get_run_logger()
    logger.info("Copying from %s to %s", source, target)
    subprocess.run(["bash", SCRIPT, source, target, str(limit)])
    logger.info("The pictures are on the web server")


@task
def note(target: Path) -> None:
    (target.parent / "last-sync.txt").write_text(f"{date.today()}\n")


@flow(name="shop-pictures")
def publish_pictures(source: Path, target: Path, limit: int = 10_000) -> None:
    sync(source, target, limit)
    note(target)


if __name__ == "__main__":
    publish_pictures(Path("/data/pictures"), Path("/srv/pictures"))
