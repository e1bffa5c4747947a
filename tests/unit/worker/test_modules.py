"""Task modules are loaded by name, and what is wrong with them is said in words."""

import sys
import uuid

import pytest

from services.worker.modules import load_tasks
from taskyard.errors import ConfigurationError
from taskyard.task import registry


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with no task known; what is loaded from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    known = dict(registry)
    loaded = set(sys.modules)
    path = list(sys.path)
    registry.clear()
    yield tmp_path
    registry.clear()
    registry.update(known)
    sys.path[:] = path
    for name in set(sys.modules) - loaded:
        del sys.modules[name]


@pytest.fixture
def module(folder):
    """A function that writes a module and returns its name, which no other test uses."""

    def write(text, name=None):
        name = name or f"module_{uuid.uuid4().hex}"
        path = folder / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return write


TASK = "from taskyard import task\n\n\n@task\ndef {name}(a: int) -> int:\n    return a\n"


def test_the_tasks_of_all_modules_are_loaded(module):
    """From the working directory, packages too."""
    one = module(TASK.format(name="first"))
    other = module(TASK.format(name="second"), name=f"package_{uuid.uuid4().hex}.inner")

    assert load_tasks([one, other]).keys() == {"first", "second"}


def test_a_module_that_is_not_there_is_named(folder):
    """With the folder that was searched and the variable to mend."""
    with pytest.raises(ConfigurationError) as caught:
        load_tasks(["nowhere_to_be_found"])

    assert "TASK_MODULES" in str(caught.value)
    assert "'nowhere_to_be_found'" in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_module_of_a_package_that_is_not_there_is_named(module):
    """Also where only its last part is missing."""
    package = f"package_{uuid.uuid4().hex}"
    module(TASK.format(name="third"), name=f"{package}.inner")

    with pytest.raises(ConfigurationError, match=rf"{package}\.other"):
        load_tasks([f"{package}.other"])


BAD_OPTION = "from taskyard import task\n\n\n@task(retry=3)\ndef f() -> None:\n    pass\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "import json\nimport not_installed_anywhere\n",
            "line 2 (import not_installed_anywhere): ModuleNotFoundError: No module named "
            "'not_installed_anywhere'; is it installed where the worker runs?",
        ),
        ("from json import nothing\n", "line 1 (from json import nothing): ImportError: cannot"),
        ("x = 1\n\ndef f(:\n", "line 3 (def f(:): SyntaxError: invalid syntax"),
        ("def f():\nx = 1\n", "line 2 (x = 1): IndentationError: expected an indented block"),
        ("def f():\n    return 1 / 0\n\nf()\n", "line 2 (return 1 / 0): ZeroDivisionError: div"),
        ("import sys\nsys.exit(3)\n", "line 2 (sys.exit(3)): SystemExit: 3"),
        ("raise KeyboardInterrupt\n", "line 1 (raise KeyboardInterrupt): KeyboardInterrupt"),
        ("import pytest\npytest.skip('x', allow_module_level=True)\n", "Skipped: x"),
        ("import json\njson.loads('{')\n", "line 2 (json.loads('{')), raised in "),
        (BAD_OPTION, "line 4 (@task(retry=3)): TypeError: "),
        (BAD_OPTION.replace("retry=3", "priority=11"), "line 4 (@task(priority=11)): ValueError: "),
        (f"x = 1\nraise KeyError('{'x' * 5000}')\n", "xxx…): KeyError: 'xxx"),
        ("class Odd(Exception):\n    __str__ = None\n\nraise Odd\n", "line 4 (raise Odd): "),
    ],
)
def test_a_broken_module_is_named_with_the_line_and_the_error(module, folder, text, told):
    """Whatever fails while it is imported: one text, of the user's code and not of what finds the fault."""
    name = module(text)

    with pytest.raises(ConfigurationError) as caught:
        load_tasks([name])

    message = str(caught.value)
    where = f"TASK_MODULES names {name!r}, which cannot be imported: {folder}/{name}.py, line "
    assert message.startswith(where)
    assert told in message
    assert len(message) < 2_000


def test_a_fault_in_what_a_module_imports_is_told_where_it_is(module, folder):
    """In the helper beside it, not in the line that imports that."""
    inner = module("\n1 / 0\n")
    outer = module(f"import {inner}\n")

    with pytest.raises(ConfigurationError, match=f"{folder}/{inner}.py, line 2 "):
        load_tasks([outer])


@pytest.mark.parametrize("hint", ["Nowhere", "3", "]"])
def test_hints_that_mean_nothing_are_told_with_their_task(module, folder, hint):
    """They are text until the worker looks at them."""
    name = module(
        f"from taskyard import task\n\n\n@task\ndef odd(a: {hint!r}) -> None:\n    pass\n"
    )

    with pytest.raises(ConfigurationError) as caught:
        load_tasks([name])

    assert f"type hints of task 'odd' cannot be used: {folder}/{name}.py, line 4: " in str(
        caught.value
    )


def test_modules_without_a_task_are_refused(module):
    """A worker that can run nothing is a mistake."""
    names = [module(""), module("x = 1\n")]

    with pytest.raises(ConfigurationError, match=f"TASK_MODULES={','.join(names)}"):
        load_tasks(names)


def test_two_tasks_of_one_name_are_refused(module):
    """Which of them would run is no matter of luck."""
    names = [module(TASK.format(name="twice")), module(TASK.format(name="twice"))]

    with pytest.raises(ConfigurationError, match=r"line 4 \(@task\).*two tasks are called 'twice'"):
        load_tasks(names)


def test_a_module_may_be_named_twice(module):
    """Nothing is loaded again."""
    name = module(TASK.format(name="once"))

    assert list(load_tasks([name, name])) == ["once"]
