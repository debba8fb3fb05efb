from prefect.client.orchestration import get_client

NAMES = ["prefect.flow-run.pull-step.executed"]

with get_client(sync_client=True) as api:
    deployment = api.read_deployment_by_name("revenue/private-code")
    print("In the deployment:")
    for step in deployment.pull_steps:
        for key, value in step["prefect.deployments.steps.git_clone"].items():
            print(f"  {key}: {value}")

    related = {"id": [f"prefect.deployment.{deployment.id}"]}
    wanted = {"event": {"name": NAMES}, "related": related}
    answer = api.request("POST", "/events/filter", json={"filter": wanted})
    for event in answer.json()["events"]:
        print("In the event of a run:")
        for key, value in event["payload"]["inputs"].items():
            print(f"  {key}: {value}")
