"""A protein ready to move: completed by PDBFixer, in amber14 with OBC2 implicit solvent.

OBC2 comes as the native GBSAOBCForce: the one that the force field's file asks for, a CustomGBForce, has the same
energy and is several times slower on a CPU.
"""

import io
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from pdbfixer import PDBFixer
from pdbfixer.pdbfixer import proteinResidues, substitutions

from moedsr.errors import InputError
from moedsr.structures.simulation.settings import SimulationSettings
from moedsr.structures.structure import Structure
from moedsr.structures.superpose import superpose

FORCE_FIELD = ("amber14-all.xml", "implicit/obc2.xml")

_NM = 10.0  # Å
_LONGEST_PEPTIDE_BOND = 2.5  # Å; anything longer is a gap, where residues are missing
_OFFSET = 0.009  # nm, by which OBC2 shortens radii; the native force does that by itself
_MINIMISER_STEPS = 500  # beyond, the energy hardly falls; dynamics does the rest
_WATER, _PROTEIN = 78.5, 1.0  # relative permittivities, as the force field's file has them


def complete_protein(structure: Structure, settings: SimulationSettings) -> str:
    """P0 as PDB text: missing side-chain atoms and all hydrogens added, energy minimised, superposed on the input.

    Missing residues are not built. Where some are missing inside, the pieces end as chains do.

    Raises:
        InputError: a residue that the force field does not know.
    """
    random.seed(settings.seed)  # hydrogens start from random places
    fixer = PDBFixer(pdbfile=io.StringIO("\n".join(_heavy_atoms(structure))))
    fixer.missingResidues = {}
    fixer.findNonstandardResidues()
    _require_known(structure)
    fixer.replaceNonstandardResidues()
    fixer.findMissingAtoms()
    fixer.addMissingAtoms(seed=settings.seed + 1)  # 0 would mean: any
    fixer.addMissingHydrogens(settings.ph)
    system = _system(fixer.topology, settings, structure.path)
    positions = _minimised(system, fixer.positions)
    ca = [atom.index for atom in fixer.topology.atoms() if atom.name == "CA"]
    rotation, translation = superpose(positions[ca], structure.positions[structure.ca_index])
    text = io.StringIO()
    app.PDBFile.writeModel(
        fixer.topology, unit.Quantity(positions @ rotation.T + translation, unit.angstrom), text, keepIds=True
    )
    return text.getvalue() + "END\n"


def _require_known(structure: Structure) -> None:
    """Raises InputError, naming the first, where a residue is neither natural nor a form of a natural one."""
    for number, name in enumerate(structure.residue_names, start=1):
        if name not in proteinResidues and name not in substitutions:
            raise InputError(
                f"{structure.path}: residue {number} is {name}, which amber14 does not know and for which there is no "
                "natural stand-in; only the twenty amino acids and their common modifications can be simulated"
            )


def load_p0(path: Path, settings: SimulationSettings) -> tuple[openmm.System, NDArray[np.float64], list[int]]:
    """System, positions (N, 3) in Å and Cα indices of a structure that ``complete_protein`` made."""
    pdb = app.PDBFile(str(path))
    ca = [atom.index for atom in pdb.topology.atoms() if atom.name == "CA"]
    return _system(pdb.topology, settings, path), _in_angstrom(pdb.getPositions(asNumpy=True)), ca


def native_obc2(system: openmm.System) -> openmm.GBSAOBCForce:
    """The force that does what the system's CustomGBForce of OBC2 does, with its charges, radii and scale factors."""
    custom = next(force for force in system.getForces() if isinstance(force, openmm.CustomGBForce))
    native = openmm.GBSAOBCForce()
    native.setNonbondedMethod(openmm.GBSAOBCForce.NoCutoff)
    native.setSolventDielectric(_WATER)
    native.setSoluteDielectric(_PROTEIN)
    for index in range(custom.getNumParticles()):
        charge, radius, scaled_radius = custom.getParticleParameters(index)
        native.addParticle(charge, radius + _OFFSET, scaled_radius / radius)
    return native


def _system(topology: app.Topology, settings: SimulationSettings, path: Path) -> openmm.System:
    try:
        system = app.ForceField(*FORCE_FIELD).createSystem(
            topology,
            nonbondedMethod=app.NoCutoff,
            constraints=app.HBonds,
            hydrogenMass=settings.hydrogen_mass * unit.amu,
        )
    except ValueError as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise InputError(f"{path}: amber14 cannot describe it: {reason}") from error
    native = native_obc2(system)
    custom = next(i for i, force in enumerate(system.getForces()) if isinstance(force, openmm.CustomGBForce))
    system.removeForce(custom)
    system.addForce(native)
    return system


def _minimised(system: openmm.System, positions: unit.Quantity) -> NDArray[np.float64]:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=_MINIMISER_STEPS)
    return _in_angstrom(context.getState(getPositions=True).getPositions(asNumpy=True))


def _in_angstrom(positions: unit.Quantity) -> NDArray[np.float64]:
    return np.asarray(positions.value_in_unit(unit.nanometer), dtype=np.float64) * _NM


def _heavy_atoms(structure: Structure) -> Iterator[str]:
    """PDB lines of the chain without its hydrogens, a TER at each gap."""
    heavy = structure.without_hydrogens()
    chain = heavy.chain[:1] or "A"
    backbone = {
        (residue, name): position
        for residue, name, position in zip(heavy.residue_of_atom, heavy.atom_names, heavy.positions, strict=True)
    }
    previous = 0
    for index, residue in enumerate(heavy.residue_of_atom):
        if residue != previous and _is_gap(backbone.get((previous, "C")), backbone.get((residue, "N"))):
            yield "TER"
        previous = residue
        name, element = heavy.atom_names[index], heavy.elements[index]
        x, y, z = heavy.positions[index]
        label = name if len(name) == 4 else f" {name:<3}"
        yield (
            f"ATOM  {(index + 1) % 100_000:>5} {label} {heavy.residue_names[residue]:>3} {chain}{residue + 1:>4}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}{1:6.2f}{0:6.2f}          {element.upper():>2}"
        )
    yield "TER"
    yield "END"


def _is_gap(carbon: NDArray[np.float64] | None, nitrogen: NDArray[np.float64] | None) -> bool:
    if carbon is None or nitrogen is None:
        return False
    return bool(np.linalg.norm(carbon - nitrogen) > _LONGEST_PEPTIDE_BOND)
