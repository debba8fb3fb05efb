import logging

from dont import TOKEN, load_rates, stored_logs


class Redact(logging.Filter):
    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self.secrets = secrets

    def clean(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "[redacted]")
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.clean(record.getMessage()), None
        if record.exc_info:
            traceback = logging.Formatter().formatException(record.exc_info)
            record.exc_text, record.exc_info = self.clean(traceback), None
        return True


def install(*secrets: str) -> None:
    for name in ["root", "prefect.flow_runs", "prefect.task_runs"]:
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(Redact(*secrets))


if __name__ == "__main__":
    install(TOKEN)
    state = load_rates(return_state=True)
    leaks = [message for message in stored_logs(state) if TOKEN in message]
    print(f"Stored log messages with the token: {len(leaks)}")
    print(f"Token in the state's message: {TOKEN in state.message}")
