from prefect import flow, task


@task
def count_orders() -> int: ...


@task
def count_refunds() -> int: ...


# ast-grep-ignore: retry-tasks-not-flows -- both must count the same moment
@flow(retries=3)
def count_all() -> int:
    orders = count_orders()
    return orders - count_refunds()
