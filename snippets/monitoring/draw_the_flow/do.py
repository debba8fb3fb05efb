from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import flow, task


@task
def read_orders(inbox: Path) -> list[float]:
    return [float(file.read_text()) for file in inbox.iterdir()]


@task
def store_orders(prices: list[float]) -> int:
    return len(prices)


@task
def empty_inbox(inbox: Path, stored: int) -> None:
    for file in inbox.iterdir():
        file.unlink()


@flow
def load_orders(inbox: Path) -> None:
    prices = read_orders(inbox)
    stored = store_orders(prices)
    empty_inbox(inbox, stored)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        inbox = Path(folder)
        (inbox / "order-7.txt").write_text("25.0")
        print(load_orders.generate_mermaid_graph(inbox))
        print(f"Orders in the inbox: {len(list(inbox.iterdir()))}")
