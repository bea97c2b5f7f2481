"""One file from rows of several schemas: columns and fields that were added later."""

import pyarrow as pa

REMADE = b"styleid_ray.remade"
"""Key in the metadata of a data file with remade pairs; each remake makes its value longer, and so
changes the size of the file."""


def joined(schema: pa.Schema, other: pa.Schema) -> pa.Schema:
    """A schema with the columns of both, and the fields of both in columns that are structs in
    both. Shared columns and fields, and the metadata, are the first schema's."""
    fields = [
        field.with_type(_joined_type(field.type, other.field(field.name).type))
        if field.name in other.names
        else field
        for field in schema
    ]
    more = [field for field in other if field.name not in schema.names]
    return pa.schema([*fields, *more], schema.metadata)


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows under a schema: null in columns, and in fields of structs, that they lack."""
    columns = [
        table[field.name]
        if field.name in table.column_names
        else pa.chunked_array([pa.nulls(table.num_rows, field.type)])
        for field in schema
    ]
    return pa.table(
        [
            pa.chunked_array([_conformed(chunk, f.type) for chunk in column.chunks], f.type)
            for column, f in zip(columns, schema, strict=True)
        ],
        schema=schema,
    )


def _joined_type(kind: pa.DataType, other: pa.DataType) -> pa.DataType:
    if not (pa.types.is_struct(kind) and pa.types.is_struct(other)):
        return kind
    known = {field.name for field in kind}
    return pa.struct([*kind, *(field for field in other if field.name not in known)])


def _conformed(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if not (pa.types.is_struct(kind) and pa.types.is_struct(array.type)):
        return array.cast(kind)
    names = {field.name for field in array.type}
    values = [
        _conformed(array.field(field.name), field.type)
        if field.name in names
        else pa.nulls(len(array), field.type)
        for field in kind
    ]
    return pa.StructArray.from_arrays(values, fields=list(kind), mask=array.is_null())
