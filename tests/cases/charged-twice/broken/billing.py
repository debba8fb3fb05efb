import providers
from prefect import flow, task

FEES = {"basic": 1990, "premium": 3490}


@task
def collect_fee(member: str, plan: str) -> str:
    return providers.collect(member, FEES[plan])


@task
def confirm(member: str, receipt: str) -> None:
    providers.send_mail(member, f"Thank you. Your receipt: {receipt}")


@flow(name="gym-billing", retries=2, log_prints=True)
def bill(members: dict[str, str]) -> None:
    for member, plan in members.items():
        receipt = collect_fee(member, plan)
        confirm(member, receipt)
    print(f"Billed {len(members)} members")


if __name__ == "__main__":
    bill({"ines": "basic", "tom": "premium", "yuki": "basic"})
