from prefect import flow, task
from prefect.transactions import Transaction, transaction

stock = {"tea": 3}
bank = iter(["down", "up"])
charges = []


@task
def reserve_tea() -> None:
    stock["tea"] -= 1


@reserve_tea.on_rollback
def release_tea(reservation: Transaction) -> None:
    stock["tea"] += 1


@task(retries=1)
def charge_card(order: str) -> None:
    if next(bank) == "down":
        raise ConnectionError("the bank does not answer")
    charges.append(order)


@flow
def sell_tea(order: str) -> None:
    with transaction():
        reserve_tea()
        charge_card(order)


if __name__ == "__main__":
    state = sell_tea("order-7", return_state=True)
    print(f"{state.name}, charged: {charges}, stock: {stock}")
