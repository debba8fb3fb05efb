# Beside both programs stand ignore.txt and pre-commit.sh.
import subprocess
from pathlib import Path
from shutil import copy

import pytest
from prefect.filesystems import LocalFileSystem
from prefect.settings import Settings
from prefect.testing.cli import invoke_and_assert

KEY = "pnu_not_a_real_key"
KEY_IN = f'.prefect/profiles.toml:PREFECT_API_KEY = "{KEY}"'
IGNORED = (
    *(".prefect/profiles.toml", "prefect.db", "prefect.db-wal", "key.pem"),
    *(".env", ".env.production", "flows/.env", "flows/__pycache__/a.pyc"),
    *(".venv/pyvenv.cfg", ".git/config"),
)
KEPT = [".env.example", "report.py"]


@pytest.fixture
def project(do):
    with do.project():
        yield do


@pytest.fixture
def full_project(project):
    """A project with each kind of file that ignore.txt names."""
    for name in (*IGNORED, *KEPT):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return project


def uploaded(shared, **options):
    """Upload the project as Prefect does, and list what arrived."""
    storage = LocalFileSystem(basepath=str(shared))
    storage.put_directory(local_path=".", **options)
    files = (f for f in shared.rglob("*") if f.is_file())
    return sorted(f.relative_to(shared).as_posix() for f in files)


def test_what_prefect_writes_is_below_its_home(tmp_path, monkeypatch):
    """Prefect writes API keys, results and a database below its home, and if
    that is in your project, the first commit publishes them.

    The results of your tasks (`storage/`) and the database of a local server
    (`prefect.db`) are there too. The default home is `~/.prefect`, outside of
    every repository.
    """
    settings = Settings(home=tmp_path)

    assert settings.profiles_path == tmp_path / "profiles.toml"
    assert settings.results.local_storage_path == tmp_path / "storage"
    database = settings.server.database.connection_url.get_secret_value()
    assert database.endswith(f"{tmp_path}/prefect.db")
    monkeypatch.delenv("PREFECT_HOME")
    assert Settings().home == Path("~/.prefect").expanduser()


def test_a_dotenv_file_is_read_as_well(tmp_path, monkeypatch):
    """A file named `.env` in the project, which Prefect reads as well, is at
    risk in the same way.
    """
    (tmp_path / ".env").write_text(f"PREFECT_API_KEY={KEY}")
    monkeypatch.chdir(tmp_path)
    assert Settings().api.key.get_secret_value() == KEY


def test_the_first_add_commits_the_key(dont):
    """Prefect writes API keys, results and a database below its home, and if
    that is in your project, the first commit publishes them.

    `prefect config set` writes into a profile, which is a text file in
    `PREFECT_HOME`, with the key in clear.

    `git add .` takes what nothing ignores.
    """
    with dont.project():
        dont.git("add", ".")
        dont.git("commit", "--message", "Begin")
        assert dont.git("grep", "pnu_", "HEAD") == f"HEAD:{KEY_IN}"


def test_a_later_gitignore_does_not_take_it_out(project):
    """A `.gitignore` that comes later does not touch a file that git already
    follows. After `git rm --cached` the newest commit is clean, and the one
    before still has the key.
    """
    project.git("add", ".")
    project.git("commit", "--message", "Begin")
    copy(project.HERE / "ignore.txt", ".gitignore")
    project.git("add", ".")
    project.git("commit", "--message", "Ignore")
    assert project.git("grep", "pnu_") == KEY_IN

    project.git("rm", "-r", "--cached", ".prefect")
    project.git("commit", "--message", "Remove")
    assert project.git("grep", "pnu_") == ""
    assert project.git("grep", "pnu_", "HEAD~1") == f"HEAD~1:{KEY_IN}"


def test_the_patterns_keep_local_state_out_of_git(full_project):
    """Ignore it before the first commit."""
    assert set(full_project.git("add", "--dry-run", ".").splitlines()) == {
        f"add '{name}'" for name in (*IGNORED, *KEPT) if ".git/" not in name
    }
    copy(full_project.HERE / "ignore.txt", ".gitignore")

    full_project.git("add", ".")
    committed = full_project.git("ls-files").splitlines()
    assert committed == [".env.example", ".gitignore", "report.py"]


def test_an_upload_needs_to_be_told_of_the_patterns(full_project, tmp_path):
    """Prefect does not read a `.gitignore`, and `put_directory` of a storage
    block reads a `.prefectignore` only if you name it:
    `put_directory(local_path=".", ignore_file=".prefectignore")`. The one that
    `prefect init` writes leaves out `.env` and `.git/`, but lets `.prefect/`
    through.
    """
    copy(full_project.HERE / "ignore.txt", ".gitignore")
    copy(full_project.HERE / "ignore.txt", ".prefectignore")
    file = {"ignore_file": ".prefectignore"}
    assert set(IGNORED) < set(uploaded(tmp_path / "without"))
    assert uploaded(tmp_path / "with", **file) == [
        *(".env.example", ".gitignore", ".prefectignore", "report.py")
    ]

    Path(".prefectignore").unlink()
    invoke_and_assert(["init", "--recipe", "local"])
    default = uploaded(tmp_path / "default", **file)
    assert ".prefect/profiles.toml" in default
    assert not {".env", ".git/config"} & set(default)


def test_the_hook_refuses_a_commit_with_a_key(project):
    """Ignoring does not help against `git add --force`, or a key that somebody
    types into a flow. A hook looks at the lines themselves.
    """
    hook = Path(copy(project.HERE / "pre-commit.sh", ".git/hooks/pre-commit"))
    hook.chmod(0o755)
    copy(project.HERE / "ignore.txt", ".gitignore")
    copy(project.HERE / "pre-commit.sh", ".")
    Path("short.py").write_text("pnu_1234567 PRIVATE KEY----")
    project.git("add", ".")
    project.git("commit", "--message", "Begin")

    Path("flow.py").write_text("pnb_12345678")
    Path("load.py").write_text("BEGIN PRIVATE KEY-----")
    project.git("add", "--force", ".prefect", "flow.py", "load.py")
    commit = ["git", "-c", "user.name=Ada", "-c", "user.email=a@example.org"]
    refused = subprocess.run(
        [*commit, "commit", "--message", "Oops"], capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        *(".prefect/profiles.toml", "flow.py", "load.py"),
        "These files hold a secret. Take it out, and commit again.",
    ]
    assert project.git("log", "--format=%s") == "Begin"
