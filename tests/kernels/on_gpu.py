"""What tests of Triton kernels share: where their tensors lie, and compiling one for a GPU that need not be here."""

import warnings

import pytest
import torch

from taurec import kernels

#: Runs where there is a GPU, and in the process that ``test_on_gpu.py`` starts with TRITON_INTERPRET=1.
runs = pytest.mark.skipif(
    kernels.available()["triton"] != "ok",
    reason=f"{kernels.available()['triton']}: run in the interpreter by test_on_gpu.py",
)
#: Compiling needs no GPU, but the kernels themselves instead of their interpreted form.
compiles = pytest.mark.skipif(
    kernels.interpreted() or "not installed" in kernels.available()["triton"],
    reason="triton is not installed, or interprets its kernels in this process",
)
DEVICE = "cuda" if torch.cuda.is_available() and not kernels.interpreted() else "cpu"


def compiled(kernel, num_warps: int = 4, **arguments) -> dict[str, object]:
    """The stages of a ``triton.jit`` kernel compiled for an H200: ``ptx``, ``cubin`` and so on.

    Args:
        arguments: in order, the type of each (``"*fp32"``, ``"i32"``, ``"u64"``), or the value of a constexpr.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    constant = {k: v for k, v in arguments.items() if not isinstance(v, str)}
    signature = {k: "constexpr" if k in constant else v for k, v in arguments.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TRITON_DEFAULT_FP_FUSION")
        source = ASTSource(fn=kernel, signature=signature, constexprs=constant)
        return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps}).asm


def signatures(module, **constants):
    """The kernels of a module with the arguments of :func:`compiled`, some replaced.

    Triton makes an integer argument that is 1 a constant, which must compile too: ``n=1``.
    """
    for kernel, (types, given) in module.SIGNATURES.items():
        yield kernel, dict(zip(kernel.arg_names, types, strict=False)) | given | constants
