# Beside both programs stand ignore.txt and pre-commit.sh.
import subprocess
from pathlib import Path
from shutil import copy

import pytest
from prefect.filesystems import LocalFileSystem
from prefect.settings import Settings
from prefect.testing.cli import invoke_and_assert

KEY_IN = '.prefect/profiles.toml:PREFECT_API_KEY = "pnu_not_a_real_key"'


@pytest.fixture
def project(do):
    with do.project():
        yield do


def uploaded(shared, ignore_file):
    """Upload the project as Prefect does, and list what arrived."""
    storage = LocalFileSystem(basepath=str(shared))
    storage.put_directory(local_path=".", ignore_file=ignore_file)
    files = (f for f in shared.rglob("*") if f.is_file())
    return sorted(f.relative_to(shared).as_posix() for f in files)


def test_what_prefect_writes_is_below_its_home(tmp_path):
    settings = Settings(home=tmp_path)

    assert settings.profiles_path == tmp_path / "profiles.toml"
    assert settings.results.local_storage_path == tmp_path / "storage"
    database = settings.server.database.connection_url.get_secret_value()
    assert database.endswith(f"{tmp_path}/prefect.db")


def test_the_first_add_commits_the_key(dont):
    with dont.project():
        dont.git("add", ".")
        dont.git("commit", "--message", "Begin")
        assert dont.git("grep", "pnu_", "HEAD") == f"HEAD:{KEY_IN}"


def test_a_later_gitignore_does_not_take_it_out(project):
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


def test_an_ignored_home_is_not_committed(project):
    copy(project.HERE / "ignore.txt", ".gitignore")
    Path(".env").touch()

    ignored = project.git("check-ignore", ".prefect/profiles.toml", ".env")
    assert ignored.splitlines() == [".prefect/profiles.toml", ".env"]
    status = project.git("status", "--short", "--untracked-files=all")
    assert status.splitlines() == ["?? .gitignore", "?? report.py"]


def test_an_upload_needs_more_than_the_default_prefectignore(project, tmp_path):
    invoke_and_assert(["init", "--recipe", "local"])
    default = uploaded(tmp_path / "default", ".prefectignore")
    copy(project.HERE / "ignore.txt", ".prefectignore")
    ours = uploaded(tmp_path / "ours", ".prefectignore")

    assert ".prefect/profiles.toml" in default
    assert ours == [".prefectignore", "prefect.yaml", "report.py"]


def test_the_hook_refuses_a_commit_with_a_key(project):
    copy(project.HERE / "ignore.txt", ".gitignore")
    hook = Path(copy(project.HERE / "pre-commit.sh", ".git/hooks/pre-commit"))
    hook.chmod(0o755)
    project.git("add", "report.py")
    project.git("commit", "--message", "Begin")
    project.git("add", "--force", ".prefect")
    commit = ["git", "-c", "user.name=Ada", "-c", "user.email=a@example.org"]
    refused = subprocess.run(
        [*commit, "commit", "--message", "Oops"], capture_output=True, text=True
    )

    assert refused.returncode == 1
    assert "This commit holds a secret." in refused.stderr
    assert project.git("log", "--format=%s") == "Begin"
