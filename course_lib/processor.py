"""What computes here: cores, threads and instruction sets, known without importing Keras."""

import os
from pathlib import Path

# The variable that each library reads for the number of its threads. (TensorFlow has a second
# one for operations side by side, which changes the time and not the result.)
THREADS = {
    "tensorflow": "TF_NUM_INTRAOP_THREADS",
    "tensorflow, side by side": "TF_NUM_INTEROP_THREADS",
    "torch": "OMP_NUM_THREADS",
    "jax": "NPROC",
}

BFLOAT16 = ("amx_bf16", "avx512_bf16")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", *BFLOAT16)

# What a user may have set that changes how the libraries below Keras round.
ROUNDING = (
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_ENABLE_X64",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)


def environment() -> dict[str, str]:
    """Of the variables that decide how is rounded, those that are set."""
    return {name: os.environ[name] for name in ROUNDING if name in os.environ}


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Let one operation use `count` threads; before this process first computes.

    Their number decides how sums are split and with that, by rounding, the result of a run.
    """
    os.environ |= {name: str(count) for name in THREADS.values()}


def cpuinfo(field: str) -> str:
    """What Linux says of the first processor; empty where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((x.split(":")[1].strip() for x in lines if x.split("\t")[0] == field), "")


def instructions() -> list[str]:
    """Of the instruction sets that decide which kernels compute, those of the processor."""
    return sorted(set(INSTRUCTIONS) & set(cpuinfo("flags").split()))


def has_bfloat16() -> bool:
    """Has the processor a unit for bfloat16? Without one, bfloat16 is slower than float32."""
    return bool(set(BFLOAT16) & set(instructions()))
