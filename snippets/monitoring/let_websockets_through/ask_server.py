import os

import httpx

API = os.environ["PREFECT_API_URL"]


def ask(what: str, **filters: object) -> list[dict]:
    answer = httpx.post(f"{API}/{what}/filter", json=filters)
    return answer.raise_for_status().json()


if __name__ == "__main__":
    flow = {"name": {"any_": ["load-shops"]}}
    newest = ask("flow_runs", flows=flow, sort="START_TIME_DESC")[0]
    this_run = {"id": {"any_": [newest["id"]]}}
    task_runs = ask("task_runs", flow_runs=this_run)
    print("The flow run is", newest["state_name"])
    print("Its task runs on the server:", len(task_runs))
