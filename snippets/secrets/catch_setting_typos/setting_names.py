import os
from collections.abc import Iterable
from difflib import get_close_matches

from prefect.settings import Settings

# Prefect reads these as well, but they are not among its settings.
ALSO_READ = {"PREFECT_PROFILE", "PREFECT_SERVER_ENCRYPTION_KEY"}
ALSO_READ_PREFIXES = ("PREFECT__", "PREFECT_LOGGING_")


def known_names() -> set[str]:
    schema = Settings.model_json_schema()
    return ALSO_READ | {
        name
        for model in [schema, *schema["$defs"].values()]
        for field in model.get("properties", {}).values()
        for name in field.get("supported_environment_variables", [])
    }


def check(environment: Iterable[str]) -> None:
    known = known_names()
    for name in environment:
        if not name.startswith("PREFECT_") or name in known:
            continue
        if not name.startswith(ALSO_READ_PREFIXES):
            similar = get_close_matches(name, known, n=1)
            raise NameError(f"{name} is no setting. Similar: {similar}")


if __name__ == "__main__":
    check(os.environ)
