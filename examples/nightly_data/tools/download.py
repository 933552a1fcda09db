"""Download one file. A command reaches hosts through tek's proxy alone, which opens a tunnel where a permit leads."""

import http.client
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 8


def connect(host: str, port: int) -> http.client.HTTPConnection:
    """Return a connection through the proxy that the environment names, or a direct one where it names none."""
    proxy = urlsplit(os.environ.get("https_proxy", ""))
    if not proxy.hostname:
        return http.client.HTTPConnection(host, port, timeout=SECONDS)
    connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=SECONDS)
    connection.set_tunnel(host, port)
    return connection


def main(source: str, target: Path) -> int:
    """Write what ``source`` answers to ``target``, whole or not at all; return 1 where it does not answer with 200."""
    url = urlsplit(source)
    connection = connect(url.hostname or "", url.port or 80)
    try:
        connection.request("GET", url.path, headers={"Host": url.netloc})
        response = connection.getresponse()
        data = response.read()
    except (OSError, http.client.HTTPException) as error:
        permit = f"net.http:* {url.scheme}://{url.netloc}/**"
        print(f"{source}: {error}; is it up, and is there a permit for it ({permit})?")
        return 1
    finally:
        connection.close()
    if response.status != 200:
        print(f"{source}: {response.status} {response.reason}")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft")
    draft.write_bytes(data)
    draft.replace(target)
    print(f"{source}: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
