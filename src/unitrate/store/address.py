"""Where a store is: a folder of this machine, or a ClickHouse server.

Owns reading `--store`. Must never put a password into a message: `label` is what messages show.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from unitrate.errors import InputError

SERVER_SCHEMES = ("clickhouse", "clickhouses")
_PORTS = {"clickhouse": 8123, "clickhouses": 8443}


@dataclass(frozen=True, slots=True)
class FolderAddress:
    """A folder with an embedded engine in it; `label` is the folder as the caller wrote it."""

    path: Path
    label: str


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A ClickHouse server, spoken to over HTTP(S)."""

    host: str
    port: int
    user: str
    database: str
    secure: bool
    label: str  # the address without its password
    password: str = field(default="", repr=False)


def parse_address(spec: str) -> FolderAddress | ServerAddress:
    """What `--store` names. Raises InputError with the form that was expected."""
    if not spec:
        raise InputError("no store given: use --store FOLDER, --store clickhouse://…, or set UNITRATE_STORE")
    scheme, separator, _ = spec.partition("://")
    if not separator:
        return FolderAddress(Path(spec).expanduser(), spec)
    if scheme not in SERVER_SCHEMES:
        raise InputError(
            f"store scheme {scheme!r} is unknown: use a folder, or clickhouse://user:password@host:port/database"
        )
    return _server_address(scheme, spec)


def _server_address(scheme: str, spec: str) -> ServerAddress:
    try:
        url = urlsplit(spec)
        port = url.port or _PORTS[scheme]
    except ValueError:
        # `from None`: the cause would print the whole address, password included.
        raise InputError(f"the store address {scheme}://… has no valid host and port") from None
    if not url.hostname:
        raise InputError(f"the store address {scheme}://… names no host")
    if parse_qsl(url.query) or url.fragment:
        raise InputError(f"the store address {scheme}://{url.hostname}… takes no ?query or #fragment")
    user = unquote(url.username or "default")
    database = unquote(url.path.strip("/")) or "unitrate"
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return ServerAddress(
        host=url.hostname,
        port=port,
        user=user,
        database=database,
        secure=scheme == "clickhouses",
        label=f"{scheme}://{user}@{host}:{port}/{database}",
        password=unquote(url.password or ""),
    )
