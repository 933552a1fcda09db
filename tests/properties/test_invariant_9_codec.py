"""Invariant 9: decode(encode(x)) = x for every abi type, and what is unknown or of the wrong type is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tek_abi
from tek_abi import CODEC, Blob, Codec, DecodeError, MemoryBlobs, Outcome, Position, Request, Trap
from tek_abi.vocabulary import core, fs, net, proc
from tek_agents.testing.strategies import ENCODABLE, json_values, outcomes
from tests.size import examples

Place: TypeAlias = tuple[str | int, ...]

quick = settings(
    max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
each_type = pytest.mark.parametrize("kind", ENCODABLE, ids=lambda kind: f"{kind.__module__[8:]}.{kind.__name__}")


def through_json(value: object) -> Any:
    return orjson.loads(orjson.dumps(value))


def typed_places(data: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield each place in the encoded form of ``data`` whose type is fixed, with the data that stands there."""
    yield place, data
    if isinstance(data, tuple):
        for index, item in enumerate(data):
            yield from typed_places(item, (*place, index))
    elif attrs.has(type(data)) and not isinstance(data, Blob | Position):
        for field in attrs.fields(type(data)):
            if field.type not in ("Value", Any):
                yield from typed_places(getattr(data, field.name), (*place, field.name))


def at(value: Any, place: Place) -> Any:
    for step in place:
        value = value[step]
    return value


def present(value: Any, place: Place) -> bool:
    """Whether the place was written out at all: defaults are not."""
    try:
        at(value, place)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def replaced(value: Any, place: Place, new: Any) -> Any:
    if not place:
        return new
    at(value, place[:-1])[place[-1]] = new
    return value


def path(place: Place) -> str:
    """Write a place as errors do."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


def wrong_for(data: Any) -> list[Any]:
    """Values near ``data`` that no field of its type may take."""
    match data:
        case bool():
            return [int(data), str(data).lower()]
        case int():
            return [str(data), float(data), True, {}, 2**53]
        case str():
            return [1.5, True, [data], {"text": data}]
        case Position():
            good = data.to_json()
            return [data.task, good[:1], [*good, "1"], [*good, 1.0], [*good, True], [*good, -1], [1, *good[1:]]]
        case tuple():
            return ["text", {}, 1, True]
        case Blob():
            text_size = {"sha256": data.sha256, "size": str(data.size)}
            return [data.sha256, {"$blob": text_size}, {"$blob": {"sha256": data.sha256}}]
        case _:
            return ["text", [], 1, True]


@each_type
@quick
@given(data=st.data())
def test_invariant_9_what_is_encoded_decodes_to_the_same(kind: type[Any], data: st.DataObject) -> None:
    original = data.draw(ENCODABLE[kind]())
    encoded = CODEC.encode(original)
    decoded = CODEC.decode(through_json(encoded), kind)
    assert decoded == original
    assert type(decoded) is kind
    assert orjson.dumps(CODEC.encode(decoded)) == orjson.dumps(encoded)


@settings(max_examples=examples(60), deadline=None)
@given(outcomes())
def test_invariant_9_an_outcome_keeps_its_kind(outcome: Outcome) -> None:
    kind: Any = Outcome
    decoded = CODEC.decode(through_json(CODEC.encode(outcome, kind)), kind)
    assert decoded == outcome
    assert type(decoded) is type(outcome)


@pytest.mark.parametrize("kind", [kind for kind in ENCODABLE if kind is not Position])
@quick
@given(data=st.data())
def test_invariant_9_an_unknown_field_is_refused_at_every_depth(kind: type[Any], data: st.DataObject) -> None:
    original = data.draw(ENCODABLE[kind]())
    encoded = through_json(CODEC.encode(original))
    objects = [place for place, part in typed_places(original) if attrs.has(type(part)) and present(encoded, place)]
    objects = [place for place in objects if isinstance(at(encoded, place), dict)]
    place = data.draw(st.sampled_from(objects))
    at(encoded, place)["surprise"] = data.draw(st.sampled_from([None, True, "x", {}]))
    with pytest.raises(DecodeError) as refused:
        CODEC.decode(encoded, kind)
    if not isinstance(part_at(original, place), Blob):
        assert refused.value.where == path(place)
        assert "surprise" in refused.value.problem


def part_at(data: Any, place: Place) -> Any:
    for step in place:
        data = data[step] if isinstance(step, int) else getattr(data, step)
    return data


@each_type
@quick
@given(data=st.data())
def test_invariant_9_a_wrong_type_is_refused_and_never_coerced(kind: type[Any], data: st.DataObject) -> None:
    original = data.draw(ENCODABLE[kind]())
    encoded = through_json(CODEC.encode(original))
    places = [(place, part) for place, part in typed_places(original) if present(encoded, place) and part is not None]
    place, part = data.draw(st.sampled_from(places))
    wrong = data.draw(st.sampled_from(wrong_for(part)))
    with pytest.raises(DecodeError) as refused:
        CODEC.decode(replaced(encoded, place, wrong), kind)
    assert refused.value.where.startswith(path(place))
    assert refused.value.problem


def required(kind: type[Any]) -> list[str]:
    return [field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING]


@pytest.mark.parametrize("kind", [kind for kind in ENCODABLE if required(kind) and kind not in (Blob, Position)])
@quick
@given(data=st.data())
def test_invariant_9_a_missing_field_is_refused(kind: type[Any], data: st.DataObject) -> None:
    encoded = through_json(CODEC.encode(data.draw(ENCODABLE[kind]())))
    missing = data.draw(st.sampled_from(required(kind)))
    del encoded[missing]
    with pytest.raises(DecodeError, match=missing):
        CODEC.decode(encoded, kind)


@each_type
@settings(max_examples=examples(15), deadline=None)
@given(junk=json_values())
def test_invariant_9_any_json_decodes_or_is_refused_with_one_error(kind: type[Any], junk: object) -> None:
    try:
        decoded = CODEC.decode(junk, kind)
    except DecodeError:
        return
    assert isinstance(decoded, kind)


@each_type
@quick
@given(data=st.data(), junk=json_values(4))
def test_invariant_9_junk_in_any_place_decodes_to_data_or_is_refused(
    kind: type[Any], data: st.DataObject, junk: object
) -> None:
    original = data.draw(ENCODABLE[kind]())
    encoded = through_json(CODEC.encode(original))
    place, _ = data.draw(st.sampled_from([found for found in typed_places(original) if present(encoded, found[0])]))
    try:
        decoded = CODEC.decode(replaced(encoded, place, junk), kind)
    except DecodeError:
        return
    assert CODEC.decode(through_json(CODEC.encode(decoded)), kind) == decoded


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


DEEP = nested(100_000)


@each_type
def test_invariant_9_a_value_nested_a_hundred_thousand_deep_is_refused(kind: type[Any]) -> None:
    with pytest.raises(DecodeError):
        CODEC.decode(DEEP, kind)
    for field in attrs.fields(kind):
        with pytest.raises(DecodeError):
            CODEC.decode({field.name: DEEP}, kind)


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":1}x', b"\xff", b'"\\ud800"', b"[" * 100_000, b"NaN"])
def test_invariant_9_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(DecodeError, match="policy: is not JSON"):
        CODEC.loads(text, tek_abi.Policy, "policy")


def test_invariant_9_every_type_of_data_has_a_strategy() -> None:
    """A new abi type comes with a strategy, so that all of the above hold for it."""
    modules: tuple[Any, ...] = (tek_abi, core, fs, net, proc)
    public = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    data = {kind for kind in public if attrs.has(kind) and not issubclass(kind, BaseException)}
    not_encoded = {Request, Trap, tek_abi.Bound, tek_abi.Gather, tek_abi.Race, tek_abi.Asked, tek_abi.Won, MemoryBlobs}
    assert data - not_encoded <= set(ENCODABLE)


def test_invariant_9_a_blob_is_stored_before_its_reference_is_written() -> None:
    blobs = MemoryBlobs()
    codec = Codec(blobs)
    encoded = codec.encode(fs.Write("a", Blob.of(b"text")))
    assert list(blobs.blobs.values()) == [b"text"]
    assert codec.decode(through_json(encoded), fs.Write).data.read() == b"text"


def test_invariant_9_a_blob_whose_bytes_are_others_is_refused() -> None:
    lie = Blob(Blob.of(b"harmless").sha256, 8, lambda: b"harmful!")
    with pytest.raises(tek_abi.ValueNotAllowed, match="another digest"):
        Codec(MemoryBlobs()).encode(fs.Write("a", lie))


@pytest.mark.parametrize(
    ("kind", "value", "where", "problem"),
    [
        (tek_abi.Task, {"id": "T", "title": "t", "layer": "x", "budget": {"ms": "5"}}, "budget.ms", "whole number"),
        (tek_abi.Task, {"id": "T", "title": "t", "layer": "x", "steps": [{"argv": ["a", 1]}]}, "steps[0].argv[1]", "1"),
        (tek_abi.Task, {"id": "T", "title": "t", "layer": "x", "env": [["A"]]}, "env[0]", "has 1 items, not 2"),
        (tek_abi.Task, {"id": "T", "title": "t", "layer": "x", "retries": True}, "retries", "whole number: True"),
        (tek_abi.Task, {"id": "T", "title": "t", "layer": "x", "timeout": 0}, "", "timeout is a number above 0"),
        (tek_abi.Step, {"argv": ["a"], "line": 2**53}, "line", "2^53"),
        (tek_abi.Step, {"argv": ["a"], "line": 1.0}, "line", "whole number: 1.0"),
        (tek_abi.Step, {"argv": ["a"], "cwd": 1}, "cwd", "not text: 1"),
        (tek_abi.Step, {"argv": ["a"], "cwd": "\ud800"}, "cwd", "lone surrogate"),
        (tek_abi.Permit, {"action": [], "resource": ["*"]}, "", "at least one pattern"),
        (tek_abi.Permit, {"action": ["*"], "resource": ["*"], "expires_at": "2027"}, "", "expires_at"),
        (tek_abi.EffectOutcome, {"position": ["T", 1, 0], "outcome": {"status": "fine"}}, "outcome", "fine"),
        (tek_abi.EffectOutcome, {"position": ["T"], "outcome": {"status": "ok"}}, "position", "list"),
        (tek_abi.Ok, {"value": {"a": [1, 2.5]}}, "value.a[1]", "float"),
        (tek_abi.Ok, {"value": {"ä": 1}}, "value", "ASCII"),
        (tek_abi.Ok, {"value": 2**53}, "value", "2^53"),
        (tek_abi.Policy, {"preset": "everything"}, "", "everything"),
        (tek_abi.Budget, {"ms": -1}, "", "from 0"),
        (tek_abi.Budget, {"ms": 10**30}, "ms", "2^53"),
        (tek_abi.Budget, [], "", "not an object"),
    ],
)
def test_invariant_9_an_error_says_where_and_what(kind: type[Any], value: object, where: str, problem: str) -> None:
    with pytest.raises(DecodeError) as refused:
        CODEC.decode(value, kind)
    assert refused.value.where == where
    assert problem in refused.value.problem


@attrs.frozen
class ThirdParty:
    """What an effect of someone else may take."""

    names: list[str]
    pairs: dict[str, int]
    ratio: float = attrs.field(default=0)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"names": "abc", "pairs": {}}, "names"),
        ({"names": [1], "pairs": {}}, "names[0]"),
        ({"names": [], "pairs": []}, "pairs"),
        ({"names": [], "pairs": {"a": "1"}}, "pairs['a']"),
        ({"names": [], "pairs": {}, "ratio": 1.5}, "ratio"),
    ],
)
def test_invariant_9_types_of_others_are_read_as_strictly(value: object, where: str) -> None:
    with pytest.raises(DecodeError) as refused:
        CODEC.decode(value, ThirdParty)
    assert refused.value.where == where
