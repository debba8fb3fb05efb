from prefect import flow


@flow
def load_forgotten_orders() -> str:
    return "Orders loaded: 2"


if __name__ == "__main__":
    print(load_forgotten_orders())
