"""What the server must have, run once by hand."""

from prefect.client.orchestration import get_client


def main() -> None:
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(
            "warehouse-label-printer", limit=1
        )


if __name__ == "__main__":
    main()
