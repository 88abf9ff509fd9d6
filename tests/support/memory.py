"""What a process holds, as the kernel counts it."""

from pathlib import Path


def resident(pid="self", field="VmRSS"):
    """MB of a process: what it holds, or with "VmHWM" the most it has held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6
