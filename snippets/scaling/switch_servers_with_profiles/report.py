from prefect import flow, task


@task
def count_orders() -> int:
    return 3


@flow(name="trial-report")
def report() -> None:
    print(f"Orders: {count_orders()}")


if __name__ == "__main__":
    report()
