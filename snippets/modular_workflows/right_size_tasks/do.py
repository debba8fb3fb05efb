from prefect import flow, task

BATCH = 50


@task
def in_euro(prices: list[float]) -> list[float]:
    return [round(price * 0.92, 2) for price in prices]


@flow
def convert(prices: list[float]) -> list[float]:
    starts = range(0, len(prices), BATCH)
    futures = in_euro.map([prices[n : n + BATCH] for n in starts])
    print(f"Task runs: {len(futures)}")
    return [price for batch in futures.result() for price in batch]


if __name__ == "__main__":
    prices = [float(price) for price in range(1, 201)]
    print(f"Prices converted: {len(convert(prices))}")
