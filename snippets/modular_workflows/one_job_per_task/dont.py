from prefect import flow, task

downloads = []
warehouse = iter(["down", "up"])


def download(day: str) -> list[str]:
    downloads.append(day)
    return ["12.50", "n/a", "8.00"]


def clean(rows: list[str]) -> list[float]:
    return [float(row) for row in rows if row != "n/a"]


def load(prices: list[float]) -> int:
    if next(warehouse) == "down":
        raise ConnectionError("warehouse is down")
    return len(prices)


@task(retries=1)
def download_clean_and_load(day: str) -> int:
    return load(clean(download(day)))


@flow
def nightly(day: str) -> int:
    return download_clean_and_load(day)


if __name__ == "__main__":
    print(f"Prices loaded: {nightly('2026-03-02')}")
    print(f"Downloads: {len(downloads)}")
