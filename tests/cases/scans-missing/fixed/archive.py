from pathlib import Path

from prefect import flow, task
from prefect.futures import wait

HEADER = b"DICM"


@task
def read_scan(file: Path) -> bytes:
    data = file.read_bytes()
    if not data.startswith(HEADER):
        raise ValueError(f"{file.name} is no DICOM file")
    return data


@task
def store(data: bytes, file: Path, archive: Path) -> None:
    (archive / file.name).write_bytes(data)


@flow(name="archive-scans", log_prints=True)
def archive_scans(inbox: Path, archive: Path) -> None:
    archive.mkdir(exist_ok=True)
    files = sorted(inbox.glob("*.dcm"))
    stored = []
    for file in files:
        scan = read_scan.submit(file)
        stored.append(store.submit(scan, file, archive))
    wait(stored)
    for store_run in stored:
        store_run.result()
    print(f"Archived {len(files)} scans")


if __name__ == "__main__":
    archive_scans(Path("inbox"), Path("archive"))
