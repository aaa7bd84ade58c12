"""A real S3-compatible server (SeaweedFS) on this machine, for as long as a block lasts."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60


@dataclass(frozen=True)
class S3Endpoint:
    url: str
    access_key: str = "tester"
    secret_key: str = "only-for-tests"

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 reads."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def running(folder: Path) -> Iterator[S3Endpoint]:
    """Start the server with its data and log in ``folder``; it ends with the block."""
    s3, s3_grpc, *others = _free_ports(8)
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    ports = [f"-{name}={port}" for name, port in zip(names, others, strict=True)]
    endpoint = S3Endpoint(f"http://127.0.0.1:{s3}")
    config = folder / "s3.json"
    config.write_text(json.dumps(_identities(endpoint)))
    command = [
        str(Path(sys.executable).with_name("weed")), "server", f"-dir={folder}", "-ip=127.0.0.1", "-s3",
        f"-s3.config={config}", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=1000", *ports,
    ]  # fmt: skip
    with (folder / "weed.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(endpoint, server, folder / "weed.log")
            yield endpoint
        finally:
            server.kill()  # It would take half a minute to say goodbye; its data are for nobody.
            server.wait()


def _identities(endpoint: S3Endpoint) -> dict:
    credentials = [{"accessKey": endpoint.access_key, "secretKey": endpoint.secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "tester", "credentials": credentials, "actions": actions}]}


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait(endpoint: S3Endpoint, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(f"{endpoint.url}/healthz", timeout=1)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(log.read_text()[-3000:])
