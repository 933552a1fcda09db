from __future__ import annotations

import gc
import os
import ssl
from collections import Counter
from collections.abc import Callable, Iterator

import httpcore  # noqa: F401  # what it opens while it loads is no leak of a test
import pytest

from tests.effects_net.servers import Client, Names, Server, Talk


def open_descriptors() -> Counter[str]:
    found: Counter[str] = Counter()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[os.readlink(f"/proc/self/fd/{fd}")] += 1
        except FileNotFoundError:  # the listing's own descriptor
            continue
    return found


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    before = open_descriptors()
    yield
    if open_descriptors() - before:
        gc.collect()  # the traceback of an expected error may hold a server's socket
    assert not open_descriptors() - before


@pytest.fixture
def serve(no_descriptor_leaks: None) -> Iterator[Callable[..., Server]]:
    """Start servers, which stop when the test ends."""
    servers: list[Server] = []

    def start(talk: Talk, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(talk, address, port, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def names() -> Names:
    return Names(localhost=[["127.0.0.1"]])


@pytest.fixture
def client(names: Names) -> Client:
    return Client(names)
