"""URLs: a request is judged by the reading that every other reader shares, or refused."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Access, PatternError, Permit, Subject
from tek_abi.pattern import UrlResource, match_url, parse_url, parse_url_pattern
from tek_agents.testing.strategies import resource_patterns, url_resources


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("https://example.org", "GET https://example.org:443/"),
        ("http://example.org/a", "GET http://example.org:80/a"),
        ("HTTPS://Example.ORG:8443/A", "GET https://example.org:8443/A"),
        ("https://example.org?q=1", "GET https://example.org:443/"),
        ("https://example.org/a?q=../x#f", "GET https://example.org:443/a"),
        ("https://example.org/%61%2Db%7e", "GET https://example.org:443/a-b~"),
        ("https://example.org/a%3ab%c3%a9", "GET https://example.org:443/a%3Ab%C3%A9"),
        ("https://example.org/a/", "GET https://example.org:443/a/"),
        ("https://127.0.0.1/", "GET https://127.0.0.1:443/"),
        ("https://[::1]:81/", "GET https://[::1]:81/"),
        ("https://[2001:DB8::1]/", "GET https://[2001:db8::1]:443/"),
        ("https://a_b.xn--e1afmkfd/", "GET https://a_b.xn--e1afmkfd:443/"),
        ("https://localhost/", "GET https://localhost:443/"),
        ("https://h/a;p=1/@x:y", "GET https://h:443/a;p=1/@x:y"),
    ],
)
def test_a_url_has_one_form(url: str, resource: str) -> None:
    assert str(parse_url("get", url)) == resource
    method, _, again = resource.partition(" ")
    assert str(parse_url(method, again)) == resource


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "//example.org/",
        "https:/example.org/",
        "https:///path",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://user@example.org/",
        "https://example.org@evil.org/",
        "https://user:pass@example.org/",
        "https://example.org\\@evil.org/",
        "https://evil.org\\.example.org/",
        "https://example.org:/",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:+80/",
        "https://example.org:0443/",
        "https://example.org:80:80/",
        "https://example.org:４４３/",
        "https://ｅxample.org/",
        "https://例え.jp/",
        "https://example。org/",
        "https://1２7.0.0.1/",
        "https://%65xample.org/",
        "https://exa mple.org/",
        "https://example.org./",
        "https://.example.org/",
        "https://example..org/",
        "https://" + "a" * 64 + ".org/",
        "https://" + "a." * 127 + "org/",
        "https://exa*mple.org/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.01/",
        "https://127.0.0.0x1/",
        "https://127.0.0.256/",
        "https://evil.org.1/",
        "https://1.2.3.4.5/",
        "https://[::1/",
        "https://::1/",
        "https://[::1]evil.org/",
        "https://[::1]@evil.org/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://[::0001]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://[v1.x]/",
        "https://[127.0.0.1]/",
        "https://example.org/a/../b",
        "https://example.org/./a",
        "https://example.org/a/%2e%2e/b",
        "https://example.org/a/.%2E/b",
        "https://example.org/a/%252e%252e/b",
        "https://example.org/a/%25252e%25252e/b",
        "https://example.org/a/..;x=1/b",
        "https://example.org/a/%2e%2e%3bx/b",
        "https://example.org/a%2fb",
        "https://example.org/a%5cb",
        "https://example.org/a\\b",
        "https://example.org/a%00",
        "https://example.org/a%0d%0aHost:x",
        "https://example.org/a%7f",
        "https://example.org/%",
        "https://example.org/%4",
        "https://example.org/%zz",
        "https://example.org//a",
        "https://example.org/a//b",
        "https://example.org/a b",
        "https://example.org/\ta",
        "https://exam\nple.org/",
        "https://example.org/é",
        "https://example.org/" + "a" * 5000,
        "https://example.org/?" + "a" * 20_000,
        " https://example.org/",
    ],
)
def test_a_url_that_two_readers_could_read_differently_is_refused(url: str) -> None:
    with pytest.raises(PatternError):
        parse_url("GET", url)


@pytest.mark.parametrize("method", ["", "G ET", "GET\r\n", "GÉT", "*", "GET|POST", "A" * 33])
def test_an_odd_method_is_refused(method: str) -> None:
    with pytest.raises(PatternError):
        parse_url(method, "https://example.org/")


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from("htps:/example.org@#?%25e[]1\\0x;&"), max_size=24), st.booleans())
def test_what_is_accepted_the_http_client_reads_the_same(text: str, prefixed: bool) -> None:
    url = f"https://{text}" if prefixed else text
    try:
        target = parse_url("GET", url)
    except PatternError:
        return
    sent = httpx.URL(url)
    assert (sent.scheme, sent.host.strip("[]")) == (target.scheme, target.host.strip("[]"))
    assert (sent.port or {"http": 80, "https": 443}[sent.scheme]) == target.port
    assert urlsplit(url).hostname == target.host.strip("[]")


@given(url_resources())
def test_a_resource_is_read_back_as_written(resource: UrlResource) -> None:
    method, _, url = str(resource).partition(" ")
    assert parse_url(method, url) == resource


@pytest.mark.parametrize(
    ("pattern", "request_", "matches"),
    [
        ("https://example.org", "GET https://example.org:443/any/path", True),
        ("https://example.org", "HEAD https://example.org:443/", True),
        ("https://example.org", "POST https://example.org:443/", False),
        ("POST https://example.org", "POST https://example.org:443/", True),
        ("POST https://example.org", "GET https://example.org:443/", False),
        ("get|post https://example.org", "POST https://example.org:443/", True),
        ("* https://example.org", "DELETE https://example.org:443/", True),
        ("https://example.org", "GET http://example.org:443/", False),
        ("https://example.org", "GET https://example.org:8443/", False),
        ("https://example.org:8443", "GET https://example.org:8443/", True),
        ("https://example.org:*", "GET https://example.org:8443/", True),
        ("https://EXAMPLE.org", "GET https://example.org:443/", True),
        ("https://example.org/", "GET https://example.org:443/", True),
        ("https://example.org/", "GET https://example.org:443/a", False),
        ("https://example.org/api/**", "GET https://example.org:443/api", True),
        ("https://example.org/api/**", "GET https://example.org:443/api/v1/x", True),
        ("https://example.org/api/**", "GET https://example.org:443/apis", False),
        ("https://example.org/api/*", "GET https://example.org:443/api/v1", True),
        ("https://example.org/api/*", "GET https://example.org:443/api/v1/x", False),
        ("https://example.org/%61", "GET https://example.org:443/a", True),
        ("https://*.example.org", "GET https://www.example.org:443/", True),
        ("https://*.example.org", "GET https://a.b.example.org:443/", True),
        ("https://*.example.org", "GET https://example.org:443/", False),
        ("https://*.example.org", "GET https://evilexample.org:443/", False),
        ("https://*.example.org", "GET https://www.example.org.evil.org:443/", False),
        ("https://example.org", "GET https://www.example.org:443/", False),
        ("https://*", "GET https://127.0.0.1:443/", True),
        ("https://[::1]", "GET https://[::1]:443/", True),
        ("https://[::1]:*", "GET https://[::1]:81/", True),
        ("https://[::1]", "GET https://[::2]:443/", False),
    ],
)
def test_a_url_pattern_covers_what_it_shows(pattern: str, request_: str, matches: bool) -> None:
    assert match_url(pattern, request_) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        "example.org",
        "https://",
        "ftp://example.org",
        "https://user@example.org",
        "https://exa*mple.org",
        "https://*example.org",
        "https://*.",
        "https://*.*.org",
        "https://*.1",
        "https://[::1",
        "https://[::01]",
        "https://127.1",
        "https://example.org:0",
        "https://example.org:70000",
        "https://example.org:8*",
        "https://example.org./",
        "https://example.org\\x",
        "https://exämple.org",
        "https://example.org/a b",
        "https://example.org/**.html",
        "https://example.org/%2A",
        "https://example.org/%g",
        "https://example.org/a#b",
        "G*T https://example.org",
        "GET POST https://example.org",
        "GET, https://example.org",
        "1 https://example.org",
    ],
)
def test_a_url_pattern_that_cannot_be_meant_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        parse_url_pattern(pattern)


@settings(max_examples=200)
@given(resource_patterns("net"), url_resources())
def test_a_match_agrees_in_each_part(pattern: str, resource: UrlResource) -> None:
    wanted = parse_url_pattern(pattern)
    if match_url(pattern, str(resource)):
        assert wanted.scheme == resource.scheme
        assert wanted.port in (None, resource.port)
        assert wanted.host in ("*", resource.host) or resource.host.endswith(wanted.host[1:])
        assert wanted.method == "*" or resource.method in wanted.method.split("|")


@pytest.mark.parametrize(
    "resource", ["GET https://EXAMPLE.org:443/", "GET https://example.org/", "https://example.org:443/"]
)
def test_a_resource_in_another_form_is_never_covered(resource: str) -> None:
    permit = Permit(("net",), ("* https://*:*/**",))
    access = Access("net.http", "net", resource, method="GET")
    mismatch = permit.mismatch(access, Subject("TASK-001", "shell"), "2027-01-31T00:00:00.000000Z")
    assert mismatch is not None
    assert mismatch.aspect == "resource"
