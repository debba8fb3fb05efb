from prefect import flow, task

charges = []
mail_server = iter(["down", "up"])


@task
def charge_card(order: str) -> str:
    charges.append(order)
    return f"receipt for {order}"


@task(retries=1)
def send_receipt(receipt: str) -> None:
    if next(mail_server) == "down":
        raise ConnectionError("mail server is down")


@flow
def checkout(order: str) -> None:
    receipt = charge_card(order)
    send_receipt(receipt)


if __name__ == "__main__":
    checkout("order-7")
    print(f"Charges for order-7: {len(charges)}")
