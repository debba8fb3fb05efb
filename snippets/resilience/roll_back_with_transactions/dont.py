from prefect import flow, task
from prefect.transactions import Transaction, get_transaction

stock = {"tea": 3, "milk": 5}


@task
def reserve(item: str) -> None:
    stock[item] -= 1
    get_transaction().set("item", item)


@reserve.on_rollback
def release(reservation: Transaction) -> None:
    stock[reservation.get("item")] += 1


@task
def charge_card(order: str) -> None:
    raise PermissionError("the bank refuses the card")


@flow
def sell(order: str) -> None:
    reserve("tea")
    reserve("milk")
    charge_card(order)


if __name__ == "__main__":
    state = sell("order-7", return_state=True)
    print(f"{state.name}, stock: {stock}")
