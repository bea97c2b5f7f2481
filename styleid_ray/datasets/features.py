"""Hugging Face features, as `datasets` writes them in JSON, and the Arrow types that store them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""The Arrow type of pictures."""
IMAGE_FEATURE = {"_type": "Image"}
_TIMESTAMP = re.compile(r"timestamp\[(\w+)(?:, tz=(.+))?\]")
_DECIMAL = re.compile(r"decimal(128|256)\((\d+), (-?\d+)\)")
_FIXED = re.compile(r"fixed_size_binary\[(\d+)\]")


def value_feature(dtype: str) -> dict[str, Any]:
    """The feature of plain values."""
    return {"dtype": dtype, "_type": "Value"}


def sequence_feature(inner: Any, length: int | None = None) -> dict[str, Any]:
    """The feature of lists, of a fixed length if there is one."""
    fixed = {} if length is None else {"length": length}
    return {"feature": inner, **fixed, "_type": "Sequence"}


def in_metadata(features: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of an Arrow schema from which `datasets` reads features."""
    return {"huggingface": json.dumps({"info": {"features": dict(features)}})}


def from_metadata(schema: pa.Schema) -> dict[str, Any]:
    """The features in the metadata of a schema, by column; {} without any."""
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])["info"]
        features = info["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def kind_of(feature: Any) -> str:
    """Value, ClassLabel, Image, List ...; "struct" for a mapping of names to features."""
    if isinstance(feature, list):
        return "List"
    kind = feature.get("_type")
    return kind if isinstance(kind, str) else "struct"


def inner_of(feature: Any) -> Any:
    """The feature of a list's items."""
    return feature[0] if isinstance(feature, list) else feature["feature"]


def is_table(feature: Any) -> bool:
    """Whether a feature is a Sequence of structs, which is stored as a struct of lists."""
    return kind_of(feature) == "Sequence" and kind_of(inner_of(feature)) == "struct"


def field_names(feature: Any) -> Iterator[str]:
    """The names of all fields of a feature, with those inside of lists and other fields."""
    kind = kind_of(feature)
    if kind == "struct":
        for name, inner in feature.items():
            yield name
            yield from field_names(inner)
    elif kind in ("List", "Sequence", "LargeList"):
        yield from field_names(inner_of(feature))


def arrow_type(feature: Any) -> pa.DataType:
    """The Arrow type of a feature's values; raises ValueError for a kind of feature that is not
    known here."""
    kind = kind_of(feature)
    if is_table(feature):
        columns = inner_of(feature).items()
        return pa.struct([(name, pa.list_(arrow_type(inner))) for name, inner in columns])
    if kind == "struct":
        return pa.struct([(name, arrow_type(inner)) for name, inner in feature.items()])
    if kind in ("List", "Sequence", "LargeList"):
        items = arrow_type(inner_of(feature))
        length = -1 if isinstance(feature, list) else feature.get("length", -1)
        return pa.large_list(items) if kind == "LargeList" else pa.list_(items, length)
    if kind == "Image":
        return IMAGE
    if kind == "ClassLabel":
        return pa.int64()
    if kind == "Value":
        return _value_type(feature["dtype"])
    raise ValueError(f"features of type {kind} are not known here")


def _value_type(dtype: str) -> pa.DataType:
    if match := _TIMESTAMP.fullmatch(dtype):
        return pa.timestamp(match[1], match[2])
    if match := _DECIMAL.fullmatch(dtype):
        make = pa.decimal128 if match[1] == "128" else pa.decimal256
        return make(int(match[2]), int(match[3]))
    if match := _FIXED.fullmatch(dtype):
        return pa.binary(int(match[1]))
    return pa.type_for_alias(dtype)


def feature_of(kind: pa.DataType) -> Any:
    """The feature of values of an Arrow type; raises ValueError for a type that no feature has."""
    if isinstance(kind, pa.BaseExtensionType):
        return feature_of(kind.storage_type)
    if isinstance(kind, pa.DictionaryType):
        return feature_of(kind.value_type)
    if isinstance(kind, pa.MapType):
        pair = {"key": feature_of(kind.key_type), "value": feature_of(kind.item_type)}
        return {"feature": pair, "_type": "List"}
    if isinstance(kind, pa.StructType):
        return {field.name: feature_of(field.type) for field in kind}
    if isinstance(kind, pa.FixedSizeListType):
        return {"feature": feature_of(kind.value_type), "length": kind.list_size, "_type": "List"}
    if isinstance(kind, (pa.ListType, pa.LargeListType)):
        name = "List" if isinstance(kind, pa.ListType) else "LargeList"
        return {"feature": feature_of(kind.value_type), "_type": name}
    names = {pa.float16(): "float16", pa.float32(): "float32", pa.float64(): "float64"}
    dtype = names.get(kind) or re.sub(r"^(date\d\d)\[.*", r"\1", str(kind))
    if pa.types.is_nested(kind) or _value_type(dtype) != kind:
        raise ValueError(f"values of type {kind} have no feature")
    return value_feature(dtype)


def stored(value: Any, feature: Any) -> Any:
    """A value of a label column in the form of its Arrow type: class names become numbers, and the
    rows of a table columns. Raises ValueError for an unknown class."""
    kind = kind_of(feature)
    if value is None:
        return None
    if kind == "ClassLabel":
        names = feature["names"]
        if isinstance(value, str) and value not in names:
            raise ValueError(f"{value} is no class of {', '.join(names)[:200]}")
        return names.index(value) if isinstance(value, str) else int(value)
    if kind == "Image":
        return {"bytes": value, "path": None} if isinstance(value, bytes) else value
    if is_table(feature):
        inner = inner_of(feature)
        lists = value
        if not isinstance(value, Mapping):
            lists = {name: [row.get(name) for row in value] for name in inner}
        return {name: [stored(v, inner[name]) for v in lists[name]] for name in inner}
    if kind == "struct":
        named = dict(zip(feature, value, strict=True)) if isinstance(value, tuple) else value
        return {name: stored(named.get(name), inner) for name, inner in feature.items()}
    if kind in ("List", "Sequence", "LargeList"):
        return [stored(one, inner_of(feature)) for one in value]
    return value
