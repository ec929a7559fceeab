# cython: annotation_typing=False, boundscheck=False
"""A node on a virtual clock: jobs that take turns at its processors, its threads and its disk.

A job is a sequence of steps. WAIT passes by itself (a line, another machine). WORK needs one of the
processors. LOOP needs the event loop, which there is one of, and a processor while it has it; ENDS one of the
endpoints' threads likewise. SYNC is over when the disk has written the group that it belongs to: at once
where none was written for a while, else together with all that gather until then. Whoever waits for a thread
or a processor is served in the order of arrival, and whoever is served is not interrupted: what is queued for
are pieces of a millisecond. Times are whole nanoseconds, so that this file gives the same numbers compiled
or not.

Cython compiles this very file (`hatch_build.py`, with the types of `kernel.pxd`).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

COMPILED: Final = not __file__.endswith(".py")
"""Whether this is the compiled one."""
_PROCESSOR: Final = 1
_DISK: Final = 2
_THREAD: Final = 2
"""Above so many bits stands which threads it needs one of; 0 is none."""
WAIT: Final = 0
"""A step's kind: it passes by itself."""
WORK: Final = _PROCESSOR
"""It needs a processor."""
LOOP: Final = _PROCESSOR | 1 << _THREAD
"""It needs the event loop and a processor."""
ENDS: Final = _PROCESSOR | 2 << _THREAD
"""It needs one of the endpoints' threads and a processor."""
SYNC: Final = _DISK
"""It waits for its group to be written, and then for as long as it takes itself."""
_NOBODY: Final = -1


class Node:
    """Plays jobs through one node.

    `arrivals`: when each job begins, never falling. `first`: where its steps begin among all steps; one more
    says where the last job's end. `kinds`, `takes`: of each step. `gather`: from one group's writing to the
    next one's, at the least. `endpoints`: their threads. `ends`: when each step was over (a buffer).
    """

    def __init__(
        self,
        processors: int,
        arrivals: NDArray[np.int64],
        first: NDArray[np.int64],
        kinds: NDArray[np.int64],
        takes: NDArray[np.int64],
        gather: int = 0,
        endpoints: int = 1,
    ) -> None:
        """Raises ValueError where the numbers do not fit one another: nothing below looks at bounds."""
        whole = len(first) == len(arrivals) + 1 and first[0] == 0 and first[-1] == len(takes) == len(kinds)
        if not whole or (np.diff(first) < 0).any() or (np.diff(arrivals) < 0).any() or (takes < 0).any():
            raise ValueError("jobs and their steps do not fit one another")
        self.jobs = len(arrivals)
        self.free = processors
        self.arrivals = arrivals
        self.last = first[1:]
        self.step = first[:-1].copy()
        self.kinds = kinds
        self.takes = takes
        self.ends = np.zeros(len(takes), np.int64)
        self.busy = 0
        self.gather = gather
        # When the newest group is written, or was.
        self.written = -gather
        # All queues are lists through `behind`: a job is in one of them at the most.
        self.behind = np.full(self.jobs, _NOBODY, np.int64)
        self.work_first = self.work_last = _NOBODY
        self.idle = np.array([0, 1, endpoints])
        self.thread_first, self.thread_last = (np.full(3, _NOBODY) for _ in range(2))
        # A heap of jobs by the moment at which their step ends, the lower number first among equals.
        self.heap_size = 0
        self.heap_at = np.zeros(self.jobs, np.int64)
        self.heap_job = np.zeros(self.jobs, np.int64)

    def run(self) -> int:
        """Play all jobs to their end: how long processors were busy, in sum."""
        arrived = 0
        while arrived < self.jobs or self.heap_size > 0:
            # An end frees what an arrival of the same moment may want.
            if self.heap_size > 0 and (arrived == self.jobs or self.heap_at[0] <= self.arrivals[arrived]):
                now = self.heap_at[0]
                job = self._pop()
                self._end(job, now)
            else:
                now = self.arrivals[arrived]
                self._begin(arrived, now)
                arrived += 1
        return self.busy

    def _begin(self, job: int, now: int) -> None:
        """The job's next step, where it has one."""
        step = self.step[job]
        if step == self.last[job]:
            return
        kind = self.kinds[step]
        if kind & _DISK:
            self._push(job, self._writes(now) + self.takes[step])
        elif not kind & _PROCESSOR:
            self._push(job, now + self.takes[step])
        elif kind >> _THREAD:
            self._want_thread(job, kind >> _THREAD, now)
        else:
            self._want_processor(job, now)

    def _writes(self, now: int) -> Any:
        """When the group is written that whoever comes now belongs to."""
        if now > self.written:
            self.written = max(now, self.written + self.gather)
        return self.written

    def _want_thread(self, job: int, thread: int, now: int) -> None:
        if self.idle[thread] > 0:
            self.idle[thread] -= 1
            self._want_processor(job, now)
            return
        if self.thread_first[thread] == _NOBODY:
            self.thread_first[thread] = job
        else:
            self.behind[self.thread_last[thread]] = job
        self.thread_last[thread] = job

    def _want_processor(self, job: int, now: int) -> None:
        if self.free > 0:
            self.free -= 1
            self._serve(job, now)
            return
        if self.work_first == _NOBODY:
            self.work_first = job
        else:
            self.behind[self.work_last] = job
        self.work_last = job

    def _serve(self, job: int, now: int) -> None:
        takes = self.takes[self.step[job]]
        self.busy += takes
        self._push(job, now + takes)

    def _end(self, job: int, now: int) -> None:
        """The job's step is over: what it had goes to the next ones, and it goes on."""
        step = self.step[job]
        self.ends[step] = now
        self.step[job] = step + 1
        kind = self.kinds[step]
        if kind & _PROCESSOR:
            self._free_processor(now)
        if kind >> _THREAD:
            self._free_thread(kind >> _THREAD, now)
        self._begin(job, now)

    def _free_processor(self, now: int) -> None:
        job = self.work_first
        if job == _NOBODY:
            self.free += 1
            return
        self.work_first = self.behind[job]
        self.behind[job] = _NOBODY
        self._serve(job, now)

    def _free_thread(self, thread: int, now: int) -> None:
        job = self.thread_first[thread]
        if job == _NOBODY:
            self.idle[thread] += 1
            return
        self.thread_first[thread] = self.behind[job]
        self.behind[job] = _NOBODY
        self._want_processor(job, now)

    # ------------------------------------------------------------ heap

    def _push(self, job: int, at: int) -> None:
        place = self.heap_size
        self.heap_size += 1
        while place > 0:
            above = (place - 1) // 2
            if self._is_before(above, at, job):
                break
            self.heap_at[place] = self.heap_at[above]
            self.heap_job[place] = self.heap_job[above]
            place = above
        self.heap_at[place] = at
        self.heap_job[place] = job

    def _pop(self) -> Any:
        first = self.heap_job[0]
        self.heap_size -= 1
        at = self.heap_at[self.heap_size]
        job = self.heap_job[self.heap_size]
        place = 0
        while True:
            below = 2 * place + 1
            if below >= self.heap_size:
                break
            other = below + 1
            if other < self.heap_size and self._is_before(other, self.heap_at[below], self.heap_job[below]):
                below = other
            if not self._is_before(below, at, job):
                break
            self.heap_at[place] = self.heap_at[below]
            self.heap_job[place] = self.heap_job[below]
            place = below
        self.heap_at[place] = at
        self.heap_job[place] = job
        return first

    def _is_before(self, place: int, at: int, job: int) -> Any:
        """Whether what is at this place of the heap comes before that job at that moment."""
        return self.heap_at[place] < at or (self.heap_at[place] == at and self.heap_job[place] < job)
