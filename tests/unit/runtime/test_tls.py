"""Settings for TLS: what is wrong with a file is said at the start, and verification cannot be turned off."""

import ssl

import pytest

from taskyard import config
from taskyard.errors import BrokerUnavailable, ConfigurationError
from taskyard.rabbitmq.inspect import DepthReader
from taskyard.runtime.tls import Tls
from tests.secured import Authority

URLS = {"broker_url": "amqps://u:p@rabbit/", "result_backend": "rediss://redis/0"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A CA."""
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def client(authority):
    """A client's certificate."""
    return authority.issue("client")


def test_good_files_are_taken(authority, client):
    """The context verifies the certificate and the host name, and knows the CA."""
    settings = config.load(
        **URLS,
        tls_ca_file=str(authority.ca.cert),
        tls_cert_file=str(client.cert),
        tls_key_file=str(client.key),
    )

    context = settings.tls.context()

    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert ((("commonName", "ca"),),) in [ca["subject"] for ca in context.get_ca_certs()]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            {"tls_ca_file": "{folder}/none.pem"},
            "TLS_CA_FILE='{folder}/none.pem': {folder}/none.pem ",
        ),
        ({"tls_ca_file": "{key}"}, "holds no certificate in PEM form"),
        ({"tls_cert_file": "{cert}"}, "TLS_KEY_FILE='': {cert} and {cert} are not a certificate"),
        ({"tls_cert_file": "{cert}", "tls_key_file": "{ca_key}"}, "KEY_VALUES_MISMATCH"),
        ({"tls_cert_file": "{cert}", "tls_key_file": "{locked}"}, "without a password"),
        ({"tls_cert_file": "{folder}/none.pem"}, "cannot be read: No such file"),
        ({"tls_key_file": "{key}"}, "TLS_KEY_FILE='{key}': is the key of a certificate"),
    ],
)
def test_unusable_files_are_named(authority, client, tmp_path, wrong, told):
    """With the setting, the file and what is wrong; nothing asks for a password."""
    names = {
        "folder": tmp_path,
        "cert": client.cert,
        "key": client.key,
        "ca_key": authority.ca.key,
        "locked": authority.lock(client),
    }

    with pytest.raises(ConfigurationError) as caught:
        config.load(**URLS, **{name: text.format(**names) for name, text in wrong.items()})

    assert told.format(**names) in str(caught.value)


def test_a_file_that_no_url_uses_is_a_mistake(authority):
    """Else who forgot the s in amqps would believe that it is verified."""
    with pytest.raises(ConfigurationError, match=r"TLS_CA_FILE=.* neither BROKER_URL \(amqps"):
        config.load(
            broker_url="amqp://rabbit/",
            result_backend="redis://redis/0",
            tls_ca_file=str(authority.ca.cert),
        )


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("broker_url", "amqps://u:secret@rabbit/?ssl_options={'cert_reqs':0}"),
        ("result_backend", "rediss://:secret@redis/0?ssl_cert_reqs=none"),
        ("result_backend", "rediss://:secret@redis/0?ssl_check_hostname=false"),
    ],
)
def test_a_url_cannot_turn_verification_off(name, url):
    """It is told, without the password."""
    with pytest.raises(ConfigurationError, match="servers are always verified") as caught:
        config.load(**{**URLS, name: url})

    assert "secret" not in str(caught.value)


def test_a_file_that_is_gone_later_is_named(tmp_path):
    """Files are read with each connection."""
    gone = Tls(ca_file=str(tmp_path / "gone.pem"))

    with pytest.raises(BrokerUnavailable, match=r"TLS: .*gone\.pem cannot be read"):
        DepthReader("amqps://127.0.0.1:1/", tls=gone).depths(["any"])
