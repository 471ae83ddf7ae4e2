# mypy: ignore-errors
"""Vectors of float32 lanes for loops compiled by numba; imported only when a loop is first used.

A vector may be wider than the machine's registers. The compiler splits it, so neither AVX-512 nor any other extension
is required. numba's cache on disk checks the date of the file that contains the loop, not of this one: after a change
to this file, delete the cached code.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model


class Lanes(types.Type):
    """``width`` float32 values in registers."""

    def __init__(self, width: int):
        self.width = width
        super().__init__(name=f"Lanes({width})")


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes):
        super().__init__(manager, kind, ir.VectorType(ir.FloatType(), kind.width))


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any, width: int) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), ir.VectorType(ir.FloatType(), width).as_pointer())


def _lanes(builder: Any, vector: Any, chosen: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(chosen)), chosen)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


@intrinsic(prefer_literal=True)
def zeros(typing: Any, width: Any) -> Any:
    """A vector of ``width`` zeros."""
    kind = Lanes(width.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(kind), None)

    return kind(width), generate


@intrinsic
def load(typing: Any, like: Any, array: Any, at: Any) -> Any:
    """``array[at : at + width]`` of a flat float32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, array, args[1], args[2], like.width), align=4)

    return like(like, array, types.int64), generate


@intrinsic
def store(typing: Any, value: Any, array: Any, at: Any) -> Any:
    """``array[at : at + width] = value``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[0], _pointer(context, builder, array, args[1], args[2], value.width), align=4)
        return context.get_dummy_value()

    return types.void(value, array, types.int64), generate


@intrinsic
def splat(typing: Any, like: Any, x: Any) -> Any:
    """The float ``x`` in every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        empty = ir.Constant(context.get_value_type(like), ir.Undefined)
        first = builder.insert_element(empty, args[1], ir.Constant(ir.IntType(32), 0))
        return _lanes(builder, first, [0] * like.width)

    return like(like, types.float32), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` by lane, with one rounding where the CPU has a fused instruction."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = args[0].type
        kind = ir.FunctionType(vector, [vector] * 3)
        name = f"llvm.fmuladd.v{vector.count}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return a(a, b, c), generate


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """The sum of the lanes: the upper half is added to the lower half until one lane is left."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (vector,) = args
        while (half := vector.type.count // 2) > 0:
            low, high = _lanes(builder, vector, [*range(half)]), _lanes(builder, vector, [*range(half, 2 * half)])
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return types.float32(a), generate


@intrinsic
def prefetch(typing: Any, like: Any, array: Any, at: Any) -> Any:
    """Prefetch the cache lines of ``array[at : at + width]``; no value changes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, flag = context.make_array(array)(context, builder, args[1]).data, ir.IntType(32)
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        for line in range(0, like.width, 16):
            place = builder.gep(data, [builder.add(args[2], ir.Constant(args[2].type, line))])
            builder.call(function, [builder.bitcast(place, byte), flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(like, array, types.int64), generate
