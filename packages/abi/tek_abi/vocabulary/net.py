"""The request of the HTTP effect."""

from __future__ import annotations

from typing import ClassVar

import attrs

from tek_abi.blob import Blob
from tek_abi.request import Request


@attrs.frozen
class Response:
    """An HTTP response. Header names are in lower case. Redirects are answers like any other."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: Blob


@attrs.frozen
class Http(Request[Response]):
    """Send one HTTP request. Redirects are not followed here: each hop is a request of its own.

    ``timeout`` is in milliseconds. A header value ``secret:NAME`` stands for the operator's variable.
    """

    effect: ClassVar[str] = "net.http"
    output: ClassVar[type] = Response
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Blob | None = None
    timeout: int | None = None
