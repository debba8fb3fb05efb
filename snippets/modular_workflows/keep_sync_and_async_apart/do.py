import asyncio

from prefect import flow, task

RATES = {"USD": 1.08, "GBP": 0.86, "JPY": 161.2}
saved = {}


@task
async def save_rate(currency: str) -> None:
    await asyncio.sleep(0.1)  # the bank answers
    saved[currency] = RATES[currency]


@flow
async def daily_rates(currencies: list[str]) -> None:
    await asyncio.gather(*[save_rate(currency) for currency in currencies])
    print(f"Asked for {len(currencies)} rates")


if __name__ == "__main__":
    state = asyncio.run(daily_rates(list(RATES), return_state=True))
    print(f"Flow run: {state.name}")
    print(f"Rates saved: {len(saved)}")
