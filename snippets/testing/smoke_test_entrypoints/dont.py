from pathlib import Path

from prefect import Flow
from prefect.exceptions import ScriptError
from prefect.flows import load_flow_from_entrypoint

HERE = Path(__file__).parent
ENTRYPOINTS = ["order_flow.py:load_orders", "stock_flow.py:load_stock"]


def load(entrypoint: str) -> Flow:
    return load_flow_from_entrypoint(f"{HERE}/{entrypoint}")


if __name__ == "__main__":
    for entrypoint in ENTRYPOINTS:
        try:
            print(f"{entrypoint}: loads {load(entrypoint).name}")
        except ScriptError as error:
            print(f"{entrypoint}: {error.user_exc!r}")
