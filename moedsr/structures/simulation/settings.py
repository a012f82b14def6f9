"""What a simulation is to do: every knob with its unit."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from moedsr.config import Positive, PositiveFloat, Section

FEMTOSECONDS = 1000.0  # in a picosecond


class SimulationSettings(Section):
    """Langevin dynamics in implicit solvent. All of it is stated beside the ensemble that comes out."""

    replicas: Positive = Field(3, description="independent simulations from the same P0")
    frames: Positive = Field(100, description="frames kept per replica")
    interval: PositiveFloat = Field(2.4, description="ps between frames")
    equilibration: Annotated[float, Field(ge=0)] = Field(10.0, description="ps before the first interval, not kept")
    temperature: PositiveFloat = Field(300.0, description="K")
    timestep: Annotated[float, Field(gt=0, le=5)] = Field(
        4.0, description="fs; 4 with heavy hydrogens, 2 where a molecule does not stand that"
    )
    friction: PositiveFloat = Field(1.0, description="1/ps, of the Langevin thermostat")
    hydrogen_mass: Annotated[float, Field(ge=1.0, le=4.0)] = Field(
        1.5, description="amu, taken from the atom that the hydrogen is bonded to"
    )
    ph: Annotated[float, Field(ge=0, le=14)] = Field(7.0, description="decides which hydrogens are there")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of hydrogens, velocities and thermostat")

    @model_validator(mode="after")
    def _whole_steps(self) -> Self:
        steps = self.interval * FEMTOSECONDS / self.timestep
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
            raise ValueError(
                f"an interval of {self.interval:g} ps is {steps:g} steps of {self.timestep:g} fs, but must be a whole "
                f"number of them; the nearest is {max(1, round(steps)) * self.timestep / FEMTOSECONDS:g} ps"
            )
        return self

    @property
    def steps_between_frames(self) -> int:
        """Time steps from frame to frame."""
        return round(self.interval * FEMTOSECONDS / self.timestep)

    @property
    def equilibration_steps(self) -> int:
        """Time steps that are thrown away."""
        return round(self.equilibration * FEMTOSECONDS / self.timestep)

    @property
    def steps_per_replica(self) -> int:
        """All time steps of one replica."""
        return self.equilibration_steps + self.frames * self.steps_between_frames

    @property
    def nanoseconds(self) -> float:
        """Simulated time of the whole ensemble."""
        return self.replicas * self.steps_per_replica * self.timestep / FEMTOSECONDS**2
