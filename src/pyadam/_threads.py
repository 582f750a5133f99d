"""How many threads to use: the CPUs that this process may really use, unless the environment says otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping

from . import _core


def set_num_threads(threads: int) -> None:
    """Set how many threads steps may use, in this process; the results have the same bits with any number.

    Small steps take fewer, since to wake a thread costs more than they do.

    Parameters
    ----------
    threads : int
        From 1 to 1024. At import it is OMP_NUM_THREADS, or else the number of CPUs that the process may use (affinity
        mask, cgroup quota); PYADAM_NUM_THREADS caps both.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is out of range; nothing has changed then.

    Examples
    --------
    >>> import pyadam
    >>> before = pyadam.get_num_threads()
    >>> pyadam.set_num_threads(1)
    >>> pyadam.get_num_threads()
    1
    >>> pyadam.set_num_threads(before)
    """
    _core.set_num_threads(threads)


def get_num_threads() -> int:
    """Return how many threads steps may use.

    Returns
    -------
    int
        What `set_num_threads` was given last, or the environment said at import.

    Examples
    --------
    >>> import pyadam
    >>> pyadam.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def default_num_threads(environ: Mapping[str, str], usable_cpus: int) -> int:
    """Return OMP_NUM_THREADS or else `usable_cpus`, but no more than PYADAM_NUM_THREADS."""
    threads = usable_cpus
    omp = environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list has a number per nesting level
    if omp.isdecimal() and int(omp) > 0:
        threads = int(omp)
    cap = environ.get("PYADAM_NUM_THREADS", "").strip()
    if cap:
        if not cap.isdecimal() or int(cap) == 0:
            raise ImportError(f"PYADAM_NUM_THREADS must be a whole number >= 1, found {cap!r}")
        threads = min(threads, int(cap))
    return threads


def usable_cpus(root: str | os.PathLike[str] = "/") -> int:
    """Return the number of CPUs in the affinity mask, or the cgroup's CPU quota, rounded up, if that is less."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota(root)
    return affinity if quota is None else max(1, min(affinity, quota))


def _cgroup_quota(root: str | os.PathLike[str]) -> int | None:
    """Return the least quota of this process's cgroups and their ancestors, in whole CPUs; None if unlimited."""
    try:
        lines = _read(root, "proc/self/cgroup").splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts, read = ["sys/fs/cgroup", "sys/fs/cgroup/unified"], _quota_v2
        elif "cpu" in controllers.split(","):
            mounts, read = [f"sys/fs/cgroup/{controllers}", "sys/fs/cgroup/cpu"], _quota_v1
        else:
            continue
        for mount in mounts:
            # In a container the path may be the host's, and the mount point this process's own cgroup.
            for depth in range(len(parts := [part for part in path.split("/") if part]) + 1):
                quota = read(os.path.join(root, mount, *parts[:depth]))
                if quota is not None:
                    quotas.append(quota)
    return min(quotas, default=None)


def _read(*path: str | os.PathLike[str]) -> str:
    with open(os.path.join(*path)) as file:  # pathlib would take a third of the time to import pyadam
        return file.read()


def _quota_v2(folder: str) -> int | None:
    try:
        quota, period = _read(folder, "cpu.max").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else -(-int(quota) // int(period))


def _quota_v1(folder: str) -> int | None:
    try:
        quota = int(_read(folder, "cpu.cfs_quota_us"))
        period = int(_read(folder, "cpu.cfs_period_us"))
    except (OSError, ValueError):
        return None
    return None if quota < 0 else -(-quota // period)
