"""Energy that a piece of work uses, from counters of the processor (RAPL) and of GPUs (NVML).

A counter belongs to a whole processor package or card, so it includes what other processes use
meanwhile. Linux lets only the superuser read those of the processor, unless it is told otherwise:
`chmod a+r /sys/class/powercap/intel-rapl*/energy_uj`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pynvml

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters of Intel's and AMD's processors."""
NOT_MEASURED = "not measured"

Joules = dict[str, float]
"""Energy by the name of its counter, such as 'RAPL package-0'."""


class Counter(ABC):
    """A counter of energy, read for the first time when it is created."""

    name: str

    def __init__(self) -> None:
        self.last = self.read()

    @abstractmethod
    def read(self) -> float:
        """The value of the counter in joules.

        Raises:
            OSError, pynvml.NVMLError: it can't be read.
        """

    def elapsed(self) -> float:
        """Joules since the last call; a counter that fails adds nothing."""
        try:
            value = self.read()
        except (OSError, ValueError, pynvml.NVMLError):
            return 0.0
        difference, self.last = value - self.last, value
        return self.unwrapped(difference)

    def unwrapped(self, difference: float) -> float:
        """The energy between two readings that differ by `difference`."""
        return difference


class RaplCounter(Counter):
    """A zone of the Linux powercap interface, which counts microjoules and starts again at its end.

    Args:
        folder: `/sys/class/powercap/intel-rapl:0`, say.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, f"RAPL {name}"
        self.range = int((folder / "max_energy_range_uj").read_text()) / 1e6
        super().__init__()

    def read(self) -> float:
        return int((self.folder / "energy_uj").read_text()) / 1e6

    def unwrapped(self, difference: float) -> float:
        return difference if difference >= 0 else difference + self.range


class NvmlCounter(Counter):
    """The energy of an NVIDIA card since its driver was loaded.

    Args:
        card: its number or UUID.
    """

    def __init__(self, card: str) -> None:
        self.name = f"NVML {card}"
        pynvml.nvmlInit()
        self.handle = (
            pynvml.nvmlDeviceGetHandleByIndex(int(card))
            if card.isdigit()
            else pynvml.nvmlDeviceGetHandleByUUID(card)
        )
        super().__init__()

    def read(self) -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1e3


def rapl_counters(powercap: Path) -> Iterator[Counter]:
    """Every processor package that can be read, and its memory, which the package doesn't include.

    Parts of a package (`core`, `uncore`) and the whole platform (`psys`) would count twice.
    """
    for folder in sorted(powercap.glob("intel-rapl:*")):
        try:
            name = (folder / "name").read_text().strip()
            if name.startswith("package"):
                yield RaplCounter(folder, name)
            elif name == "dram":
                yield RaplCounter(folder, f"dram {folder.name.split(':')[1]}")
        except (OSError, ValueError):
            continue


def nvml_counters(cards: Iterable[str]) -> Iterator[Counter]:
    """Every one of `cards` that counts its energy."""
    for card in cards:
        try:
            yield NvmlCounter(card)
        except pynvml.NVMLError:
            continue


class EnergyMeter:
    """The energy used since the meter was created.

    Call `read` every few minutes: a processor's counter starts again after some tens of kilojoules.

    Args:
        cards: numbers or UUIDs of the GPUs in use.
        spent: what was used before, by the first part of an interrupted work.
    """

    def __init__(
        self,
        cards: Iterable[str] = (),
        spent: Joules | None = None,
        powercap: Path = POWERCAP,
    ) -> None:
        self.counters = [*rapl_counters(powercap), *nvml_counters(cards)]
        self.joules: Joules = {counter.name: 0.0 for counter in self.counters} | (spent or {})

    def read(self) -> Joules:
        """Joules by counter so far; empty where there is no counter."""
        for counter in self.counters:
            self.joules[counter.name] += counter.elapsed()
        return dict(self.joules)


def energy_record(joules: Joules, name: str = "joules") -> dict[str, Any]:
    """What a stage writes of its energy: the sum, or null, as `name`, and `energy_source`."""
    return {
        name: sum(joules.values()) if joules else None,
        "energy_source": ", ".join(joules) or NOT_MEASURED,
    }
