"""Python programs, run as a reader runs them: each in a process of its own."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

from tests.backend import patient
from tests.book import ROOT

# After this import Prefect has one thread, so a fork of it is safe on Linux.
# It saves the two seconds that the import takes. CI also runs the programs
# without, to see that it makes no difference.
FORK = sys.platform == "linux" and not os.environ.get("PROCESS_EACH")
PRELOADED = [
    "prefect.main",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.deployments.runner",
    "prefect.utilities.visualization",
    "prefect._internal.pydantic.v1_schema",
    "fastapi.encoders",
    __name__,
]


def tool(
    *command: str | Path, cwd: Path = ROOT, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine or environment to its end.

    Args:
        *command: Its name, and what stands behind it on the command line.
        cwd: The working directory.
        **options: Passed on to `subprocess.run`.

    Returns:
        The ended process, with what it printed as text.
    """
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, **options
    )


def run_program(
    program: Path,
    home: Path,
    *arguments: str | Path,
    **environment: str | None,
) -> subprocess.CompletedProcess[str]:
    """Run a program as a reader would, with its own empty Prefect home.

    Args:
        program: The Python file.
        home: Folder for its `PREFECT_HOME` and its working directory.
        *arguments: What stands behind the file on the command line.
        **environment: Further changes of the environment; None unsets.

    Returns:
        The ended process, with what it printed as text.
    """
    home.mkdir(exist_ok=True)
    own = {"PREFECT_HOME": str(home / "prefect")} | environment
    return python(program, *arguments, cwd=home, **own)


def python(
    *command: str | Path,
    cwd: Path,
    **environment: str | None,
) -> subprocess.CompletedProcess[str]:
    """Run a program or a module, and wait until it ends.

    Args:
        *command: What stands behind `python` on the command line: a file and
            its arguments, or `-m`, a module and its arguments.
        cwd: The working directory.
        **environment: Changes of the environment; None unsets.

    Returns:
        The ended process, with what it printed as text.

    Raises:
        subprocess.TimeoutExpired: If it takes five minutes on a quiet machine.
    """
    arguments = [str(part) for part in command]
    variables = _changed(environment)
    seconds = patient(300)
    if not FORK:
        return tool(
            *(sys.executable, "-W", "default::DeprecationWarning", *arguments),
            cwd=cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )
    with tempfile.TemporaryDirectory() as folder:
        printed = [Path(folder, name) for name in ("stdout", "stderr")]
        child = _child(arguments, cwd, variables, printed)
        child.join(seconds)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired(arguments, seconds)
        return subprocess.CompletedProcess(
            arguments, child.exitcode, *(file.read_text() for file in printed)
        )


@contextmanager
def beside(
    *command: str | Path, cwd: Path, **environment: str | None
) -> Iterator[BaseProcess]:
    """Run a program or a module while the block does something else.

    What it prints goes to `stdout` and `stderr` in its working directory. It is
    killed if it still runs in the end.

    Args:
        *command: As for `python`.
        cwd: The working directory, which is made.
        **environment: Changes of the environment; None unsets.
    """
    cwd.mkdir(exist_ok=True)
    printed = [cwd / "stdout", cwd / "stderr"]
    child = _child([*map(str, command)], cwd, _changed(environment), printed)
    try:
        yield child
    finally:
        child.kill()
        child.join()


def _changed(environment: dict[str, str | None]) -> dict[str, str]:
    return {
        name: value
        for name, value in (os.environ | environment).items()
        if value is not None
    }


def _child(
    arguments: list[str], cwd: Path, variables: dict[str, str], printed: list
) -> BaseProcess:
    context = multiprocessing.get_context("forkserver" if FORK else "spawn")
    context.set_forkserver_preload(PRELOADED)
    child = context.Process(
        target=_become, args=(arguments, cwd, variables, printed)
    )
    child.start()
    return child


def _become(
    arguments: list[str],
    cwd: Path,
    variables: dict[str, str],
    printed: list[Path],
) -> None:
    """Make a fork what a new interpreter would be, run it, and end it."""
    for number, file in enumerate(printed, 1):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    warnings.simplefilter("default", DeprecationWarning)
    _read_settings_again()
    try:
        _run(arguments)
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _read_settings_again() -> None:
    from prefect.context import refresh_global_settings_context
    from prefect.logging import configuration

    refresh_global_settings_context()
    configuration.PROCESS_LOGGING_CONFIG.clear()
    configuration.setup_logging()


def _run(arguments: list[str]) -> None:
    for name in [name for name in sys.modules if name.startswith("tests.")]:
        del sys.modules[name]  # a new interpreter has not imported the suite
    installed = (sys.prefix, sys.base_prefix)
    sys.path = [path for path in sys.path if path.startswith(installed)]
    if arguments[0] == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        file = arguments[0]
        sys.path.insert(0, str(Path(file).parent))
        sys.argv = arguments
        main = sys.modules["__main__"] = ModuleType("__main__")
        main.__file__ = file
        exec(compile(Path(file).read_bytes(), file, "exec"), main.__dict__)
