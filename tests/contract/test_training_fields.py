"""spec.training and spec.augmentation: each field does what it says, in the loop that trains."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.run import RunConfig
from autotrain_trainer.data.pictures import Pictures, PictureSet
from autotrain_trainer.data.samples import Sample
from autotrain_trainer.progress import ProgressBoard

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:The 'mode.chained_assignment'")]
SIDE = 16
WAY = ResolvedPreprocessing(
    height=SIDE, width=SIDE, resize="Squish", interpolation="Bilinear", mean=[0.5, 0.25, 0], std=[0.2] * 3
)


def run_of(training: dict | None = None, augmentation: dict | None = None, task: str = "Classification") -> RunConfig:
    recipe = {
        "task": task,
        "data": {"uri": "file:///d"},
        "model": {"backbone": "test_resnet", "pretrained": False, "imageSize": SIDE},
        "augmentation": augmentation or {"policy": "None"},
        "training": {"epochs": 3, "batchSize": 16, "learningRate": 0.01} | (training or {}),
    }
    uris = {"dataUri": "file:///d", "outputUri": "file:///d"}
    return RunConfig.model_validate({"name": "d", "revision": "v1-0123456789", "recipe": recipe, **uris})


def pictures_of(count: int, seed: int, scale: float = 1.0) -> Pictures:
    """Dark and bright pictures on noise, in turn."""
    random, side = np.random.default_rng(seed), round(SIDE * scale)
    pixels = random.integers(0, 120, (count, side, side, 3), dtype=np.uint8)
    targets = np.arange(count) % 2
    pixels[targets == 1] += 100
    return Pictures(pixels, targets, [Sample(str(row), str(targets[row]), bytes) for row in range(count)])


def prepared(run: RunConfig, **changed: object):
    import torch

    from autotrain_trainer.label_objective import LabelObjective
    from autotrain_trainer.labels import LabelAssessment
    from autotrain_trainer.model import Network, create_backbone
    from autotrain_trainer.prepared import Prepared
    from autotrain_trainer.recipes.running import seed_everything
    from autotrain_trainer.resolved import Resolved

    seed_everything(17)
    torch.set_num_threads(1)
    network = Network(create_backbone(run.recipe.model, {"num_classes": 2}), WAY.mean, WAY.std)
    pictures = PictureSet(pictures_of(64, 0, 1.5), pictures_of(32, 1), None, [])
    rate = run.recipe.training.learning_rate
    resolved = Resolved(batch_size=16, precision="Float32", learning_rate=rate, threads=1, seed=17)
    objective = LabelObjective(run.recipe, WAY, run.gate_metric, np.array([32, 32]))
    parts = (["dark", "bright"], network, network, WAY, pictures, resolved, objective)
    return Prepared(*parts, LabelAssessment(["dark", "bright"], "accuracy"), **changed)


def trained(run: RunConfig, work: Path, board: ProgressBoard | None = None):
    from autotrain_trainer.fit import train

    ready = prepared(run)
    history = train(ready, run, 16, board or ProgressBoard(), work, lambda: None)
    return ready, history


FIELDS = {
    "SGD": ({"optimizer": "SGD", "learningRate": 0.1}, None),
    "RMSprop": ({"optimizer": "RMSprop", "learningRate": 0.001}, None),
    "Lamb": ({"optimizer": "Lamb", "learningRate": 0.02}, None),
    "a rate that is found for SGD": ({"optimizer": "SGD", "learningRate": None}, None),
    "Cosine": ({"schedule": "Cosine"}, None),
    "Constant": ({"schedule": "Constant"}, None),
    "averaged weights": ({"emaDecay": 0.9}, None),
    "smoothed labels": ({"labelSmoothing": 0.1}, None),
    "balanced classes": ({"classWeights": "Balanced"}, None),
    "mixup and cutmix": ({}, {"policy": "None", "mixup": 0.5, "cutmix": 0.5}),
    "RandAugment": ({}, {"policy": "rand-m9-mstd0.5"}),
}


@pytest.mark.parametrize(("training", "augmentation"), FIELDS.values(), ids=FIELDS)
def test_a_network_learns_with_every_field(training, augmentation, tmp_path):
    _, history = trained(run_of({"epochs": 5, **training}, augmentation), tmp_path)

    assert max(epoch["accuracy"] for epoch in history.epochs) > 0.8


# --- optimizers and schedules


def test_weight_decay_spares_norms_biases_and_what_the_network_names():
    import timm
    from torch import nn

    from autotrain_trainer.optimizers import CHOICES, optimizer_for

    network = nn.Sequential(nn.GroupNorm(2, 4), timm.create_model("test_vit", num_classes=2))
    names = {parameter: name for name, parameter in network.named_parameters()}
    for choice in CHOICES:
        optimizer = optimizer_for(choice, network)([list(network.parameters())], lr=0.1)
        spared = {names[parameter] for parameter, state in optimizer.state.items() if state.get("do_wd") is False}

        assert {"0.weight", "0.bias", "1.pos_embed", "1.cls_token", "1.head.bias", "1.norm.weight"} <= spared
        assert "1.head.weight" not in spared


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD", "RMSprop", "Lamb"])
def test_without_gradients_weights_shrink_by_rate_times_decay(optimizer):
    import torch
    from torch import nn

    from autotrain_trainer.optimizers import optimizer_for

    layer = nn.Linear(3, 3)
    before = layer.weight.detach().clone()
    made = optimizer_for(optimizer, layer)([list(layer.parameters())], lr=0.1, wd=0.5)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    bias = layer.bias.detach().clone()
    made.step()

    torch.testing.assert_close(layer.weight.detach(), before * (1 - 0.1 * 0.5))
    torch.testing.assert_close(layer.bias.detach(), bias)


@pytest.mark.parametrize(
    ("schedule", "first", "last"), [("Constant", 0.01, 0.01), ("Cosine", 0.01, 1e-7), ("OneCycle", 4e-4, 1e-7)]
)
def test_a_schedule_begins_and_ends_where_it_should(schedule, first, last, tmp_path):
    from fastai.callback.core import Callback

    from autotrain_trainer.fit import make_learner
    from autotrain_trainer.optimizers import fit_phase

    rates: list[float] = []

    class Seen(Callback):
        order = 70

        def before_step(self) -> None:
            rates.append(self.learn.opt.hypers[-1]["lr"])

    run = run_of()
    ready = prepared(run)
    learner = make_learner(ready.network, ready.pictures, ready.objective, run, 16, tmp_path)
    with learner.no_bar(), learner.no_logging():
        fit_phase(learner, 25, 0.01, schedule, [Seen()])

    assert rates[0] == pytest.approx(first, rel=1e-3)
    assert rates[-1] == pytest.approx(last, rel=1e-3, abs=1e-5)


# --- averaged weights


def test_the_averaged_weights_are_the_ones_that_are_validated_kept_and_exported(tmp_path):
    import torch
    from torch.nn import functional

    ready, history = trained(run_of({"emaDecay": 0.95}), tmp_path)

    kept = history.epochs[history.best_epoch - 1]
    pictures = ready.pictures.validation
    with torch.no_grad():
        scores = ready.network(torch.from_numpy(pictures.pixels))
    loss = float(functional.cross_entropy(scores, torch.from_numpy(pictures.targets)))
    assert loss == pytest.approx(kept["validation"], abs=1e-4)
    assert (scores.argmax(dim=1).numpy() == pictures.targets).mean() == pytest.approx(kept["accuracy"])


def test_an_average_follows_weights_and_the_statistics_of_batch_norms():
    import torch
    from torch import nn

    from autotrain_trainer.averaging import Average

    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(network, 0.5)
    average.learn = type("Learner", (), {"model": network})()
    wanted = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(1, 6):
        with torch.no_grad():
            for value in network.state_dict().values():
                value.add_(1)
        average.after_step()
        decay = 0.0 if step == 1 else min(0.5, 1 - step ** (-2 / 3))
        for name, value in network.state_dict().items():
            floating = value.is_floating_point()
            wanted[name] = decay * wanted[name] + (1 - decay) * value if floating else value.clone()

    for name, value in average.network.state_dict().items():
        torch.testing.assert_close(value, wanted[name])


# --- the best epoch


@pytest.mark.parametrize(("ties_by_loss", "wanted"), [(False, 2), (True, 4)])
def test_of_epochs_with_the_same_metric_the_first_is_kept_or_the_one_of_the_lowest_loss(ties_by_loss, wanted):
    from torch import nn

    from autotrain_trainer.fit import Watch
    from autotrain_trainer.history import History

    results = iter([(0.1, 0.8), (0.9, 1.0), (0.7, 1.0), (0.4, 1.0), (0.5, 1.0), (0.2, 0.9)])
    passes = SimpleNamespace(result=lambda: next(results))
    objective = SimpleNamespace(validation=lambda: passes, ties_by_loss=ties_by_loss)
    network, history = nn.Linear(1, 1), History()
    watch = Watch(ProgressBoard(), history, "mAP", objective, 1, network)
    watch.learn = SimpleNamespace(dls=SimpleNamespace(train=[0]))
    for epoch in range(1, 7):
        history.losses.append(1.0)
        nn.init.constant_(network.weight, epoch)
        watch.after_epoch()

    assert history.best_epoch == wanted
    assert float(watch.weights["weight"]) == wanted


# --- early stopping


class Watched(ProgressBoard):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, message: str, percent: int | None = None) -> None:
        super().say(message, percent)
        self.lines.append(message)


def test_training_ends_when_nothing_gets_better_and_says_so(tmp_path):
    board = Watched()
    ready, history = trained(
        run_of({"epochs": 50, "learningRate": 1e-9, "earlyStopping": {"patienceEpochs": 2}}), tmp_path, board
    )

    ended, best = len(history.epochs), history.best_epoch
    assert ended == best + 2 < 50
    assert history.ended.startswith(
        f"stopped after epoch {ended} of 50: accuracy was best in epoch {best}, and no better"
    )
    assert board.lines[-1] == history.ended
    now = board.current
    assert (now.epoch, now.epochs, now.remaining_seconds, now.percent) == (ended, ended, 0, 90)
    assert now.step == now.steps == 4 * ended
    assert not ready.network.training


def test_frozen_epochs_do_not_try_the_patience(tmp_path):
    run = run_of({"epochs": 3, "freezeEpochs": 6, "learningRate": 1e-9, "earlyStopping": {"patienceEpochs": 2}})
    model = run.recipe.model.model_copy(update={"pretrained": True})
    from autotrain_trainer.fit import train

    ready = prepared(run)
    frozen = run.model_copy(update={"recipe": run.recipe.model_copy(update={"model": model})})
    history = train(ready, frozen, 16, ProgressBoard(), tmp_path, lambda: None)

    assert len(history.epochs) >= 8


def test_a_run_that_goes_to_its_end_has_nothing_to_say(tmp_path):
    _, history = trained(run_of({"epochs": 2, "earlyStopping": {"patienceEpochs": 2}}), tmp_path)

    assert (history.ended, len(history.epochs)) == ("", 2)


# --- what is learned


def label_objective(training: dict | None = None, augmentation: dict | None = None, counts: tuple = (30, 10)):
    from autotrain_trainer.label_objective import LabelObjective

    run = run_of(training, augmentation)
    return LabelObjective(run.recipe, WAY, "accuracy", np.array(counts))


def test_smoothing_and_weights_are_those_of_timm_and_scikit_learn():
    import torch
    from timm.loss import LabelSmoothingCrossEntropy

    scores, labels = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
    smoothed = label_objective({"labelSmoothing": 0.1}).loss(scores, labels)
    balanced = label_objective({"classWeights": "Balanced"}).loss(scores, labels)

    torch.testing.assert_close(smoothed, LabelSmoothingCrossEntropy(0.1)(scores, labels))
    losses = torch.nn.functional.cross_entropy(scores, labels, reduction="none")
    weights = torch.where(labels == 0, 40 / (2 * 30), 40 / (2 * 10))
    torch.testing.assert_close(balanced, (losses * weights).sum() / weights.sum())


@pytest.mark.parametrize("alphas", [{"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}], ids=str)
def test_mixed_pictures_have_the_shares_of_their_labels(alphas):
    """One class is black, the other white, and a picture's mirror in the batch is of the other one."""
    pictures = pictures_of(64, 0)
    pictures.pixels[:] = 255 * pictures.targets[:, None, None, None]
    objective = label_objective(augmentation={"policy": "None", "horizontalFlip": False, **alphas})
    cut = set()
    for _ in range(20):
        images, (shares,) = objective.batch(pictures, range(64), training=True)
        white = images.float().mean(dim=(1, 2, 3)) / 255
        np.testing.assert_allclose(white.numpy(), shares[:, 1].numpy(), atol=0.003)
        np.testing.assert_allclose(shares.sum(dim=1).numpy(), 1, atol=1e-6)
        grey = ((images > 0) & (images < 255)).any()
        cut.add("mixup" if grey else "cutmix" if 0.02 < float(shares[0, 1]) < 0.98 else "neither")
    assert cut - {"neither"} == set(alphas)


def test_validation_is_never_varied_mixed_or_smoothed():
    objective = label_objective({"labelSmoothing": 0.3}, {"policy": "rand-m9", "mixup": 1, "randomErasing": 1})
    pictures = pictures_of(8, 0)

    images, (target,) = objective.batch(pictures, range(8), training=False)

    assert (images.numpy() == pictures.pixels).all()
    assert target.tolist() == pictures.targets.tolist()


def test_label_sets_are_mixed_smoothed_towards_one_half_and_balanced():
    import torch

    from autotrain_trainer.label_set_objective import LabelSetObjective

    truth = np.array([[1, 0], [0, 0], [0, 1], [0, 0]], np.uint8)
    scores = torch.tensor([[1.0, -1.0], [0.5, 2.0], [-3.0, 0.0], [1.0, 1.0]])

    def made(training: dict, augmentation: dict | None = None) -> LabelSetObjective:
        run = run_of(training, augmentation, "MultiLabelClassification")
        return LabelSetObjective(run.recipe, WAY, "mAP", truth)

    known = torch.from_numpy(truth).float()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    smoothed = made({"labelSmoothing": 0.2}).loss(scores, known)
    torch.testing.assert_close(smoothed, entropy(scores, known * 0.8 + 0.1))
    weights = torch.where(known == 1, 4 / 2, 4 / 6)
    torch.testing.assert_close(made({"classWeights": "Balanced"}).loss(scores, known), entropy(scores, known, weights))
    pictures = Pictures(np.zeros((4, 24, 24, 3), np.uint8), truth, [])
    _, (shares,) = made({}, {"policy": "None", "mixup": 1}).batch(pictures, range(4), training=True)
    torch.testing.assert_close(shares + shares.flip(0), known + known.flip(0))


def test_balanced_masks_weigh_the_pixels_of_rare_classes_more():
    import torch

    from autotrain_trainer.data.mask_values import IGNORE
    from autotrain_trainer.segmentation_objective import pixel_counts, pixel_loss

    masks = np.zeros((2, 4, 4), np.uint8)
    masks[0, 0], masks[1, 3, 3] = 1, IGNORE
    assert pixel_counts(masks, 3).tolist() == [27, 4, 0]
    scores, known = torch.zeros(2, 3, 4, 4), torch.from_numpy(masks).long()
    plain = pixel_loss(scores, known)
    heavy = pixel_loss(scores, known, torch.tensor([31 / 54, 31 / 8, 0.0]))
    torch.testing.assert_close(plain, torch.tensor(3.0).log())
    torch.testing.assert_close(heavy, plain)


# --- policies


@pytest.mark.parametrize("text", ["rand-m9-mstd0.5", "augmix-m5-w2-d1", "original", "originalr", "v0", "v0r", "3a"])
def test_a_policy_varies_each_picture_and_the_same_seed_repeats_it(text):
    import random

    from autotrain_trainer.policies import policy_of

    pictures = pictures_of(16, 3).pixels
    found = []
    for _ in range(2):
        import torch

        random.seed(1)
        np.random.seed(1)
        found.append(policy_of(text, WAY)(torch.from_numpy(pictures)))

    assert found[0].shape == pictures.shape
    assert found[0].dtype == torch.uint8
    assert (found[0] == found[1]).all()
    assert (found[0].numpy() != pictures).any(axis=(1, 2, 3)).sum() >= 4


def test_what_a_policy_uncovers_has_the_mean_colour():
    from autotrain_trainer.policies import transform_of

    white = Image.new("RGB", (SIDE, SIDE), "white")
    seen = {
        colour
        for _ in range(300)
        for _, colour in transform_of("rand-m10-n1-p1", SIDE, WAY.mean)(white).getcolors(SIDE * SIDE)
    }

    assert (128, 64, 0) in seen


# --- steps


@pytest.mark.parametrize(("batch", "micro"), [(16, 5), (64, 48), (2, 1)])
def test_a_network_learns_from_any_part_of_a_batch(batch, micro, tmp_path):
    from autotrain_trainer.fit import train

    run = run_of({"epochs": 1, "batchSize": batch})
    ready = prepared(run)
    ready.resolved.batch_size = batch
    before = {name: tensor.clone() for name, tensor in ready.network.named_parameters()}
    history = train(ready, run, micro, ProgressBoard(), tmp_path, lambda: None)

    assert np.isfinite(history.losses).all()
    assert any((before[name] != parameter).any() for name, parameter in ready.network.named_parameters())


def test_a_rate_is_taken_where_losses_explode_before_one_can_be_seen(tmp_path, monkeypatch):
    from autotrain_trainer.fit import find_learning_rate, make_learner

    run = run_of({"learningRate": None})
    ready = prepared(run)
    calm, said = ready.objective.loss, []

    def explode(*batch):
        said.append(1)
        return calm(*batch) * 10.0 ** (2 * len(said))

    monkeypatch.setattr(ready.objective, "loss", explode)
    learner = make_learner(ready.network, ready.pictures, ready.objective, run, 16, tmp_path)
    rate, _ = find_learning_rate(learner, (1e-4, 1e-2))

    assert rate == pytest.approx(1e-3)
    assert len(said) < 10
