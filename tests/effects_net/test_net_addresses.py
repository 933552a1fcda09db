"""Which addresses a host may lead to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tek_abi import parse_rule
from tek_effects_net import Unreachable, allowed_addresses, system_resolve
from tests.effects_net.servers import ANYWHERE, net_permit

PUBLIC = ["93.184.215.14", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:82a::200e"]
NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254"),
    *("172.16.0.1", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("168.63.129.16", "100.100.100.200"),
    *("::", "::1", "::7f00:1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:db8::1"),
    *("2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo"),
    *("fec0::1", "ff02::1", "ff0e::1", "4000::1", "2606:4700::1%1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_name_may_lead_to_public_addresses(address: str) -> None:
    assert allowed_addresses("example.org", [address], [ANYWHERE]) == (address,)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_name_may_lead_to_no_other_address_even_where_a_permit_names_it(address: str) -> None:
    for permit in (ANYWHERE, net_permit("http://example.org/**")):
        refused = allowed_addresses("example.org", [address], [permit])
        assert isinstance(refused, Unreachable)
        assert refused.address == address


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_refusal_says_what_to_name_where_something_can_be_named(address: str) -> None:
    refused = allowed_addresses("example.org", [address], [ANYWHERE])
    assert isinstance(refused, Unreachable)

    if "%" in address:
        assert refused.named is None
    else:
        assert refused.named is not None
        parse_rule(f"net.http:http://{refused.named}:80/**")
        named = refused.named.strip("[]")
        assert allowed_addresses(refused.named, [named], [net_permit(f"http://{refused.named}/**")]) == (named,)


def test_one_bad_address_refuses_the_whole_answer() -> None:
    refused = allowed_addresses("example.org", ["8.8.8.8", "127.0.0.1", "1.1.1.1"], [ANYWHERE])
    assert str(refused) == "example.org leads to 127.0.0.1, which is loopback"


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "１２７.0.0.1"])
def test_what_is_not_an_address_refuses_the_answer(text: str) -> None:
    assert isinstance(allowed_addresses("example.org", [text], [ANYWHERE]), Unreachable)


def test_no_address_stays_none() -> None:
    assert allowed_addresses("example.org", [], [ANYWHERE]) == ()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("169.254.169.254", "169.254.169.254"),
        ("[::1]", "::1"),
        ("[fd00::1]", "fd00::1"),
        ("localhost", "127.0.0.1"),
        ("localhost", "::1"),
        ("app.localhost", "127.8.8.8"),
    ],
)
def test_an_address_that_is_not_public_is_reached_where_a_permit_names_it(host: str, address: str) -> None:
    named = net_permit(f"http://{host}:8080/**")

    assert allowed_addresses(host, [address], [named]) == (address,)
    assert allowed_addresses(host, [address], [ANYWHERE, named]) == (address,)
    assert isinstance(allowed_addresses(host, [address], [ANYWHERE]), Unreachable)
    assert isinstance(allowed_addresses(host, [address], []), Unreachable)


def test_naming_one_address_grants_no_other() -> None:
    assert isinstance(allowed_addresses("10.0.0.2", ["10.0.0.2"], [net_permit("http://10.0.0.1/**")]), Unreachable)
    assert isinstance(allowed_addresses("10.0.0.1", ["10.0.0.2"], [net_permit("http://10.0.0.1/**")]), Unreachable)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "fe80::1"])
def test_localhost_leads_to_loopback_alone(address: str) -> None:
    assert isinstance(allowed_addresses("localhost", [address], [net_permit("http://localhost/**")]), Unreachable)


@pytest.mark.parametrize("host", ["localhost.", "notlocalhost", "localhost.example.org", "xlocalhost"])
def test_names_like_localhost_are_not_it(host: str) -> None:
    assert isinstance(allowed_addresses(host, ["127.0.0.1"], [net_permit(f"http://{host}/**")]), Unreachable)


def test_a_wildcard_below_localhost_is_not_a_name() -> None:
    wildcard = net_permit("http://*.localhost/**")
    assert isinstance(allowed_addresses("app.localhost", ["127.0.0.1"], [wildcard]), Unreachable)


def test_a_plan_that_names_an_address_gains_nothing_from_a_policy_that_does_not() -> None:
    policy, asked = net_permit("* http://*:*/**"), net_permit("http://127.0.0.1:8080/**")

    attenuated = policy.attenuate(asked)

    assert isinstance(allowed_addresses("127.0.0.1", ["127.0.0.1"], [attenuated]), Unreachable)
    assert allowed_addresses("127.0.0.1", ["127.0.0.1"], [asked.attenuate(asked)]) == ("127.0.0.1",)


@pytest.mark.parametrize("form", ["2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.1", "0", "0.0.0.0"])
def test_odd_forms_of_loopback_are_refused_by_where_the_system_says_they_lead(form: str) -> None:
    found = system_resolve(form, 80)

    assert isinstance(allowed_addresses(form, found, [ANYWHERE]), Unreachable)


_V4 = st.ip_addresses(v=4)
_EMBEDDED = st.builds(
    lambda prefix, v4: str(IPv6Address(int(IPv6Address(prefix)) | int(v4))),
    st.sampled_from(["::", "::ffff:0:0", "64:ff9b::", "::ffff:0:0:0"]),
    _V4,
) | st.builds(lambda v4: str(IPv6Address(int(IPv6Address("2002::")) | (int(v4) << 80))), _V4)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
@example(IPv4Address("224.0.0.1"))
def test_what_is_allowed_is_global_unicast(address: IPv4Address | IPv6Address) -> None:
    if not isinstance(allowed_addresses("example.org", [str(address)], [ANYWHERE]), Unreachable):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(_EMBEDDED)
def test_no_ipv4_address_passes_in_ipv6_form(address: str) -> None:
    assert ip_address(address).version == 6
    assert isinstance(allowed_addresses("example.org", [address], [ANYWHERE]), Unreachable)
