"""An agent's allocator keeps what a session freed: the next burst does not have the kernel clear it anew."""

import subprocess
import sys
from typing import Final

_WINDOW: Final = 4 * 1024 * 1024
_PAGES: Final = _WINDOW // 4096
_BURSTS: Final = """
import ctypes, resource
from telerelay_agent.heap import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
PAGE = 64 * 1024

def burst() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pages = [libc.malloc(PAGE) for _ in range({window} // PAGE)]
    for page in pages:
        ctypes.memset(page, 1, PAGE)
    for page in pages:
        libc.free(page)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(burst(), burst())
keep_freed_memory()
print(burst(), burst())
"""


def test_what_a_window_freed_is_not_taken_from_the_kernel_again() -> None:
    program = [sys.executable, "-c", _BURSTS.replace("{window}", str(_WINDOW))]
    told = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    first, second, _, kept = map(int, told.split())
    assert min(first, second) > _PAGES / 2, "without it each burst faults"
    assert kept < _PAGES / 10, told
