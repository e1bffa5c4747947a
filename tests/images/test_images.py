"""The three images hold no secret, and it is known what they are made of: `make check-images`."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.images import bom
from tests.images.image import Image, docker
from tests.images.leaks import leaks

CHECKOUT = Path(__file__).parents[2]
BILLS = CHECKOUT / "build" / "bom"
SERVICES = ("api", "worker", "scheduler")

pytestmark = pytest.mark.timeout(1800)  # the first build takes minutes


@pytest.fixture(scope="session")
def built():
    """The images, built of this checkout."""
    if shutil.which("docker") is None:
        pytest.exit("tests/images needs Docker with compose", returncode=2)
    subprocess.run(["docker", "compose", "build", *SERVICES], cwd=CHECKOUT, check=True)


@pytest.fixture(params=SERVICES)
def service(request, built):
    """The name of a service whose image is built."""
    return request.param


@pytest.fixture
def image(service, tmp_path):
    """Its image."""
    return Image(f"taskyard-{service}", tmp_path)


def base_layers():
    """Return how many layers come from the base image."""
    (name,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", (CHECKOUT / "Dockerfile").read_text(), re.M)
    base = os.environ.get("PYTHON_IMAGE", name)
    return len(json.loads(docker("image", "inspect", base))[0]["RootFS"]["Layers"])


def test_an_image_holds_no_secret(image):
    """Neither in a file, though a later step removed it, nor in the steps, nor in the environment."""
    assert list(leaks(image, base_layers=base_layers())) == []


def test_a_secret_in_an_image_is_found(built, tmp_path):
    """One in a variable, in an argument of the build, in a file that is gone, and in a package of others."""
    key = "-----BEGIN EC PRIVATE KEY-----"
    (tmp_path / "Dockerfile").write_text(
        "FROM taskyard-api\nUSER 0\n"
        "ARG INDEX=https://me:hunter22@packages.example/simple\n"
        f"ENV API_KEY=0123\nRUN echo $INDEX && echo '{key}' >/app/.venv/lib/site-packages/x.pem"
        " && echo 'A=1' >/app/.env\nRUN rm /app/.env\n".replace(
            "/app/.venv/lib/", "/app/.venv/lib/python3.13/"
        )
    )
    name = "taskyard-with-secrets"
    docker("build", "--quiet", "--tag", name, str(tmp_path))
    try:
        found = list(leaks(Image(name, tmp_path), base_layers=base_layers()))
    finally:
        docker("image", "rm", "--force", name)

    assert "environment: API_KEY" in found
    assert "history: Basic Auth Credentials" in found
    assert any(each.endswith("app/.env: should not be there") for each in found)
    assert any(each.endswith("site-packages/x.pem:1: Private Key") for each in found)


def test_it_is_known_what_an_image_is_made_of(service, image):
    """Its bill names what is installed in it, in the locked versions, and is kept for whoever ships it."""
    made = bom.bill(image)
    BILLS.mkdir(parents=True, exist_ok=True)
    (BILLS / f"{service}.cdx.json").write_text(bom.text(made))

    debian, ours = (
        {each.name.lower(): each.version for each in made.components if each.purl.type == kind}
        for kind in ("deb", "pypi")
    )
    requirements = (CHECKOUT / "requirements.txt").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", requirements.lower(), re.M))
    assert {"libc6", "ca-certificates"} <= debian.keys()
    assert {"taskyard", "pika"} <= ours.keys()
    assert {name: at for name, at in ours.items() if locked.get(name, at) != at} == {}
    run = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"
    installed = docker("run", "--rm", f"taskyard-{service}", "python", "-c", run).split()
    assert set(installed) <= ours.keys()
    assert ("flask" in ours) == (service == "api")
