from prefect import flow, task


@task
def in_euro(price: float) -> float:
    return round(price * 0.92, 2)


@flow
def convert(prices: list[float]) -> list[float]:
    futures = in_euro.map(prices)
    print(f"Task runs: {len(futures)}")
    return futures.result()


if __name__ == "__main__":
    prices = [float(price) for price in range(1, 201)]
    print(f"Prices converted: {len(convert(prices))}")
