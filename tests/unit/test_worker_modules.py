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


def test_what_a_module_itself_misses_is_its_own_error(module):
    """It is there: its author has to see what it could not import."""
    name = module("import not_installed_anywhere\n")

    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load_tasks([name])


def test_an_error_of_a_module_is_shown_as_it_is(module):
    """With its own traceback."""
    with pytest.raises(ZeroDivisionError):
        load_tasks([module("1 / 0\n")])
    with pytest.raises(SyntaxError):
        load_tasks([module("def :\n")])


def test_modules_without_a_task_are_refused(module):
    """A worker that can run nothing is a mistake."""
    names = [module(""), module("x = 1\n")]

    with pytest.raises(ConfigurationError, match=f"TASK_MODULES={','.join(names)}"):
        load_tasks(names)


def test_two_tasks_of_one_name_are_refused(module):
    """Which of them would run is no matter of luck."""
    names = [module(TASK.format(name="twice")), module(TASK.format(name="twice"))]

    with pytest.raises(ValueError, match="twice"):
        load_tasks(names)


def test_a_module_may_be_named_twice(module):
    """Nothing is loaded again."""
    name = module(TASK.format(name="once"))

    assert list(load_tasks([name, name])) == ["once"]
