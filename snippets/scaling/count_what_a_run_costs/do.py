from meter import requests
from prefect import flow, task
from prefect.variables import Variable


@task
def bill(hours: int, price: int) -> int:
    return hours * price


@flow
def bill_all(hours: list[int]) -> list[int]:
    price = Variable.get("price_of_an_hour")
    return bill.map(hours, price).result()


if __name__ == "__main__":
    Variable.set("price_of_an_hour", 120)
    requests.clear()
    bills = bill_all([*range(1, 21)])
    print(f"Bills: {len(bills)}, in all {sum(bills)}")
    for about in "flow_runs", "task_runs", "variables":
        print(f"Requests to {about}: {requests[about]}")
    Variable.unset("price_of_an_hour")  # an example leaves nothing behind
