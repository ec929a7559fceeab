# The types that make kernel.py fast where it is compiled; kernel.py says what everything means.
cimport cython

cdef long long _PROCESSOR, _DISK, _THREAD, _NOBODY

cdef class Node:
    cdef long long jobs, free, heap_size, work_first, work_last, gather, written
    cdef readonly long long busy
    cdef const long long[::1] arrivals, last, kinds, takes
    cdef long long[::1] step, behind, idle, thread_first, thread_last, heap_at, heap_job
    cdef readonly long long[::1] ends

    @cython.locals(arrived=cython.longlong, now=cython.longlong, job=cython.longlong)
    cpdef long long run(self)

    @cython.locals(step=cython.longlong, kind=cython.longlong)
    cdef void _begin(self, long long job, long long now) noexcept

    cdef long long _writes(self, long long now) noexcept

    cdef void _want_thread(self, long long job, long long thread, long long now) noexcept

    cdef void _want_processor(self, long long job, long long now) noexcept

    @cython.locals(takes=cython.longlong)
    cdef void _serve(self, long long job, long long now) noexcept

    @cython.locals(step=cython.longlong, kind=cython.longlong)
    cdef void _end(self, long long job, long long now) noexcept

    @cython.locals(job=cython.longlong)
    cdef void _free_processor(self, long long now) noexcept

    @cython.locals(job=cython.longlong)
    cdef void _free_thread(self, long long thread, long long now) noexcept

    @cython.locals(place=cython.longlong, above=cython.longlong)
    cdef void _push(self, long long job, long long at) noexcept

    cdef bint _is_before(self, long long place, long long at, long long job) noexcept

    @cython.locals(first=cython.longlong, at=cython.longlong, job=cython.longlong, place=cython.longlong, below=cython.longlong, other=cython.longlong)
    cdef long long _pop(self) noexcept
