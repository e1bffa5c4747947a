"""Which Debian packages the stack needs, and how it gets them without starting system services."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.programs import (
    RABBITMQ_PACKAGE,
    REDIS_PACKAGE,
    explain_missing,
    find_epmd,
    find_rabbitmq,
    find_redis,
)

#: Only the tests need these: for promtool, and to make certificates.
PROMETHEUS_PACKAGE = "prometheus"
OPENSSL_PACKAGE = "openssl"
#: PHP, and AMQP libraries of producers in other languages, only for the tests.
PHP_PACKAGE = "php-cli"
PHP_AMQP_PACKAGE = "php-amqplib"
JAVA_AMQP_PACKAGE = "librabbitmq-client-java"
#: A C compiler and the C library's headers, for tests that set the clock of a server.
COMPILER_PACKAGE = "gcc"
HEADERS_PACKAGE = "libc6-dev"
ALL_PACKAGES = (RABBITMQ_PACKAGE, REDIS_PACKAGE)

IS_INSTALLED: dict[str, Callable[[], bool]] = {
    RABBITMQ_PACKAGE: lambda: bool(find_rabbitmq() and find_epmd()),
    REDIS_PACKAGE: lambda: find_redis() is not None,
    PROMETHEUS_PACKAGE: lambda: shutil.which("promtool") is not None,
    OPENSSL_PACKAGE: lambda: shutil.which("openssl") is not None,
    PHP_PACKAGE: lambda: shutil.which("php") is not None,
    PHP_AMQP_PACKAGE: lambda: Path("/usr/share/php/PhpAmqpLib").is_dir(),
    JAVA_AMQP_PACKAGE: lambda: Path("/usr/share/java/amqp-client.jar").exists(),
    COMPILER_PACKAGE: lambda: shutil.which("cc") is not None,
    HEADERS_PACKAGE: lambda: Path("/usr/include/stdlib.h").exists(),
}

# Debian asks this script before a package starts its service; 101 means "do not".
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\nexit 101\n"

APT_GET = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120")


def ensure_installed(packages: Sequence[str] = ALL_PACKAGES) -> None:
    """Install those of `packages` that are missing, if this user can.

    Raises:
        LocalServerError: If some are missing and cannot be installed here; it says what to do instead.
    """
    missing = missing_packages(packages)
    if not missing:
        return
    if not can_install():
        raise LocalServerError(explain_missing(missing))
    print(f"Installing {', '.join(missing)} with apt-get", flush=True)
    install(missing)
    still_missing = missing_packages(missing)
    if still_missing:
        raise LocalServerError(explain_missing(still_missing))


def missing_packages(packages: Sequence[str] = ALL_PACKAGES) -> list[str]:
    """Return those of `packages` whose programs this machine lacks."""
    return [package for package in packages if not IS_INSTALLED[package]()]


def can_install() -> bool:
    """Return whether this user may install Debian packages here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """Install `packages` with apt-get; their services are not started.

    Raises:
        LocalServerError: If apt-get failed; its own words are on the terminal.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_kept_down():
        for arguments in (("update",), ("install", "--yes", "--no-install-recommends", *packages)):
            command = [*APT_GET, *arguments]
            if subprocess.run(command, env=environment, stdin=subprocess.DEVNULL).returncode:
                raise LocalServerError(f"this command failed: {' '.join(command)}")


@contextmanager
def services_kept_down(policy: Path = POLICY) -> Iterator[None]:
    """Forbid packages to start services while the block runs; a policy that exists stays."""
    if policy.exists():
        yield
        return
    policy.write_text(POLICY_TEXT)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def main() -> int:
    """Install what is missing; the exit code says whether everything is there."""
    try:
        ensure_installed()
    except LocalServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
