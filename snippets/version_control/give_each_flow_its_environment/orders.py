from importlib.metadata import version

from prefect import flow
from shop_rates import with_tax


@flow(log_prints=True)
def orders():
    total = with_tax(100)
    print(f"shop-rates {version('shop-rates')}, total {total}")
