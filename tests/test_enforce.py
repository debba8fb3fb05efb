"""The rules for ast-grep: what each finds, and how readers get them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from snippets.prefect_rules import SEVERITIES
from tests import bundle, contract, precision
from tests.book import BOOK, ROOT, SITE, SOURCE, Book, Rule
from tests.programs import tool

RULES = {rule.slug: rule for rule in BOOK.enforced}
SNIPPETS = ROOT / "snippets"
SHOWN = SNIPPETS / "linter"
NEAR_MISSES = ROOT / "tests/enforce"
# What pages show of the harm beside a dont.
WRONG = {
    "linter/orders.py",
    "secrets/never_pass_a_secret_as_a_parameter/secret_str.py",
    "secrets/reference_secrets_in_job_variables/prefect.yaml",
}
KEYS = {
    *("id", "language", "severity", "message", "note", "url"),
    *("utils", "rule", "constraints", "fix"),
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a reader unpacks."""
    folder = tmp_path_factory.mktemp("rules")
    bundle.write(bundle.rule_files(SNIPPETS), folder)
    return folder


@pytest.fixture
def repository(tmp_path: Path, rules: Path) -> Path:
    """A reader's repository that has the rules, and three mistakes."""
    shutil.copytree(rules, tmp_path / bundle.RULES)
    shutil.copy(SHOWN / "orders.py", tmp_path)
    tool("git", "init", "-q", ".", cwd=tmp_path).check_returncode()
    return tmp_path


def check(repository: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the script as a reader does."""
    script = f"{bundle.RULES}/prefect_rules.py"
    return tool(sys.executable, script, *arguments, cwd=repository)


def documents(rule: Rule) -> list[dict]:
    return [*yaml.safe_load_all(rule.enforcement.read_text("utf-8"))]


def found(folder: Path) -> dict[str, set[Path]]:
    """The files below a folder in which each rule finds something."""
    files = defaultdict(set)
    for finding in bundle.findings(BOOK, folder):
        files[finding["ruleId"]].add(folder / finding["file"])
    return files


@pytest.fixture(scope="module")
def harms() -> dict[str, set[Path]]:
    """The programs of the book in which each rule finds something."""
    return found(SNIPPETS)


def is_wrong(file: Path) -> bool:
    path = file.relative_to(SNIPPETS)
    return path.as_posix() in WRONG or any("dont" in p for p in path.parts)


def test_enough_rules_are_kept_by_a_machine():
    assert len(RULES) >= 30


@pytest.mark.parametrize("slug", RULES)
def test_the_rule_finds_the_harm_in_its_dont(slug, harms):
    rule = RULES[slug]
    files = {f for d in documents(rule) for f in harms[d["id"]]}
    assert {f for f in files if f.is_relative_to(rule.room) and is_wrong(f)}


def test_no_rule_finds_anything_on_a_right_side(harms):
    right = {
        (name, file.relative_to(SNIPPETS).as_posix())
        for name, files in harms.items()
        for file in files
        if not is_wrong(file)
    }
    assert right == set()


@pytest.mark.parametrize("slug", RULES)
def test_the_rule_says_what_is_wrong_and_where_to_read_on(slug):
    rule = RULES[slug]
    ids = [document["id"] for document in documents(rule)]
    assert ids == [slug, f"{slug}-yaml"][: len(ids)]
    for document in documents(rule):
        assert document["url"] == rule.address
        assert document["severity"] == SEVERITIES[rule.front_matter.level]
        assert re.fullmatch(r"[A-Z].{20,99}[.]", document["message"])
        assert document.keys() <= KEYS
        misses = NEAR_MISSES / f"{document['id']}.yml"
        cases = yaml.safe_load(misses.read_text("utf-8"))
        assert cases["id"] == document["id"]
        assert len({*cases["valid"]}) >= 10
        assert len({*cases["invalid"]}) >= 3


def test_near_misses_are_not_found_and_variants_are(rules, tmp_path):
    shutil.copytree(rules, tmp_path, dirs_exist_ok=True)
    shutil.copytree(NEAR_MISSES, tmp_path / "cases")
    with (tmp_path / "sgconfig.yml").open("a") as config:
        config.write("testConfigs: [{ testDir: cases }]\n")
    run = tool("ast-grep", "test", "--skip-snapshot-tests", cwd=tmp_path)
    cases = len([*NEAR_MISSES.iterdir()])
    assert f"{cases} passed; 0 failed" in run.stdout, run.stdout + run.stderr


FIXED = [
    document["id"]
    for rule in RULES.values()
    for document in documents(rule)
    if "fix" in document
]


@pytest.mark.parametrize("name", FIXED)
def test_the_fix_mends_what_the_rule_finds(name, rules, tmp_path):
    cases = yaml.safe_load((NEAR_MISSES / f"{name}.yml").read_text("utf-8"))
    for number, case in enumerate(cases["invalid"]):
        (tmp_path / f"case_{number}.py").write_text(case, "utf-8")
    config = f"--config={rules / 'sgconfig.yml'}"
    select = f"--filter=^{name}$"
    tool("ast-grep", "scan", config, select, "--update-all", cwd=tmp_path)
    assert found(tmp_path)[name] == set()
    for file in tmp_path.iterdir():
        compile(file.read_text("utf-8"), file.name, "exec")


def test_the_linter_is_right_in_the_code_of_others():
    contract.report(precision.problems(BOOK))


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("snippets/enforce/prefect.yml", "prefect", "other", "not measured"),
        ("tests/precision.tsv", "\tright\t", "\twrong\t", "Narrow it"),
        ("tests/precision.tsv", "key-your-cache", "back-off", "Read more"),
        ("tests/precision.tsv", "key-your-cache", "back-off", "no such rule"),
    ],
)
def test_a_rule_that_may_be_wrong_is_found(file, old, new, said, copy):
    text = (copy / file).read_text("utf-8")
    (copy / file).write_text(text.replace(old, new), "utf-8")
    assert any(said in problem for problem in precision.problems(Book(copy)))


def test_the_linter_reads_much_code_in_little_time(tmp_path):
    programs = [file.read_text("utf-8") for file in SNIPPETS.glob("*/*/*.py")]
    lines = sum(text.count("\n") for text in programs)
    for copy in range(100_000 // lines + 1):
        for number, text in enumerate(programs):
            (tmp_path / f"copy_{copy}_{number}.py").write_text(text, "utf-8")
    before = os.times()
    found(tmp_path)
    after = os.times()
    taken = after.children_user + after.children_system
    assert taken - before.children_user - before.children_system < 5


def test_the_page_says_what_the_linter_finds(repository, record):
    run = check(repository, "--warn", f"--site={SITE}", "orders.py")
    assert run.returncode == 0, run.stderr
    record(SHOWN / "found.txt", run.stdout)
    slugs = ["retry-tasks-not-flows", "never-pass-a-secret-as-a-parameter"]
    for slug in [*slugs, "resolve-every-future"]:
        assert f" {slug}: " in run.stdout
        assert f"    {SITE}{RULES[slug].address}\n" in run.stdout
    assert check(repository).returncode == 1


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--off=retry-tasks", "no such rule. Near: retry-tasks-not-flows"),
        ("flows.py", "flows.py: there is no such file"),
        ("--lever", "unrecognized arguments: --lever"),
    ],
)
def test_a_wrong_argument_is_refused(argument, said, repository):
    run = check(repository, argument)
    assert run.returncode == 2
    assert said in run.stderr


def test_without_ast_grep_it_says_what_to_install(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    script = f"{bundle.RULES}/prefect_rules.py"
    python = Path(sys.executable).resolve()  # outside of the environment
    run = tool(python, script, cwd=repository)
    assert run.returncode == 1
    assert "pip install ast-grep-cli" in run.stderr


def test_a_broken_rule_is_no_silence(repository):
    room = "resilience/retry_tasks_not_flows"
    broken = repository / bundle.RULES / room / "enforce.yml"
    broken.write_text("id: x\n", "utf-8")
    run = check(repository)
    assert run.returncode == 1
    assert "enforce.yml" in run.stderr


def test_a_level_adds_those_below_it(repository):
    shutil.copy(
        SNIPPETS / "scaling/schedule_in_a_time_zone/dont.py", repository
    )
    plain = check(repository, "dont.py")
    assert (plain.returncode, plain.stdout) == (0, "")
    wider = check(repository, "--level=recommended", "dont.py")
    assert wider.returncode == 1
    assert "schedule-in-a-time-zone" in wider.stdout
    without = "--off=schedule-in-a-time-zone"
    assert not check(
        repository, "--level=recommended", without, "dont.py"
    ).stdout


def test_what_is_recorded_is_known_and_what_comes_on_top_is_not(repository):
    recording = check(repository, "--record")
    assert recording.stdout == ".prefect-rules.json: 3 known findings\n"
    assert check(repository).returncode == 0

    file = repository / "orders.py"
    file.write_text("# Its lines move.\n\n" + file.read_text("utf-8"), "utf-8")
    assert check(repository).returncode == 0

    with file.open("a", encoding="utf-8") as end:
        end.write("        charge.submit(order)\n")
    again = check(repository)
    assert again.returncode == 1
    assert again.stdout.count("resolve-every-future: ") == 2
    assert "retry-tasks-not-flows" not in again.stdout
    assert check(repository, "--warn").returncode == 0
    assert check(repository, "--all").stdout.count("\n") == 8

    part = check(repository, "--record", "orders.py")
    assert part.returncode == 2
    assert "leave the paths out" in part.stderr
    (repository / ".prefect-rules.json").write_text("{")
    broken = check(repository)
    assert broken.returncode == 1
    assert ".prefect-rules.json: Expecting" in broken.stderr


def test_what_is_recorded_is_known_in_each_folder(repository):
    flows = repository / "flows"
    flows.mkdir()
    (repository / "orders.py").rename(flows / "orders.py")
    script = repository / bundle.RULES / "prefect_rules.py"
    python = (sys.executable, script)
    assert tool(*python, "--record", cwd=flows).returncode == 0
    record = json.loads((repository / ".prefect-rules.json").read_text())
    assert [*record] == ["flows/orders.py"]
    assert not (flows / ".prefect-rules.json").exists()
    for arguments in ([], ["orders.py"], [flows / "orders.py"], [repository]):
        run = tool(*python, *arguments, cwd=flows)
        assert (run.returncode, run.stdout) == (0, ""), arguments


def test_github_shows_a_finding_beside_its_line(repository):
    run = check(repository, "--github", "--site=https://example.org/")
    rule = RULES["retry-tasks-not-flows"]
    (message,) = (document["message"] for document in documents(rule))
    assert (
        "::error file=orders.py,line=8,title=retry-tasks-not-flows::"
        f"{message} https://example.org/{rule.address}"
    ) in run.stdout.splitlines()


def test_other_tools_get_sarif(repository):
    run = tool("sh", "-e", str(SHOWN / "sarif.sh"), cwd=repository)
    (report,) = json.loads(run.stdout)["runs"]
    assert len(report["results"]) == 3
    assert {r["level"] for r in report["results"]} == {"error"}


def test_a_comment_with_the_name_of_the_rule_lets_one_line_be(repository):
    ignored = (SHOWN / "ignored.py").read_text("utf-8")
    file = repository / "orders.py"
    file.write_text(ignored, "utf-8")
    assert check(repository).stdout == ""
    other = ignored.replace("retry-tasks-not-flows", "resolve-every-future")
    file.write_text(other, "utf-8")
    assert "retry-tasks-not-flows" in check(repository).stdout


def test_it_is_adopted_as_the_page_says(tmp_path):
    shutil.copy(SHOWN / "orders.py", tmp_path)
    tool("git", "init", "-q", ".", cwd=tmp_path).check_returncode()
    offered = ROOT / "docs/prefect-rules.zip"
    adopt = (SHOWN / "adopt.sh").read_text("utf-8")
    adopt = adopt.replace(f"{SITE}{offered.name}", offered.as_uri())
    # What it installs is here, in this version.
    adopt = adopt.replace("pip install", "pip install --no-index")
    run = tool("sh", "-euc", adopt, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (SHOWN / "found.txt").read_text("utf-8") in run.stdout

    record = (SHOWN / "record.sh").read_text("utf-8")
    tool("sh", "-euc", record, cwd=tmp_path).check_returncode()
    assert check(tmp_path).returncode == 0
    staged = tool("git", "diff", "--cached", "--name-only", cwd=tmp_path)
    assert ".prefect-rules.json" in staged.stdout.splitlines()


def test_pre_commit_installs_the_rules_from_this_repository(
    repository, tmp_path_factory, monkeypatch
):
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", ".pre-commit-hooks.yaml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(SNIPPETS, source / "snippets")
    git = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org")
    for command in (
        ["init", "-q", "--initial-branch=main"],
        ["add", "."],
        ["commit", "-qm", "Rules"],
    ):
        tool(*git, *command, cwd=source).check_returncode()
    commit = tool("git", "rev-parse", "HEAD", cwd=source).stdout.strip()

    text = (SHOWN / "pre-commit-config.yaml").read_text("utf-8")
    text = text.replace(SOURCE, str(source))
    config = repository / ".pre-commit-config.yaml"
    config.write_text(text, "utf-8")
    shutil.rmtree(repository / bundle.RULES)
    tool("git", "add", ".", cwd=repository).check_returncode()
    hooks = source.parent / "hooks"
    monkeypatch.setenv("PRE_COMMIT_HOME", str(hooks))
    run = tool("pre-commit", "run", cwd=repository)
    assert run.returncode == 1, run.stdout + run.stderr
    address = RULES["retry-tasks-not-flows"].address
    assert f"{SITE}{address}" in run.stdout

    commands = (SHOWN / "pre-commit.sh").read_text("utf-8")
    run = tool("sh", "-euc", commands, cwd=repository)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"rev: {commit}" in config.read_text("utf-8")
    committing = tool(*git, "commit", "-qm", "As it was", cwd=repository)
    assert committing.returncode == 0, committing.stderr

    package = next(hooks.rglob("site-packages/prefect_rules/sgconfig.yml"))
    files = {
        file.relative_to(package.parent).as_posix()
        for file in package.parent.rglob("*")
        if file.suffix in (".yml", ".py")
    }
    assert files == bundle.rule_files(SNIPPETS).keys() | {"find_rule.py"}


def test_all_name_the_version_of_ast_grep_that_is_tested():
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    (pin,) = re.findall(r"^ast-grep-cli==[\d.]+", lock, re.MULTILINE)
    for file in (
        *(ROOT / "pyproject.toml", SNIPPETS / "prefect_rules.py"),
        *(SHOWN / "adopt.sh", SHOWN / "workflow.yaml"),
    ):
        assert pin in file.read_text("utf-8"), file.name
