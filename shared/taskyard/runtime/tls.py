"""TLS to RabbitMQ and the store: which CAs are trusted, who the client is, and in words what was refused."""

import ssl
from collections.abc import Iterator

import msgspec

#: OpenSSL's numbers for a certificate of another host name or address.
_OTHER_NAME = frozenset({62, 64})
#: What an SSL library says when the other side speaks something else than TLS.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
#: What comes of it if a client shows no certificate, or one that the server does not accept. By TLS 1.3 the
#: client learns that only when it reads, or finds the connection closed when it writes.
_CLIENT_REFUSED = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLEOFError",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)


class Tls(msgspec.Struct, frozen=True):
    """Certificates for connections by `amqps://` and `rediss://`; the server's is verified, always.

    Args:
        ca_file: CAs that are trusted beside those of the system, as PEM.
        cert_file: The client's certificate with its chain, as PEM; empty: it shows none.
        key_file: The certificate's key, as PEM; empty: it is in `cert_file`.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def context(self) -> ssl.SSLContext:
        """Return what verifies certificate and host name; files are read anew, for they may be renewed.

        Raises:
            OSError: If a file cannot be used now; it could when the settings were read.
        """
        context = ssl.create_default_context()
        try:
            if self.ca_file:
                _trust(context, self.ca_file)
            if self.cert_file:
                _show(context, self.cert_file, self.key_file)
        except ValueError as error:
            raise OSError(f"TLS: {error}") from error
        return context


#: Trusts what the system trusts, and shows no certificate.
SYSTEM_CAS = Tls()


def check_ca(path: str) -> None:
    """Raise ValueError if `path` holds no certificates of CAs."""
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)


def check_client(cert_file: str, key_file: str) -> None:
    """Raise ValueError if these are no certificate and its key."""
    _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert_file, key_file)


def _trust(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ValueError(f"{path} holds no certificate in PEM form: {error.reason}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _show(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    try:
        # Without a password of ours OpenSSL asks for one on the terminal.
        context.load_cert_chain(cert_file, key_file or None, password=b"")
    except ssl.SSLError as error:
        raise ValueError(
            f"{cert_file} and {key_file or cert_file} are not a certificate and its key, in PEM form "
            f"and without a password: {error.reason or error.strerror or error}"
        ) from error
    except OSError as error:
        where = " or ".join(filter(None, (cert_file, key_file)))
        raise ValueError(f"{where} cannot be read: {error.strerror}") from error


def refusal(error: BaseException) -> str | None:
    """Return in words what TLS has refused, and what to do; None if `error` is about something else."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _explain(cause)
        # pika keeps of an error on an open connection its text only.
        if reason := next((word for word in _CLIENT_REFUSED if word in str(cause)), None):
            return _refused_client(reason)
    return None


def _explain(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"TLS: the server's certificate is refused: {error.verify_message.rstrip('.')}"
        if error.verify_code in _OTHER_NAME:
            return f"{text}; connect by a name that it is made for"
        return f"{text}; TLS_CA_FILE names the CAs to trust"
    if error.reason in _NO_TLS:
        return f"TLS: the server does not speak it on this port ({error.reason})"
    if isinstance(error, ssl.SSLEOFError):
        return _refused_client("SSLEOFError")
    if error.reason in _CLIENT_REFUSED:
        return _refused_client(error.reason)
    return f"TLS: {error}"


def _refused_client(reason: str) -> str:
    return (
        f"TLS: the server ended the connection ({reason}), as it does if it wants to see a certificate; "
        "TLS_CERT_FILE names the one to show"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
