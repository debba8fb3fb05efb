import worker
from prefect import flow
from prefect.deployments import run_deployment
from prefect.events import DeploymentEventTrigger

meters = {"read on": "Sunday"}


@flow
def load_readings(day: str) -> str:
    meters["read on"] = day
    return f"readings of {day}"


@flow
def bill_customers(day: str = "today") -> str:
    return f"bills of {day} from the readings of {meters['read on']}"


AFTER_THE_LOAD = DeploymentEventTrigger(
    expect={"prefect.flow-run.Completed"},
    match_related=[
        {
            "prefect.resource.role": "flow",
            "prefect.resource.name": load_readings.name,
        },
        {
            "prefect.resource.role": "deployment",
            "prefect.resource.name": "daily",
        },
    ],
    parameters={"day": "{{ flow_run.parameters.day }}"},
)


if __name__ == "__main__":
    loads = load_readings.to_deployment("daily").apply()
    bills = bill_customers.to_deployment(
        "daily",
        triggers=[AFTER_THE_LOAD],
    ).apply()
    print(f"06:30 {worker.run_next(bill_customers, bills)}")
    run_deployment(loads, parameters={"day": "Monday"}, timeout=0)
    print(f"06:50 {worker.run_next(load_readings, loads)}")
    print(f"06:51 {worker.run_next(bill_customers, bills, seconds=60)}")
    for deployment in bills, loads:
        worker.forget(deployment)
