from prefect import flow, task

ROWS = {"mon.csv": 120, "tue.csv": 0, "wed.csv": 95}


@task
def load(file: str) -> int:
    if ROWS[file] == 0:
        raise ValueError(f"{file} is empty")
    return ROWS[file]


@flow
def load_week(files: list[str]):
    return {file: load.submit(file) for file in files}


if __name__ == "__main__":
    state = load_week(list(ROWS), return_state=True)
    print(f"Flow run: {state.name}")
    print(f"Message: {state.message}")
