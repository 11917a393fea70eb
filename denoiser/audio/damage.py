"""How much of a file could not be read, and whether that is worth a word."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import av

# What PyAV raises for a damaged file, beside what FFmpeg itself calls an error
DAMAGE = (av.FFmpegError, IndexError, MemoryError, UnicodeError, ValueError)
MISSING_SECONDS = 0.05  # of what a container promises: then a file is cut off
MISCOUNTED_BYTES = 100  # of a WAV's header at most
FEW_PACKETS, FAILING_SHARE = 10, 0.1  # of packets that fail here and there: the wrong decoder


@dataclass
class Damage:
    """What could not be read of a file."""

    packets: int = 0
    bad: int = 0  # of the packets
    scattered: int = 0  # bad ones right behind a whole one
    missing: float = 0.0  # seconds
    claimed: float = 0.0  # seconds, by the container; 0.0 if it says nothing
    broken_off: bool = False
    _last_whole: bool = True

    def count(self, *, whole: bool) -> None:
        """One more packet."""
        self.packets += 1
        self.bad += not whole
        self.scattered += self._last_whole and not whole
        self._last_whole = whole

    @property
    def wrong_decoder(self) -> bool:
        """Damage lies in one place or a few; what another codec made fails everywhere."""
        return self.scattered >= FEW_PACKETS and self.bad > FAILING_SHARE * self.packets

    def sentence(self, name: str) -> str | None:
        """What to say of the file called `name`; None if it is whole."""
        if self.missing < MISSING_SECONDS and not self.broken_off:
            return None
        lost = ""
        if self.missing >= MISSING_SECONDS:
            of = f" of {self.claimed:.1f}" if self.claimed >= self.missing else ""
            lost = f"{max(self.missing, 0.1):.1f}{of} s are missing; "
        return f"{name} is damaged or cut off: {lost}the rest is kept."


def cut_off_seconds(path: Path) -> float:
    """How much shorter a WAV is than its header says; FFmpeg corrects that without a word.

    The sizes 0 and 2 GiB or more stand for "not known" in a stream's header. Careless programs
    count their own header twice.
    """
    with open(path, "rb") as file:
        head = file.read(256)
    kind, size = struct.unpack("<4sI", head[:8].ljust(8, b"\0"))
    cut = size + 8 - os.path.getsize(path)
    if kind != b"RIFF" or cut <= MISCOUNTED_BYTES or size >= 2**31:
        return 0.0
    start = head.find(b"fmt ") + 16
    rate = int.from_bytes(head[start : start + 4], "little") if start > 16 else 0  # bytes a second
    return cut / rate if rate else MISSING_SECONDS
