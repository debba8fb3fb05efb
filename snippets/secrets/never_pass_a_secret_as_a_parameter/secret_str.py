import subprocess
import sys

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.runner import Runner
from pydantic import SecretStr


@task
def fetch_rates(api_key: str) -> list[float]:
    if api_key != "not-a-real-key":
        raise PermissionError("401: unknown key")
    return [1.08, 0.86, 161.2]


@flow
def load_rates(api_key: SecretStr) -> list[float]:
    return fetch_rates(api_key.get_secret_value())


if __name__ == "__main__":
    deployment = Runner().add_flow(load_rates, "secret-str-parameter")
    key = SecretStr("not-a-real-key")
    run = run_deployment(deployment, parameters={"api_key": key}, timeout=0)
    # A worker starts the process of a flow run like this.
    subprocess.run([sys.executable, "-m", "prefect.engine", str(run.id)])

    with get_client(sync_client=True) as api:
        run = api.read_flow_run(run.id)
        api.delete_deployment(deployment)
    print(f"Parameters on the server: {run.parameters}")
    print(f"{run.state.name}: {run.state.message}")
