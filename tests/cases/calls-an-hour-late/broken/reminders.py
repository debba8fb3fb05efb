from datetime import date, timedelta

from prefect import flow, task


@task
def patients_of(day: date) -> list[str]:
    return [f"patient {number} of {day}" for number in (1, 2)]


@task(retries=2, retry_delay_seconds=60)
def call(patient: str) -> None:
    print(f"Calling {patient}")


@flow(name="practice-reminders", log_prints=True)
def call_patients(days_ahead: int) -> None:
    day = date.today() + timedelta(days=days_ahead)
    for patient in patients_of(day):
        call(patient)
