from prefect import flow, task
from prefect.futures import wait

ROWS = {"mon.csv": 120, "tue.csv": 0, "wed.csv": 95}


@task
def load(file: str) -> int:
    if ROWS[file] == 0:
        raise ValueError(f"{file} is empty")
    return ROWS[file]


@flow
def load_week(files: list[str]):
    loads = {file: load.submit(file) for file in files}
    wait(list(loads.values()))
    missing = [file for file in files if not loads[file].state.is_completed()]
    if missing:
        raise RuntimeError(f"no rows from {', '.join(missing)}")
    loaded = [file for file in files if file not in missing]
    return {file: loads[file].result() for file in loaded}


if __name__ == "__main__":
    state = load_week(list(ROWS), return_state=True)
    print(f"Flow run: {state.name}")
    print(f"Message: {state.message}")
