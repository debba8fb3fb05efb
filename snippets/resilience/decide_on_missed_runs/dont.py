import night
from prefect import flow, runtime
from prefect.client.schemas.objects import ConcurrencyLimitConfig


@flow
def send_forecast() -> None:
    time = runtime.flow_run.scheduled_start_time
    print(f"Sent at breakfast: the forecast of {time:%H:%M}")


if __name__ == "__main__":
    one = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW")
    deployment = night.deploy(send_forecast, concurrency_limit=one)
    night.pass_without_worker(deployment)

    night.start_worker(send_forecast)
    night.forget(deployment)
