from book_shop.prices import net
from prefect import flow, task


@task
def read_prices() -> list[float]:
    return [10.7, 21.4]


@flow
def net_prices() -> list[float]:
    return [net(price) for price in read_prices()]
