from pathlib import Path

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

FILE = Path(__file__).with_name("prefect.yaml")
DEPLOYMENTS = yaml.safe_load(FILE.read_text())["deployments"]
KEYS = {"name", "entrypoint", "work_pool", "parameters", "concurrency_limit"}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["name"])
def test_the_deployment_can_run(deployment, monkeypatch):
    assert deployment.keys() <= KEYS
    monkeypatch.chdir(FILE.parent)
    flow = load_flow_from_entrypoint(
        deployment["entrypoint"], use_placeholder_flow=False
    )
    flow.validate_parameters(deployment.get("parameters", {}))
