# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="import-untyped"
"""Two machine instructions that numba has no name for."""

from __future__ import annotations

from . import Deferred


def intrinsic(function):
    """numba's, applied when a kernel that calls it is made."""

    def make(function):
        from numba.extending import intrinsic

        return intrinsic(function)

    return Deferred(function, make)


@intrinsic
def trailing_zeros(typingctx, word):
    """Position of the lowest set bit of a uint64 that is not 0."""

    from llvmlite import ir
    from numba.core import types

    def code(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), code


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for array[index] of a one-dimensional contiguous array to be brought into cache: a hint, never a fault."""

    from llvmlite import ir
    from numba.core import types

    def code(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        call = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], form)
        # To be read, kept close, data.
        builder.call(call, [pointer, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), code
