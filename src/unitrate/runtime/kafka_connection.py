"""How to reach Kafka: brokers from `--brokers`, TLS and SASL from the environment.

    UNITRATE_KAFKA_SECURITY_PROTOCOL  PLAINTEXT (default), SSL, SASL_PLAINTEXT, SASL_SSL
    UNITRATE_KAFKA_SASL_MECHANISM     PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
    UNITRATE_KAFKA_USERNAME           UNITRATE_KAFKA_PASSWORD
    UNITRATE_KAFKA_CA_FILE            certificates to trust (default: the machine's)
    UNITRATE_KAFKA_CERT_FILE          UNITRATE_KAFKA_KEY_FILE    client certificate, where brokers ask for one

Secrets come from the environment only, never from arguments (a process list shows those), and never go into
a message, a log or a `repr`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unitrate.errors import InputError

PREFIX = "UNITRATE_KAFKA_"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """A checked way to the brokers. `options()` is what aiokafka's clients take."""

    bootstrap: tuple[str, ...]
    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @property
    def label(self) -> str:
        """The brokers, for messages."""
        return ",".join(self.bootstrap)

    @property
    def uses_sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    def ssl_context(self) -> ssl.SSLContext | None:
        if not self.protocol.endswith("SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file or None)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(name for name in (self.ca_file, self.cert_file, self.key_file) if name)
            raise InputError(f"Kafka's TLS files {files} cannot be used: {error}") from None
        return context

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap),
            "security_protocol": self.protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.uses_sasl:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


def connection(brokers: str | None, environment: Mapping[str, str] | None = None) -> KafkaConnection:
    """What `--brokers` and the environment say, checked. Raises InputError that names the variable."""
    if not brokers:
        raise InputError("which Kafka? Give --brokers HOST:PORT,…, or set UNITRATE_BROKERS")
    values = os.environ if environment is None else environment

    def value(name: str) -> str:
        return values.get(PREFIX + name, "")

    made = KafkaConnection(
        bootstrap=tuple(_address(part) for part in brokers.split(",")),
        protocol=(value("SECURITY_PROTOCOL") or "PLAINTEXT").upper(),
        mechanism=(value("SASL_MECHANISM") or "PLAIN").upper(),
        username=value("USERNAME"),
        password=value("PASSWORD"),
        ca_file=value("CA_FILE"),
        cert_file=value("CERT_FILE"),
        key_file=value("KEY_FILE"),
    )
    _check(made)
    return made


def _address(text: str) -> str:
    host, _, port = text.strip().rpartition(":")
    valid = host and port.isdigit() and 0 < int(port) < 65536 and "@" not in text and "/" not in text
    if not valid:
        # The text is not repeated: somebody may have written user:password@host here.
        raise InputError("--brokers takes host:port,…; credentials go into UNITRATE_KAFKA_… variables")
    return f"{host}:{port}"


def _check(made: KafkaConnection) -> None:
    if made.protocol not in PROTOCOLS:
        raise InputError(f"{PREFIX}SECURITY_PROTOCOL is none of {', '.join(PROTOCOLS)}")
    if made.mechanism not in MECHANISMS:
        raise InputError(f"{PREFIX}SASL_MECHANISM is none of {', '.join(MECHANISMS)}")
    if made.uses_sasl and not (made.username and made.password):
        raise InputError(f"{made.protocol} needs {PREFIX}USERNAME and {PREFIX}PASSWORD")
    if (made.username or made.password) and not made.uses_sasl:
        raise InputError(f"{PREFIX}USERNAME is set, but {PREFIX}SECURITY_PROTOCOL is {made.protocol}")
