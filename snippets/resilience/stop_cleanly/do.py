import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cancel
from prefect import flow


@flow
def load_orders(lock_file: str, seconds: float) -> None:
    lock = Path(lock_file)
    lock.touch(exist_ok=False)  # fails if another load is at work
    try:
        time.sleep(seconds)  # the load
    finally:
        lock.unlink()


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        lock = Path(folder, "orders.lock")
        print(f"First load: {cancel.run_and_cancel(load_orders, lock)}")
        print(f"Lock left: {lock.exists()}")
        next_load = load_orders(str(lock), seconds=0, return_state=True)
        print(f"Next load: {next_load.name}")
