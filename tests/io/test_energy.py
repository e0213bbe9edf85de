"""Energy from the counters of the processor, read from a folder as Linux lays it out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genlab.io.energy import NOT_MEASURED, EnergyMeter, energy_record

RANGE = 262_143_328_850
"""Of a Xeon's package, in microjoules."""

Zone = Callable[..., Path]


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    """`zone("intel-rapl:0", "package-0", 1000)` makes a zone of the powercap interface."""

    def make(folder: str, name: str, microjoules: int) -> Path:
        at = tmp_path / folder
        at.mkdir()
        (at / "name").write_text(f"{name}\n")
        (at / "max_energy_range_uj").write_text(f"{RANGE}\n")
        (at / "energy_uj").write_text(f"{microjoules}\n")
        return at / "energy_uj"

    return make


def test_packages_and_memory_count_and_nothing_counts_twice(tmp_path: Path, zone: Zone) -> None:
    """Two packages with memory; cores are within a package, and psys holds everything."""
    (tmp_path / "intel-rapl").mkdir()  # the driver itself, which has no counter
    counters = {
        name: zone(folder, name.split(" ")[0], 5_000_000)
        for folder, name in {
            "intel-rapl:0": "package-0",
            "intel-rapl:0:0": "core",
            "intel-rapl:0:1": "dram",
            "intel-rapl:1": "package-1",
            "intel-rapl:1:0": "dram ",
            "intel-rapl:2": "psys",
            "intel-rapl-mmio:0": "package-0 ",
        }.items()
    }
    meter = EnergyMeter(powercap=tmp_path)
    for counter in counters.values():
        counter.write_text("7500000\n")
    expected = {
        "RAPL package-0": 2.5,
        "RAPL dram 0": 2.5,
        "RAPL package-1": 2.5,
        "RAPL dram 1": 2.5,
    }
    assert meter.read() == expected
    assert meter.read() == expected  # nothing was used since
    assert energy_record(meter.read()) == {"joules": 10.0, "energy_source": ", ".join(expected)}


def test_a_counter_that_starts_again_goes_on(tmp_path: Path, zone: Zone) -> None:
    counter = zone("intel-rapl:0", "package-0", RANGE - 1_000_000)
    meter = EnergyMeter(powercap=tmp_path)
    counter.write_text("2000000\n")
    assert meter.read() == pytest.approx({"RAPL package-0": 3.0})
    counter.write_text("2500000\n")
    assert meter.read() == pytest.approx({"RAPL package-0": 3.5})


def test_the_energy_of_an_interrupted_work_is_added(tmp_path: Path, zone: Zone) -> None:
    counter = zone("intel-rapl:0", "package-0", 0)
    meter = EnergyMeter(spent={"RAPL package-0": 40.0, "NVML 0": 2.0}, powercap=tmp_path)
    counter.write_text("1000000\n")
    assert meter.read() == {"RAPL package-0": 41.0, "NVML 0": 2.0}


def test_what_cannot_be_read_is_not_measured(tmp_path: Path, zone: Zone) -> None:
    """No interface at all, a counter without its value, a card that this machine doesn't have."""
    zone("intel-rapl:0", "package-0", 0).unlink()
    for powercap in (tmp_path, tmp_path / "missing"):
        joules = EnergyMeter(["99", "GPU-none"], powercap=powercap).read()
        assert energy_record(joules, "joules_per_image") == {
            "joules_per_image": None, "energy_source": NOT_MEASURED,
        }  # fmt: skip


def test_a_counter_that_fails_later_adds_nothing(tmp_path: Path, zone: Zone) -> None:
    counter = zone("intel-rapl:0", "package-0", 0)
    meter = EnergyMeter(powercap=tmp_path)
    counter.write_text("1000000\n")
    meter.read()
    counter.unlink()
    assert meter.read() == {"RAPL package-0": 1.0}
