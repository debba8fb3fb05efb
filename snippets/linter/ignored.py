from prefect import flow


# ast-grep-ignore: retry-tasks-not-flows -- it calls no task
@flow(retries=3)
def count_orders() -> int: ...
