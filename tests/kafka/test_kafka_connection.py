"""How to reach Kafka: brokers, TLS and SASL from the environment, secrets never in a message."""

from __future__ import annotations

import pytest

from unitrate.errors import InputError
from unitrate.runtime.kafka_connection import connection

SECRET = "s3cret-word"


def test_brokers_alone_are_plain() -> None:
    """Nothing in the environment means PLAINTEXT."""
    made = connection("a:9092, b:9093", {})
    assert made.options() == {
        "bootstrap_servers": ["a:9092", "b:9093"],
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }


def test_sasl_over_tls_comes_from_the_environment() -> None:
    """Mechanism, user, password and a TLS context reach the client."""
    options = connection(
        "a:9092",
        {
            "UNITRATE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "UNITRATE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "UNITRATE_KAFKA_USERNAME": "me",
            "UNITRATE_KAFKA_PASSWORD": SECRET,
        },
    ).options()
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("me", SECRET)
    assert options["ssl_context"].check_hostname


def test_a_password_never_shows() -> None:
    """Neither repr nor label have it."""
    made = connection(
        "a:9092",
        {
            "UNITRATE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "UNITRATE_KAFKA_USERNAME": "me",
            "UNITRATE_KAFKA_PASSWORD": SECRET,
        },
    )
    assert SECRET not in repr(made) + made.label


@pytest.mark.parametrize(
    ("brokers", "environment", "words"),
    [
        (None, {}, "UNITRATE_BROKERS"),
        ("localhost", {}, "host:port"),
        (f"me:{SECRET}@host:9092", {}, "UNITRATE_KAFKA_"),
        ("a:9092", {"UNITRATE_KAFKA_SECURITY_PROTOCOL": "TLS"}, "SECURITY_PROTOCOL"),
        ("a:9092", {"UNITRATE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "UNITRATE_KAFKA_PASSWORD"),
        ("a:9092", {"UNITRATE_KAFKA_PASSWORD": SECRET}, "PLAINTEXT"),
        (
            "a:9092",
            {"UNITRATE_KAFKA_SECURITY_PROTOCOL": "SSL", "UNITRATE_KAFKA_CA_FILE": "/no/such.pem"},
            "/no/such.pem",
        ),
    ],
)
def test_what_is_wrong_is_named(brokers: str | None, environment: dict[str, str], words: str) -> None:
    """One line that names the variable, and no secret."""
    with pytest.raises(InputError) as caught:
        connection(brokers, environment).options()
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
