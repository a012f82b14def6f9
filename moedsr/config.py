"""Typed configuration: every knob with its unit, its meaning and the paper's symbol.

A configuration is built once, checked where it is built, and never changed afterwards. The paper's choices that
our study of it found wanting stay available and are named ``paper``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
PositiveFloat = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

HARMONIC_CHANNELS: Mapping[int, tuple[int, ...]] = {
    1: (0,),
    3: (1,),
    4: (0, 1),
    9: (0, 1, 2),
    16: (0, 1, 2, 3),
}
"""Degrees l behind each allowed number of channels; 3 is the plain coordinate x, the paper's ablation."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class PrepareConfig(Section):
    """How trajectories become a surface store. All of it enters the store's fingerprint."""

    frames: Positive = Field(100, description="frames kept per protein, over all replicas, besides P0")
    time_mode: Literal["concat", "replica"] = Field(
        "concat", description="concat: replicas one after another (the paper); replica: each spans [-1, 1]"
    )
    surface_points: Positive = Field(5000, description="points sampled uniformly by area on each frame's surface")
    grid_spacing: PositiveFloat = Field(
        1.0,
        description="Å, grid of surfaces; stored points and inside tests are refined to the surface "
        "itself, so that it decides little but the time",
    )
    probe_radius: PositiveFloat = Field(1.4, description="Å, solvent probe")
    hydrogens: bool = Field(True, description="whether hydrogens take part in the surface")
    chains: tuple[str, ...] | None = Field(
        None, description="ids of the protein chains taken together; default: the only one"
    )
    ligands: tuple[str, ...] = Field((), description="residue names of ligands, cofactors and ions taken too")
    keep_truncated: bool = Field(
        False, description="whether the whole frames of a trajectory that was cut short are used"
    )
    keep_cavities: bool = Field(False, description="whether surfaces of internal cavities are kept")
    occupancy_grid: Positive = Field(128, description="nodes per axis of the metric grid over [-1, 1]³")


class DataConfig(Section):
    """Which store, and which part of it."""

    source: str | None = Field(
        None,
        description="'mini-atlas' (bundled) or a folder of ensembles; prepared into the store when it is missing",
    )
    store: Path | None = Field(
        None, description="surface store; default: a folder of the user's cache named by content"
    )
    prepare: PrepareConfig = PrepareConfig()
    proteins: tuple[str, ...] | None = Field(None, description="train on these only; default: the train split")
    replicas: tuple[Positive, ...] | None = Field(None, description="train on these replicas only; default: all")
    frames: Annotated[int, Field(ge=0)] | None = Field(
        None, description="train on so many frames, evenly spread, besides P0; 0 is P0 alone; default: all"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.source is None and self.store is None:
            raise ValueError("one of `source` and `store` must be given")
        return self


class RouterConfig(Section):
    """The surface network that reads P0 (Q-MPNN in the paper)."""

    backbone: str = Field(
        "q_mpnn",
        description="name in moedsr.models.router.router.ROUTERS: a surface network of router.encoders, or none, with "
        "which every protein goes to the one expert and no protein code exists",
    )
    cloud_points: Positive = Field(1024, description="M, points of P0's cloud, by farthest-point sampling")
    point_features: Positive = Field(32, description="φ_s, chemical features of a point")
    residue_features: Positive = Field(32, description="φ_R, size of a residue embedding")
    protein_features: Positive = Field(32, description="φ_P, size of the protein code")
    nearest_residues: Positive = Field(16, description="ζ, residues that a point looks at")
    residue_distance: Literal["both", "paper"] = Field(
        "both", description="what a point knows of a residue's distance d: 1/d² and 1/d, or 1/d² alone as in the paper"
    )
    normal_smoothing: Weight = Field(2.5, description="σ_n in Å, 0 for raw normals; Table 2 has 9 and 12")
    neighborhood_radius: PositiveFloat = Field(
        9.0,
        description="σ_d in Å: q_mpnn cuts the quasi-geodesic distance there; dmasif: width of the Gaussian window; "
        "pointnet2: radius of the second ball, the first has half of it",
    )
    use_normals: bool = Field(
        False,
        description="whether pointnet2, pointcnn, point_transformer and pointmlp also read the normals; the paper's do "
        "not, q_mpnn and dmasif always do",
    )
    neighbor_weight: Literal["smooth", "paper"] = Field(
        "smooth",
        description="q_mpnn: neighbours fade out towards σ_d and their sum is divided by √(mean degree); or a plain "
        "sum as in the paper",
    )
    radial_basis: Annotated[int, Field(ge=2)] = Field(32, description="number of Gaussians")
    radial_range: Literal["neighborhood", "paper"] = Field(
        "neighborhood", description="centres on [0, σ_d], or on [0, 30] Å as in the paper"
    )
    radial_gamma: PositiveFloat | None = Field(
        None, description="γ in Å⁻²; default 1/(2 spacing²), so that the basis has no gaps; the paper has 10"
    )
    l_max: Annotated[int, Field(ge=0, le=3)] = Field(1, description="highest degree of the irreps features")
    layers: Positive = Field(3, description="L_1, message-passing layers of q_mpnn, convolutions of dmasif")
    pooling: Literal["invariant", "paper"] = Field(
        "invariant",
        description="q_mpnn: mean and maximum of scalars and of norms, or the paper's maximum of every component, "
        "which changes when the protein turns where l_max > 0",
    )
    tensor_product: Literal["torch", "openequivariance"] = Field(
        "torch",
        description="q_mpnn: how messages are multiplied; openequivariance: by that package's kernels on a GPU, "
        "elsewhere as torch does. The values are the same",
    )
    recompute_messages: bool = Field(
        False,
        description="q_mpnn: keep nothing of single neighbours for the backward pass, and compute it again there: a "
        "quarter of the memory for about 40 % more time",
    )
    hidden_channels: Annotated[int, Field(ge=4)] = Field(
        32,
        description="q_mpnn: scalar channels, degree l has hidden_channels / 2^l; other backbones: width that each "
        "stage multiplies, the published one at 32",
    )


class GateConfig(Section):
    """Noisy top-k gate, Eq. 5."""

    top_k: Positive = Field(2, description="N_K, experts that compute for one protein")
    minimum_noise: Weight = Field(0.01, description="added to the learned noise scale while training")


class ExpertConfig(Section):
    """The implicit networks."""

    kind: str = Field(
        "anchored",
        description="name in moedsr.models.experts.EXPERTS; anchored: starts from P0's own signed distance; plain: the "
        "paper; equivariant: first layer built from the router's features, degrees of Ψ up to router.l_max; dsr: the "
        "network of the paper's main baseline, as published",
    )
    count: Positive = Field(4, description="N_E, number of experts")
    hidden_layers: Annotated[int, Field(ge=2)] = Field(8, description="hidden layers of an expert")
    hidden_size: Positive = Field(512, description="width of a hidden layer")
    softplus_beta: PositiveFloat = Field(100.0, description="β of the softplus")
    matmul_precision: Literal["tf32", "float32"] = Field(
        "tf32",
        description="of the products between hidden layers while training on a GPU, TensorFloat-32 or not; everything "
        "else, all of an evaluation, and any CPU are float32",
    )
    harmonic_channels: int = Field(16, description="φ_SH: 1, 4, 9, 16 for degrees up to 0…3; 3 is plain x")
    harmonic_epsilon: Weight = Field(0.01, description="ε of r = √(|x|² + ε²), normalised; keeps Ψ smooth at 0")
    latent_size: Annotated[int, Field(ge=0)] = Field(64, description="φ_z, size of the latent code; 0 for none")
    latent_per: Literal["protein", "replica"] = Field(
        "protein", description="who has a latent code: each training protein (the paper), or each of its replicas (DSR)"
    )
    latent_init: Literal["normalised", "paper"] = Field(
        "normalised", description="code std 1/√φ_z, or 1 as in the paper"
    )
    initial_radius: PositiveFloat = Field(
        0.55, description="radius of the sphere at initialisation, normalised; not for anchored"
    )
    anchor_radius: PositiveFloat = Field(6.0, description="Å, anchored: how far from P0's surface a correction reaches")
    anchor_code: bool = Field(
        False, description="anchored: whether the networks read the protein code; the gate always does"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.harmonic_channels not in HARMONIC_CHANNELS:
            raise ValueError(
                f"harmonic_channels is {self.harmonic_channels}, but must be one of {sorted(HARMONIC_CHANNELS)}"
            )
        return self


class LossConfig(Section):
    """Weights of Eqs. 6-8."""

    sdf_weight: Weight = Field(1.0, description="λ_1, weight of the whole SDF loss")
    normal_weight: Weight = Field(1.0, description="τ, weight of the normal loss")
    eikonal_weight: Weight = Field(0.1, description="λ_SDF")
    latent_weight: Weight = Field(0.001, description="λ_Z")
    occupancy_weight: Weight = Field(
        0.0,
        description="weight of the error in inside and outside near P0's surface, in units of what the best static "
        "surface gains over P0; not in the paper",
    )
    occupancy_width: PositiveFloat = Field(1.0, description="Å, over which outside turns into inside in that loss")
    change_weight: Weight = Field(
        0.0,
        description="weight of the mean square, in Å², of how far the field is from P0's signed distance at the same "
        "points; anchored only; not in the paper",
    )
    load_balance_weight: Weight = Field(0.01, description="λ_2 (the paper's table calls it α_2)")
    load_balance: Literal["switch", "paper", "cv2"] = Field(
        "switch",
        description="switch: dense probabilities; paper: sparse gates, Eq. 8; cv2: squared variation",
    )
    router_z_weight: Weight = Field(0.0, description="weight of the squared log-partition of the gate's logits")


class TrainingConfig(Section):
    """Optimisation."""

    steps: Positive = Field(100_000, description="optimiser steps")
    batch_size: Positive = Field(16, description="N_B, proteins per step over all workers")
    frames_per_protein: Positive = Field(1, description="frames of each protein in one step")
    surface_points: Positive = Field(5000, description="surface points per frame and step; as many local off-surface")
    global_fraction: Weight = Field(0.125, description="uniform off-surface points per surface point")
    occupancy_points: Annotated[int, Field(ge=0)] = Field(
        0, description="points per frame and step for the occupancy loss, nodes of the store's metric grid near P0"
    )
    learning_rate: PositiveFloat = Field(5e-4, description="router and experts")
    weight_decay: Weight = Field(0.0, description="of router and experts, decoupled from the gradient (AdamW)")
    latent_learning_rate: PositiveFloat = Field(1e-3, description="latent codes")
    schedule: Literal["cosine", "halving"] = Field(
        "cosine", description="of both learning rates after the warm-up: a cosine, or halved again and again (DSR)"
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(1000, description="linear warm-up")
    final_learning_rate: Fraction = Field(0.02, description="cosine: its end, as a fraction of the peak")
    halvings: Positive = Field(
        20, description="halving: into so many stretches training is cut, each at half the rates of the one before"
    )
    gradient_clip: PositiveFloat | None = Field(1.0, description="largest global gradient norm; null: any")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(0.999, description="of the evaluated weights; 0 is off")
    latent_dropout: Fraction = Field(0.2, description="probability that a protein trains with a zero code")
    seed: Seed = Field(0, description="of weights, batches and noise")
    report_every: Positive = Field(50, description="steps between reports of the training metrics")
    validate_every: Positive = Field(5000, description="steps between validations, each with a checkpoint")


class EvaluationConfig(Section):
    """How a model is scored, the same for validation and test."""

    split: Literal["train", "val", "test"] = Field("val", description="split scored while training")
    scope: Literal["later", "trained"] = Field(
        "later",
        description="later: the frames after P0; trained: those trained on, P0 included (memorisation)",
    )
    frames: Positive | None = Field(None, description="frames per protein, evenly spread; default: all")
    grid_stride: Positive = Field(1, description="every n-th node of the metric grid per axis")
    surface_samples: Positive = Field(
        10_000, description="most points on each surface for Chamfer and normals: vertices of its mesh, evenly taken"
    )
    unseen_code: Literal["fit", "zero", "mean"] = Field(
        "fit",
        description="latent code of a protein without one: fitted on P0 at t = -1, zero, or the mean of all",
    )
    fit_steps: Positive = Field(300, description="optimiser steps of that fit")
    fit_learning_rate: PositiveFloat = Field(5e-3, description="of that fit; a tenth in its second half")
    fit_points: Positive = Field(2000, description="surface points per step of that fit")


class Config(Section):
    """One run, complete: every number that the result depends on."""

    data: DataConfig
    router: RouterConfig = RouterConfig()
    gate: GateConfig = GateConfig()
    expert: ExpertConfig = ExpertConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.loss.occupancy_weight > 0 and self.training.occupancy_points == 0:
            raise ValueError(
                "loss.occupancy_weight is above 0, but training.occupancy_points is 0; it must be at least 1"
            )
        if self.loss.change_weight > 0 and (self.expert.kind != "anchored" or self.training.occupancy_points == 0):
            raise ValueError(
                "loss.change_weight is above 0, but needs expert.kind anchored and training.occupancy_points of at "
                f"least 1, not {self.expert.kind} and {self.training.occupancy_points}"
            )
        if self.router.backbone == "none" and self.expert.count > 1:
            raise ValueError(
                f"router.backbone is none, but expert.count is {self.expert.count}; it must be 1 where nothing chooses"
            )
        if self.gate.top_k > self.expert.count:
            raise ValueError(f"gate.top_k is {self.gate.top_k}, but must be at most expert.count = {self.expert.count}")
        return self

    def flat(self) -> dict[str, Any]:
        """Dotted keys to plain values, as shown in the tracking UI."""
        return dict(_flatten("", self.model_dump(mode="json")))


def _flatten(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [item for key, child in value.items() for item in _flatten(f"{prefix}{key}.", child)]
    return [(prefix.removesuffix("."), value)]
