"""Secrets in an image: in the files of its layers, in the steps that made it, in its environment."""

import fnmatch
from collections.abc import Iterator

from detect_secrets.core.scan import scan_line
from detect_secrets.settings import transient_settings

from tests.images.image import Image

#: What has no place in an image, whatever is in it.
UNWANTED = (
    "*.env",
    "*.key",
    "*.p12",
    "*.pfx",
    "*/.git/*",
    "*/.git-credentials",
    "*/.netrc",
    "*/.npmrc",
    "*/.pypirc",
    "*/.ssh/*",
    "*/deploy/*",
    "*/id_ed25519",
    "*/id_rsa",
    "*/pip.conf",
    "root/.cache/*",
    "run/secrets/*",
)
#: The variables that the base image and the Dockerfile set.
VARIABLES = {
    "API_HOST",
    "GPG_KEY",
    "LANG",
    "METRICS_HOST",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "PYTHON_SHA256",
    "PYTHON_VERSION",
}
#: Those that know a secret by its form. Entropy and words would find a hash in each lock file.
_DETECTORS = (
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "StripeDetector",
    "TwilioKeyDetector",
)
#: Packages of others have keys and addresses in their examples; theirs are only looked at for private keys.
_OTHERS, _OURS = "*/site-packages/*", "*/site-packages/taskyard/*"
_KEY = "PRIVATE KEY-----"
_LARGEST = 1_000_000
#: What stands for a password in our words and defaults.
_NO_SECRETS = {"guest", "password"}


def leaks(image: Image, *, base_layers: int) -> Iterator[str]:
    """Give a line for each secret; what the base image has is its own business."""
    yield from (f"environment: {name}" for name in image.variables.keys() - VARIABLES)
    with transient_settings({"plugins_used": [{"name": each} for each in _DETECTORS]}):
        for step in image.history:
            yield from (f"history: {kind}" for kind in _kinds(step))
        for path, content in image.files(skip_layers=base_layers):
            if any(fnmatch.fnmatch(f"/{path}", f"*/{each}") for each in UNWANTED):
                yield f"{path}: should not be there"
            text = content.read(_LARGEST).decode(errors="replace")
            is_others = fnmatch.fnmatch(path, _OTHERS) and not fnmatch.fnmatch(path, _OURS)
            if is_others and _KEY not in text:
                continue
            for number, line in enumerate(text.splitlines(), 1):
                yield from (f"{path}:{number}: {kind}" for kind in _kinds(line))


def _kinds(line: str) -> list[str]:
    return [each.type for each in scan_line(line) if each.secret_value not in _NO_SECRETS]
