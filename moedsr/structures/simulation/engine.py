"""Where a simulation computes: the fastest of OpenMM's platforms that works here, GPU or CPU."""

import logging
import os
from dataclasses import dataclass, field
from typing import Literal

import openmm

from moedsr.errors import InputError

logger = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "gpu"]

_NOT_FOR_USE = "Reference"  # correct and very slow
_CPU = "CPU"


@dataclass(frozen=True)
class Engine:
    """An OpenMM platform and how it is to compute."""

    platform: str
    properties: dict[str, str] = field(default_factory=dict)

    def context(self, system: openmm.System, integrator: openmm.Integrator) -> openmm.Context:
        """A context on this platform."""
        return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(self.platform), self.properties)

    def __str__(self) -> str:
        return f"{self.platform}, {self.properties['Threads']} threads" if self.platform == _CPU else self.platform


def choose_engine(device: Device = "auto", threads: int | None = None) -> Engine:
    """The fastest platform on which a particle can be put.

    Args:
        device: auto takes a GPU where one works.
        threads: of the CPU; default: all that this process may use.

    Raises:
        InputError: no GPU works here, though one is asked for.
    """
    threads = threads or len(os.sched_getaffinity(0))
    # set-up steps inside PDBFixer and OpenMM compute too, and take the default
    openmm.Platform.getPlatformByName(_CPU).setPropertyDefaultValue("Threads", str(threads))
    cpu = Engine(_CPU, {"Threads": str(threads), "DeterministicForces": "true"})
    if device == "cpu":
        return cpu
    for platform in _gpus():
        engine = Engine(platform, {"Precision": "mixed"})
        try:
            engine.context(_one_particle(), openmm.VerletIntegrator(0.001))
        except openmm.OpenMMException as error:
            logger.info("%s does not work here: %s", platform, error)
        else:
            return engine
    if device == "gpu":
        raise InputError(
            f"no GPU works here; OpenMM has {', '.join(_gpus()) or 'no GPU platform'}: install openmm[cuda13] or "
            "openmm[hip7] for a GPU, or take --device cpu"
        )
    return cpu


def _gpus() -> list[str]:
    platforms = [openmm.Platform.getPlatform(index) for index in range(openmm.Platform.getNumPlatforms())]
    ordered = sorted(platforms, key=lambda platform: -platform.getSpeed())
    return [platform.getName() for platform in ordered if platform.getName() not in (_CPU, _NOT_FOR_USE)]


def _one_particle() -> openmm.System:
    system = openmm.System()
    system.addParticle(1.0)
    return system
