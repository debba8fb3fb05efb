import os
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from prefect.settings import Settings


def known_names() -> set[str]:
    schema = Settings.model_json_schema()
    return {
        name
        for model in [schema, *schema["$defs"].values()]
        for field in model.get("properties", {}).values()
        for name in field.get("supported_environment_variables", [])
    }


def warnings(environment: Mapping[str, str]) -> Iterator[str]:
    known = known_names()
    for name, value in environment.items():
        # Kubernetes gives each pod PREFECT_SERVER_PORT=tcp://10.0.0.7:4200.
        if name.upper() in known or value.startswith("tcp://"):
            continue
        for similar in get_close_matches(name.upper(), known, n=1, cutoff=0.9):
            yield f"{name} is not a setting. Did you mean {similar}?"


if __name__ == "__main__":
    for warning in warnings(os.environ):
        print(warning, file=sys.stderr)
