from prefect import flow, task


@task
def load_shop(shop: str) -> str:
    return f"{shop}: loaded"


@flow
def load_shops() -> None:
    for shop in ["lisbon", "berlin", "oslo"]:
        print(load_shop(shop))


if __name__ == "__main__":
    load_shops()
