"""Ways to write 127.0.0.1, and places beside it, that must not be reached under a permit for any host."""

from __future__ import annotations

HOSTS = {
    "decimal": "2130706433",
    "hexadecimal": "0x7f000001",
    "mixed hexadecimal": "0x7f.1",
    "octal": "017700000001",
    "dotted octal": "0177.0.0.1",
    "short": "127.1",
    "zero": "0",
    "any address": "0.0.0.0",
    "loopback": "127.0.0.1",
    "another loopback": "127.8.8.8",
    "any address of IPv6": "[::]",
    "loopback of IPv6": "[::1]",
    "mapped": "[::ffff:127.0.0.1]",
    "mapped in hex": "[::ffff:7f00:1]",
    "compatible": "[::127.0.0.1]",
    "NAT64": "[64:ff9b::7f00:1]",
    "6to4": "[2002:7f00:1::]",
    "a zone": "[fe80::1%25lo]",
    "a bare zone": "[fe80::1%lo]",
    "full-width dots": "127\uff0e0\uff0e0\uff0e1",
    "ideographic dots": "127\u30020\u30020\u30021",
    "full-width digits": "\uff11\uff12\uff17.0.0.1",
    "circled digits": "\u2460\u2461\u2466.0.0.1",
    "a final dot": "localhost.",
    "an address with a final dot": "127.0.0.1.",
    "localhost": "localhost",
    "below localhost": "a.localhost",
    "a user": "allowed.example@127.0.0.1",
    "a password": "a:b@127.0.0.1",
    "a fragment before a user": "127.0.0.1#@allowed.example",
    "a backslash before a user": "127.0.0.1\\@allowed.example",
    "a question before a user": "127.0.0.1?@allowed.example",
    "a blank": "127.0.0.1 allowed.example",
    "a tab": "127.0.0.1\tallowed.example",
    "a line end": "127.0.0.1\r\nx: y",
    "an encoded line end": "127.0.0.1%0d%0ax",
    "NUL": "127.0.0.1\0.example",
    "an encoded host": "%31%32%37.0.0.1",
    "metadata": "169.254.169.254",
    "metadata elsewhere": "168.63.129.16",
    "metadata of IPv6": "[fd00:ec2::254]",
    "a private network": "10.0.0.1",
    "multicast": "224.0.0.1",
    "broadcast": "255.255.255.255",
}
"""Hosts by what they are an instance of. A form that is no host must be refused as such."""

SCHEMES = ("file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://127.0.0.1/", "ws://127.0.0.1/", "//127.0.0.1/", "")

SMUGGLED = {
    "another host header": "CONNECT 127.0.0.1:PORT HTTP/1.1\r\nhost: allowed.example:80\r\n\r\n",
    "a URL": "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nhost: allowed.example\r\n\r\n",
    "a path with a host": "GET / HTTP/1.1\r\nhost: 127.0.0.1:PORT\r\n\r\n",
    "a second request": "CONNECT allowed.example:80 HTTP/1.1\r\n\r\nCONNECT 127.0.0.1:PORT HTTP/1.1\r\n\r\n",
    "a body that is a request": "CONNECT allowed.example:80 HTTP/1.1\r\ncontent-length: 40\r\n\r\n"
    "CONNECT 127.0.0.1:PORT HTTP/1.1\r\n\r\n",
    "a chunked body": "CONNECT allowed.example:80 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": "CONNECT allowed.example:80 HTTP/1.1\r\nhost: x\r\n CONNECT 127.0.0.1:PORT HTTP/1.1\r\n\r\n",
    "a blank before the colon": "CONNECT allowed.example:80 HTTP/1.1\r\nhost : 127.0.0.1\r\n\r\n",
    "bare line feeds": "CONNECT allowed.example:80 HTTP/1.1\nCONNECT 127.0.0.1:PORT HTTP/1.1\n\n\r\n\r\n",
    "a bare carriage return": "CONNECT allowed.example:80 HTTP/1.1\rCONNECT 127.0.0.1:PORT HTTP/1.1\r\n\r\n",
    "two targets": "CONNECT allowed.example:80 127.0.0.1:PORT HTTP/1.1\r\n\r\n",
    "no version": "CONNECT 127.0.0.1:PORT\r\n\r\n",
    "SOCKS": "\x05\x01\x00\x01\x7f\x00\x00\x01\r\n\r\n",
}
"""Requests to a proxy that two readers could take for different ones; PORT is that of somebody inside."""
