"""What differs between a laptop, the tests and production."""

from datetime import timedelta

from pydantic import DirectoryPath, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

FROM_ENVIRONMENT = SettingsConfigDict(
    env_prefix="DAILY_SALES_", env_ignore_empty=True, hide_input_in_errors=True
)


class Settings(BaseSettings):
    """What a run reads, from variables that begin with `DAILY_SALES_`.

    Attributes:
        database_url: The database of the table, in the form of SQLAlchemy.
        shop_url: Where the web shop answers, without `/orders`.
        shop_token: What the web shop knows us by.
        csv_folder: In it a folder for each day, such as `2026-03-01`, in
            which each store leaves a CSV file.
    """

    model_config = FROM_ENVIRONMENT

    database_url: SecretStr
    shop_url: HttpUrl
    shop_token: SecretStr
    csv_folder: DirectoryPath


class SetUpSettings(BaseSettings):
    """What only `daily-sales set-up` reads, from such variables too.

    Attributes:
        database_url: As in `Settings`.
        alert_url: Where alerts are sent to: the webhook of a chat or a pager.
        clone_token: A token that may read the repository.
        silence: How long a run may send no heartbeat: three times what
            `PREFECT_FLOWS_HEARTBEAT_FREQUENCY` says.
        absence: How long after a nightly load the next must have completed.
    """

    model_config = FROM_ENVIRONMENT

    database_url: SecretStr
    alert_url: SecretStr
    clone_token: SecretStr
    silence: timedelta = timedelta(minutes=9)
    absence: timedelta = timedelta(hours=26)
