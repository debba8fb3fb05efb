from prefect import flow, task, unmapped
from prefect.exceptions import MappingLengthMismatch

FILES = {
    "mon.csv": {"order": "A-1", "price": 12.5, "note": "gift"},
    "tue.csv": {"order": "A-2", "price": 8.0, "note": ""},
    "wed.csv": {"order": "A-3", "price": 3.2, "note": "late"},
}


@task
def load(file: str, columns: list[str]) -> dict:
    row = FILES[file]
    return {column: row[column] for column in row if column in columns}


@flow
def load_files(files: list[str]) -> list[dict]:
    return load.map(files, unmapped(["order", "price"])).result()


if __name__ == "__main__":
    for files in ["mon.csv", "tue.csv"], ["mon.csv", "tue.csv", "wed.csv"]:
        try:
            print(f"{len(files)} files: {load_files(files)}")
        except MappingLengthMismatch as error:
            print(f"{len(files)} files: {error}")
