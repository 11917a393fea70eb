"""How much of a damaged file could not be read, and whether to report it."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import av

# What PyAV raises for a damaged file, besides FFmpeg's own errors
DAMAGE = (av.FFmpegError, IndexError, MemoryError, UnicodeError, ValueError)
MISSING_SECONDS = 0.05  # missing at the end: from here on a file counts as cut off
MISCOUNTED_BYTES = 100  # by which the size in a WAV's header may be wrong
FEW_PACKETS, FAILING_SHARE = 10, 0.1  # scattered failures: wrong decoder


@dataclass
class Damage:
    """Counts what could not be read of a file."""

    packets: int = 0
    bad: int = 0  # packets that cannot be decoded
    scattered: int = 0  # bad packets directly after a good one
    missing: float = 0.0  # seconds
    claimed: float = 0.0  # seconds, according to the container; 0.0 if unknown
    broken_off: bool = False
    _last_whole: bool = True

    def count(self, *, whole: bool) -> None:
        """Counts one packet."""
        self.packets += 1
        self.bad += not whole
        self.scattered += self._last_whole and not whole
        self._last_whole = whole

    @property
    def wrong_decoder(self) -> bool:
        """Whether failures are spread all over the file: real damage is in one place or a few."""
        return self.scattered >= FEW_PACKETS and self.bad > FAILING_SHARE * self.packets

    def sentence(self, name: str) -> str | None:
        """The sentence about the damage for the file called `name`; None if it is intact."""
        if self.missing < MISSING_SECONDS and not self.broken_off:
            return None
        lost = ""
        if self.missing >= MISSING_SECONDS:
            of = f" of {self.claimed:.1f}" if self.claimed >= self.missing else ""
            lost = f"{max(self.missing, 0.1):.1f}{of} s are missing; "
        return f"{name} is damaged or cut off: {lost}the rest is kept."


def cut_off_seconds(path: Path) -> float:
    """Seconds by which a WAV is shorter than its header says; FFmpeg corrects that silently.

    In the header of a stream, the sizes 0 and 2 GiB or more mean "unknown". Some programs count
    their own header twice.
    """
    with open(path, "rb") as file:
        head = file.read(256)
    kind, size = struct.unpack("<4sI", head[:8].ljust(8, b"\0"))
    cut = size + 8 - os.path.getsize(path)
    if kind != b"RIFF" or cut <= MISCOUNTED_BYTES or size >= 2**31:
        return 0.0
    start = head.find(b"fmt ") + 16
    bytes_a_second = int.from_bytes(head[start : start + 4], "little") if start > 16 else 0
    return cut / bytes_a_second if bytes_a_second else MISSING_SECONDS
