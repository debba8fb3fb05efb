from prefect import flow, task
from prefect.settings import PREFECT_API_URL, temporary_settings


def discounted(total: float) -> float:
    return total * 0.9 if total >= 100 else total


discount_task = task(discounted)


@flow
def bill(totals: list[float]) -> float:
    return sum(discount_task(total) for total in totals)


def quote(total: float) -> str:
    return f"You pay {discounted(total)} EUR"


if __name__ == "__main__":
    print(f"Billed: {bill([120.0, 40.0])} EUR")

    # The web shop shows a price while the Prefect server is down.
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        try:
            print(quote(120.0))
        except RuntimeError as error:
            print(f"Error 500: {error}")
