import os

from prefect import flow

TOKEN = os.environ["NEWSLETTER_TOKEN"]


@flow
def alert_readers(text: str) -> None:
    print(f"Sent with a token of {len(TOKEN)} characters: {text}")
