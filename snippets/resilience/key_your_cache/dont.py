from prefect import flow, task
from prefect.cache_policies import INPUTS

SALES = {"2026-03-01": [400, 500]}
REFUNDS = {"2026-03-01": [15, 25]}


@task(cache_policy=INPUTS)
def sum_sales(day: str) -> int:
    return sum(SALES[day])


@task(cache_policy=INPUTS)
def sum_refunds(day: str) -> int:
    return sum(REFUNDS[day])


@flow
def daily_report(day: str) -> str:
    sales = sum_sales(day)
    refunds = sum_refunds(day)
    return f"sales {sales}, refunds {refunds}, net {sales - refunds}"


if __name__ == "__main__":
    print(daily_report("2026-03-01"))
