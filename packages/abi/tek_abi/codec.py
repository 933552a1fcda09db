"""The one codec between typed data and values (cattrs with its orjson converter).

Strict on the way in: unknown fields, wrong types and coercions are refused, at every depth. A ``Blob`` is
``{"$blob": {"sha256": ..., "size": ...}}``; encoding one that is still in memory stores it first.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast, get_args, get_origin

import cattrs
import orjson
from cattrs.gen import make_dict_unstructure_fn
from cattrs.preconf.orjson import make_converter
from cattrs.strategies import configure_tagged_union

from tek_abi.blob import Blob, BlobStore
from tek_abi.budget import UNLIMITED, Bound
from tek_abi.canonical import MAX_DEPTH, MAX_INTEGER, Value, canonical, check_value, sha256_hex
from tek_abi.entry import EffectIntent, EffectOutcome, Entry
from tek_abi.errors import DecodeError, ValueNotAllowed
from tek_abi.outcome import STATUS, Outcome
from tek_abi.policy import Policy
from tek_abi.position import Position

INLINE_LIMIT = 4096
"""Values whose canonical bytes are longer stand in the blob store (DESIGN section 5)."""

_T = TypeVar("_T")


def _structure_int(value: Any, _: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"is not a whole number: {_shown(value)}")
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError("is beyond 2^53 - 1")
    return value


def _structure_text(value: Any, _: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"is not text: {_shown(value)}")
    if not value.isascii():
        check_value(value)
    return value


def _structure_bool(value: Any, _: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"is not true or false: {_shown(value)}")
    return value


def _structure_null(value: Any, _: Any) -> None:
    if value is not None:
        raise ValueError(f"is not null: {_shown(value)}")


def _structure_value(value: Any, _: Any) -> Value:
    check_value(value)
    return cast("Value", value)


def _structure_bound(value: Any, kind: Any) -> Bound | None:
    if value is None or (type(value) is str and value == UNLIMITED):
        return cast("Bound | None", value)
    if type(value) is not int:
        raise ValueError(f"is not a whole number or {UNLIMITED!r}: {_shown(value)}")
    return _structure_int(value, kind)


def _refuse_float(value: Any, _: Any) -> Any:
    raise ValueError(f"is a float, which has no canonical form: {_shown(value)}")


def _shown(value: object) -> str:
    """Return a scalar as it is written, shortened; of anything else its kind alone, which may be deep or long."""
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if -MAX_INTEGER <= value <= MAX_INTEGER else "an integer beyond 2^53 - 1"
    return "an object" if isinstance(value, dict) else f"a {type(value).__name__}"


class Codec:
    """Encodes and decodes every abi type and every effect's arguments. One a run: it is bound to a blob store."""

    def __init__(self, blobs: BlobStore | None = None) -> None:
        self._blobs = blobs
        self._converter = converter = make_converter(forbid_extra_keys=True, omit_if_default=True)
        converter.register_structure_hook(int, _structure_int)
        converter.register_structure_hook(str, _structure_text)
        converter.register_structure_hook(bool, _structure_bool)
        converter.register_structure_hook(type(None), _structure_null)
        converter.register_structure_hook(float, _refuse_float)
        converter.register_structure_hook_func(lambda kind: kind is Any, _structure_value)
        converter.register_structure_hook(Blob, self._structure_blob)
        converter.register_unstructure_hook(Blob, self._unstructure_blob)
        converter.register_structure_hook(Position, lambda value, _: Position.from_json(value))
        converter.register_unstructure_hook(Position, Position.to_json)
        # By a predicate, which goes before make_converter's own hook for unions of scalars.
        converter.register_structure_hook_func(lambda kind: kind == Bound | None, _structure_bound)
        converter.register_structure_hook_factory(_is_sequence, self._sequence_hook)
        converter.register_unstructure_hook_factory(lambda kind: kind is Policy, _policy_hook)
        configure_tagged_union(Outcome, converter, tag_generator=lambda kind: STATUS[kind], tag_name="status")

    def encode(self, data: object, as_type: Any = None) -> Value:
        """Return ``data`` as a value. Blobs that are still in memory are stored.

        Raises ``ValueNotAllowed`` for what has no place in tek's value model, and ``LookupError`` for a blob whose
        bytes cannot be had.
        """
        value = self._unstructured(data, as_type)
        check_value(value)
        return value

    def encode_entry(self, entry: Entry) -> Value:
        """Return the body of a ledger's entry. Raises as ``encode`` does."""
        value = self._unstructured(entry)
        if not isinstance(entry, EffectIntent | EffectOutcome):
            # All that these two hold was sealed or checked when it was made, and there are two for each request.
            check_value(value)
        return value

    def _unstructured(self, data: object, as_type: Any = None) -> Value:
        try:
            value: Value = self._converter.unstructure(data, unstructure_as=as_type)
        except RecursionError:
            raise ValueNotAllowed("", f"nested deeper than {MAX_DEPTH}") from None
        return value

    def decode(self, value: object, kind: type[_T], where: str = "") -> _T:
        """Return ``value`` as a ``kind``. Raises ``DecodeError`` with the path of the first problem."""
        try:
            return self._converter.structure(value, kind)
        except (cattrs.BaseValidationError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _decode_error(error, where) from None
        except cattrs.StructureHandlerNotFoundError as error:
            raise DecodeError(where, f"{error.type_!r} is no type of plain data") from None

    def loads(self, data: bytes | str, kind: type[_T], where: str = "") -> _T:
        """Decode JSON text. Raises ``DecodeError``."""
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise DecodeError(where, f"is not JSON: {error}") from None
        return self.decode(value, kind, where)

    def seal(self, value: Value) -> tuple[Value, str]:
        """Return ``value`` as it stands in a ledger line, and its digest.

        A value of more than ``INLINE_LIMIT`` canonical bytes is stored and stands as ``{"$ref": {...}}``. So does
        a value that looks like such a reference itself, which would else be taken for one.
        """
        data = canonical(value)
        if self._blobs is None:
            if _is_reference(value):
                raise ValueNotAllowed("$ref", "is the name of references to stored values")
            return value, sha256_hex(data)
        if len(data) <= INLINE_LIMIT and not _is_reference(value):
            return value, sha256_hex(data)
        blob = self._blobs.put(data)
        return {"$ref": {"sha256": blob.sha256, "size": blob.size}}, blob.sha256

    def sealed(self, data: object) -> tuple[Value, str]:
        """Return typed data as ``seal`` returns its value. Raises as ``encode`` does."""
        return self.seal(self._unstructured(data))

    def unseal(self, value: Value) -> Value:
        """Return the value behind what ``seal`` wrote.

        Raises ``LookupError`` when its blob is missing, ``DecodeError`` when that does not hold a value.
        """
        if not _is_reference(value):
            return value
        reference = self.decode(cast("dict[str, Value]", value)["$ref"], Blob, "$ref")
        return cast("Value", self.loads(reference.read(), Any, "$ref"))

    def _unstructure_blob(self, blob: Blob) -> Value:
        if blob.load is not None and self._blobs is not None and blob.store is not self._blobs:
            stored = self._blobs.put(blob.load())
            if stored != blob:
                raise ValueNotAllowed("$blob", f"the bytes of blob {blob.sha256} have another digest or size")
        return {"$blob": {"sha256": blob.sha256, "size": blob.size}}

    def _structure_blob(self, value: Any, _: Any) -> Blob:
        if isinstance(value, dict) and set(value) == {"$blob"}:
            value = value["$blob"]
        if not isinstance(value, dict) or set(value) != {"sha256", "size"}:
            raise ValueError(f"is not a blob: {_shown(value)}")
        sha256, size = value["sha256"], value["size"]
        if type(sha256) is not str or type(size) is not int:
            raise ValueError(f"is not a blob: {_shown(value)}")
        blobs = self._blobs
        return Blob(sha256, size, None if blobs is None else lambda: blobs.get(sha256))

    def _sequence_hook(self, kind: Any, _: cattrs.Converter) -> Any:
        arguments, container = get_args(kind), get_origin(kind)
        variadic = container is list or (len(arguments) == 2 and arguments[1] is Ellipsis)
        item_types = arguments[:1] if variadic else arguments
        hooks = [self._converter.get_structure_hook(item) for item in item_types]

        def structure(value: Any, _: Any) -> Any:
            if not isinstance(value, list | tuple):
                raise ValueError(f"is not a list: {_shown(value)}")
            if variadic:
                return container([_item(hooks[0], item, item_types[0], i) for i, item in enumerate(value)])
            if len(value) != len(hooks):
                raise ValueError(f"has {len(value)} items, not {len(hooks)}")
            return container([_item(hooks[i], item, item_types[i], i) for i, item in enumerate(value)])

        return structure


def _item(hook: Any, value: Any, kind: Any, index: int) -> Any:
    try:
        return hook(value, kind)
    except (cattrs.BaseValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _decode_error(error, f"[{index}]") from None


def _is_sequence(kind: Any) -> bool:
    return get_origin(kind) in (tuple, list)


def _is_reference(value: Value) -> bool:
    return isinstance(value, dict) and set(value) == {"$ref"}


def _policy_hook(kind: Any, converter: cattrs.Converter) -> Any:
    """Write out what a preset stands for: a ledger must not change its meaning with a later version's presets."""
    written = cattrs.override(omit_if_default=False)
    return make_dict_unstructure_fn(
        kind, converter, _cattrs_omit_if_default=True, permits=written, task=written, run=written
    )


def _decode_error(error: BaseException, where: str) -> DecodeError:
    """Turn the first problem that cattrs met into one line with a path."""
    if isinstance(error, cattrs.ClassValidationError):
        inner, notes = error.group_exceptions()
        if inner:
            first, note = inner[0]
            return _decode_error(first, f"{where}.{note.name}" if where else note.name)
        return _decode_error(notes[0], where)
    if isinstance(error, cattrs.IterableValidationError):
        first_item, at = error.group_exceptions()[0][0]
        return _decode_error(first_item, f"{where}[{at.index!r}]")
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return DecodeError(where, f"has an unknown field {', '.join(sorted(map(repr, error.extra_fields)))}")
    if isinstance(error, DecodeError):
        joined = where + error.where if error.where.startswith("[") else ".".join(filter(None, (where, error.where)))
        return DecodeError(joined, error.problem)
    if isinstance(error, ValueNotAllowed):
        return _decode_error(DecodeError(error.where, error.problem), where)
    if isinstance(error, KeyError):
        return DecodeError(where, f"lacks or does not know {error}")
    if isinstance(error, AttributeError | TypeError):
        return DecodeError(where, "is not an object")
    if isinstance(error, RecursionError):
        return DecodeError(where, f"nested deeper than {MAX_DEPTH}")
    return DecodeError(where, str(error))


def check_encodable(value: object, where: str = "") -> None:
    """Raise ``ValueNotAllowed`` if an agent's or effect's value cannot stand in a ledger."""
    check_value(value, where)


CODEC = Codec()
"""The codec for plain data that holds no bytes: plans, policies, configuration."""

__all__ = ["CODEC", "INLINE_LIMIT", "Codec", "ValueNotAllowed", "check_encodable"]
