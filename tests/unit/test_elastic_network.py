import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from moedsr.errors import InputError
from moedsr.geometry import elastic_network
from moedsr.geometry.elastic_network import ElasticNetwork
from moedsr.structures.ensemble import find_ensembles
from moedsr.structures.frame_plan import plan_frames
from moedsr.structures.structure import Structure, load_structure
from moedsr.structures.trajectory import frame_count, read_frames

ENSEMBLES = {ensemble.name: ensemble for ensemble in find_ensembles("mini-atlas")}


def structure_of(name: str) -> Structure:
    return load_structure(ENSEMBLES[name].topology)


def network_of(structure: Structure, positions: np.ndarray | None = None, **options) -> ElasticNetwork:
    return ElasticNetwork.of(
        structure.positions if positions is None else positions,
        structure.elements,
        structure.residue_of_atom,
        structure.ca_index,
        **options,
    )


@pytest.fixture(scope="module")
def crambin() -> Structure:
    return structure_of("1crn_A")


@pytest.fixture(scope="module")
def network(crambin: Structure) -> ElasticNetwork:
    return network_of(crambin)


def test_the_same_xi_gives_the_same_conformation_of_a_turned_protein(crambin: Structure, network: ElasticNetwork):
    rotation, shift = Rotation.random(rng=np.random.default_rng(1)).as_matrix(), np.array([30.0, -7.0, 12.0])
    turned = network_of(crambin, crambin.positions @ rotation.T + shift)
    xi = network.draw(3, seed=0)
    np.testing.assert_allclose(turned.sample(xi), network.sample(xi) @ rotation.T + shift, atol=1e-5)
    np.testing.assert_allclose(turned.rmsf, network.rmsf, atol=1e-8)


def test_only_the_six_rigid_motions_cost_nothing(network: ElasticNetwork):
    residues = network.residues
    hessian = network.springs.hessian(len(residues))
    assert len(network.stiffness) == 6 * len(residues) - 6
    assert network.stiffness[0] > 1e-3
    points = residues.positions[residues.heavy]
    jacobian = residues.jacobian[residues.heavy]
    owner = residues.residue_of_atom[residues.heavy]
    for motion in (
        *(np.broadcast_to(axis, points.shape) for axis in np.eye(3)),
        *(np.cross(a, points) for a in np.eye(3)),
    ):
        coordinates = np.zeros((len(residues), 6))
        np.add.at(coordinates, owner, np.einsum("nij,ni->nj", jacobian, motion))
        np.testing.assert_allclose(np.einsum("nij,nj->ni", jacobian, coordinates[owner]), motion, atol=1e-9)
        np.testing.assert_allclose(hessian @ coordinates.ravel(), 0, atol=1e-8)


def test_the_hessian_is_that_of_the_springs(crambin: Structure, network: ElasticNetwork):
    """Against the second difference of the energy along a direction, atoms moved to first order."""
    residues = network.residues
    direction = np.random.default_rng(2).normal(size=(len(residues), 6)) / 50
    owner, heavy = residues.residue_of_atom, residues.heavy
    moved = np.einsum("nij,nj->ni", residues.jacobian, direction[owner])[heavy]
    way = residues.positions[heavy][:, None] - residues.positions[heavy]
    length = np.linalg.norm(way, axis=-1)
    near = (length < 12) & (owner[heavy][:, None] < owner[heavy])
    first, second = np.nonzero(near)
    stretch = ((moved[first] - moved[second]) * way[first, second]).sum(1) / length[first, second]
    pairs = np.stack([heavy[first], heavy[second]], 1)
    stiffness = elastic_network._stiffness(
        pairs, length[first, second], elastic_network._bonds(residues, crambin.elements), len(owner)
    )
    assert set(stiffness) >= {1000.0, 300.0}
    flat = direction.ravel()
    assert flat @ (network.springs.hessian(len(residues)) @ flat) == pytest.approx((stiffness * stretch**2).sum())


def test_bonds_keep_their_length_at_any_amplitude(crambin: Structure):
    bent = network_of(crambin, mean_square_displacement=10.0)
    atoms = bent.sample(bent.draw(10, seed=0))
    bonds = elastic_network._bonds(bent.residues, crambin.elements)
    assert {tuple(pair) for pair in bent.bonds} < {tuple(pair) for pair in bonds}
    lengths = [
        np.linalg.norm(x[..., bonds[:, 0], :] - x[..., bonds[:, 1], :], axis=-1) for x in (atoms, crambin.positions)
    ]
    assert np.abs(lengths[0] - lengths[1]).max() < 0.05
    sulfurs = np.array(crambin.elements)[bent.bonds] == "S"
    assert sulfurs.all(1).sum() == 3  # disulfides
    assert (~sulfurs.any(1)).sum() == len(bent.residues) - 1  # peptide bonds


def spread(network: ElasticNetwork, samples: int = 16) -> float:
    heavy = network.residues.heavy
    moved = network.sample(network.draw(samples, seed=3))[:, heavy] - network.residues.positions[heavy]
    return np.square(moved).sum(-1).mean()


def test_the_amplitude_is_reached(crambin: Structure, network: ElasticNetwork):
    small = network_of(crambin, mean_square_displacement=0.05)
    assert spread(small) == pytest.approx(0.05, rel=0.15)
    for each, wanted in ((small, 0.05), (network, elastic_network.MEAN_SQUARE_DISPLACEMENT)):
        assert np.square(each.atom_rmsf[each.residues.heavy]).mean() == pytest.approx(wanted)
    # whole turns bring atoms back: less than to first order
    assert 0.6 < spread(network) / elastic_network.MEAN_SQUARE_DISPLACEMENT < 1


def test_fluctuations_resemble_those_of_simulations():
    correlations = []
    for ensemble in (ENSEMBLES[name] for name in ("1crn_A", "1l2y_A", "1vii_A")):
        structure = load_structure(ensemble.topology)
        counts = [frame_count(path, structure) for path in ensemble.trajectories]
        plan = plan_frames(counts, 24, "replica", name=ensemble.name)
        ca = structure.ca_index
        frames = np.stack([frame.positions[ca] for frame in read_frames(structure, ensemble.trajectories, plan)])
        rmsf = np.sqrt(np.square(frames - frames.mean(0)).sum(-1).mean(0))
        correlations.append(np.corrcoef(network_of(structure).rmsf, rmsf)[0, 1])
    assert min(correlations) > 0.6


def test_a_large_network_gives_its_softest_modes(crambin: Structure, network: ElasticNetwork, monkeypatch):
    monkeypatch.setattr(elastic_network, "_DENSE", 10)
    few = network_of(crambin, modes=40)
    np.testing.assert_allclose(few.stiffness, network.stiffness[:40], rtol=1e-6)
    overlap = few.modes.T @ network.modes[:, :40]
    np.testing.assert_allclose(overlap @ overlap.T, np.eye(40), atol=1e-5)


def test_atoms_do_not_clash(crambin: Structure, network: ElasticNetwork):
    """Heavy atoms of two residues stay 2.7 Å apart, or as near as in P0."""
    residues = network.residues
    heavy, owner = residues.heavy, residues.residue_of_atom[residues.heavy]
    apart = owner[:, None] != owner
    allowed = np.minimum(np.linalg.norm(crambin.positions[heavy][:, None] - crambin.positions[heavy], axis=-1), 2.7)

    def clashes(atoms: np.ndarray) -> int:
        distance = np.linalg.norm(atoms[heavy][:, None] - atoms[heavy], axis=-1)
        return int((apart & (distance < allowed - 0.1)).sum()) // 2

    xi = network.draw(6, seed=0)
    unrelaxed = residues.place(network.coordinates(xi))
    assert min(map(clashes, unrelaxed)) > 30
    assert np.mean([clashes(atoms) for atoms in network.sample(xi)]) < 1


def test_hydrogens_ride_on_their_heavy_atoms(crambin: Structure, network: ElasticNetwork):
    atoms = network.sample(network.draw(2, seed=5))
    hydrogen = np.array([element == "H" for element in crambin.elements])
    owner = crambin.residue_of_atom
    for atom in np.flatnonzero(hydrogen)[::20]:
        anchor = crambin.ca_index[owner[atom]]
        lengths = np.linalg.norm(atoms[:, atom] - atoms[:, anchor], axis=-1)
        assert lengths == pytest.approx(np.linalg.norm(crambin.positions[atom] - crambin.positions[anchor]), abs=1e-8)


def test_bonds_can_be_given(crambin: Structure, network: ElasticNetwork):
    own = elastic_network._bonds(network.residues, crambin.elements)
    without = own[~(np.array(crambin.elements)[own] == "S").all(1)]
    assert len(network_of(crambin, bonds=own).bonds) == len(network.bonds)
    assert len(network_of(crambin, bonds=without).bonds) == len(network.bonds) - 3


def test_a_network_in_pieces_is_named(crambin: Structure):
    apart = crambin.positions + np.where(crambin.residue_of_atom < 10, 60.0, 0.0)[:, None]
    with pytest.raises(InputError, match=r"x: falls into 2 pieces; residues 1-10 are \d+ Å from the rest, but springs"):
        network_of(crambin, apart, where="x")


def test_wrong_input_is_named(crambin: Structure):
    with pytest.raises(InputError, match="displacement is 0 Å², but must be positive"):
        network_of(crambin, mean_square_displacement=0.0)
    only_ca = np.sort(np.concatenate([np.flatnonzero(crambin.residue_of_atom != 4), crambin.ca_index[4:5]]))
    with pytest.raises(InputError, match="residue 5 has 1 heavy atoms, but three"):
        ElasticNetwork.of(
            crambin.positions[only_ca],
            tuple(crambin.elements[i] for i in only_ca),
            crambin.residue_of_atom[only_ca],
            np.searchsorted(only_ca, crambin.ca_index),
        )


def test_structures_without_hydrogens_do():
    bare = structure_of("1l2y_A").without_hydrogens()
    assert np.isfinite(network_of(bare).sample(network_of(bare).draw(2, seed=0))).all()
