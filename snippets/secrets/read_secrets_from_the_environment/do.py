import os

from prefect import flow, task
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class Settings(BaseSettings, env_ignore_empty=True, hide_input_in_errors=True):
    api_key: SecretStr = Field(validation_alias="PRICES_API_KEY")


@task
def read_prices() -> list[str]:
    return ["apple 1.20", "pear 1.50", "plum 2.10"]


@task
def publish(prices: list[str], api_key: SecretStr) -> int:
    if not api_key.get_secret_value():
        raise PermissionError("401: no key")
    return len(prices)


@flow
def publish_prices() -> str:
    settings = Settings()
    prices = read_prices()
    return f"Prices published: {publish(prices, settings.api_key)}"


if __name__ == "__main__":
    os.environ.pop("PRICES_API_KEY", None)  # a machine that lacks the key
    failed = publish_prices(return_state=True)
    print("\n".join(failed.message.splitlines()[:3]))

    os.environ["PRICES_API_KEY"] = "as-your-platform-would-set-it"
    print(publish_prices())
