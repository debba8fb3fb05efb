from prefect import flow


@flow(log_prints=True)
def load_forgotten_orders() -> str:
    print("Loading the orders")
    return "Orders loaded: 2"


if __name__ == "__main__":
    print(load_forgotten_orders())
