import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
KEY = "not-a-real-key"
GIT = ["git", "-c", "user.name=Ana", "-c", "user.email=ana@example.org"]


def git(*command: str) -> str:
    return subprocess.check_output([*GIT, *command], text=True)


if __name__ == "__main__":
    with TemporaryDirectory() as repository:
        flow_file = Path(repository, "flow.py")
        git("init", "--quiet", repository)
        for message, version in [
            ("Publish prices", "dont.py"),
            ("Remove the key", "do.py"),
        ]:
            flow_file.write_text((HERE / version).read_text())
            git("-C", repository, "add", "flow.py")
            git("-C", repository, "commit", "--no-gpg-sign", "-qm", message)

        text = flow_file.read_text()
        print("The key is in flow.py:", KEY in text)
        print("The key is in the history:")
        for line in git("-C", repository, "log", "-p").splitlines():
            if KEY in line:
                print(line)
