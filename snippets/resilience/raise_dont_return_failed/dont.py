from prefect import flow
from prefect.states import Failed

answers = iter([[], [4.0, 3.5]])
attempts = []


@flow(retries=1)
def load_prices():
    attempts.append("load prices")
    prices = next(answers)
    if not prices:
        return Failed(message="no prices yet")
    return sum(prices)


if __name__ == "__main__":
    state = load_prices(return_state=True)
    print(f"Attempts: {len(attempts)}")
    print(f"State: {state.name}, type {state.type.value}")
