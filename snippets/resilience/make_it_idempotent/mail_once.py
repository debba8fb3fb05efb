from tempfile import TemporaryDirectory

from prefect import flow, task
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.transactions import transaction

mails = []


@task
def send_mail(day: str) -> None:
    mails.append(f"report of {day}")


@flow
def report(day: str) -> None:
    with transaction(key=f"report-mail-{day}") as mail:
        if not mail.is_committed():
            send_mail(day)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: folder}):
            report("2026-03-01")
            report("2026-03-01")
    print(f"Mails: {mails}")
