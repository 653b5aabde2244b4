"""training.classWeights: Balanced. Classes weigh by their inverse frequency, as in scikit-learn. Pure."""

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]


def balanced(counts: NDArray[np.integer]) -> Weights:
    """n / (classes that occur x count) for each class, 0 for one that does not; the mean over all samples is 1."""
    present = counts > 0
    weights = counts.sum() / np.maximum(1, present.sum() * counts.astype(np.float64))
    return np.where(present, weights, 0).astype(np.float32)


def balanced_pairs(truth: NDArray[np.uint8]) -> Weights:
    """[2, classes]: weights of absent and present labels, each class as a problem of its own; `truth` is [n, classes]."""
    positive = truth.sum(axis=0, dtype=np.int64)
    counts = np.stack([len(truth) - positive, positive])
    return np.stack([balanced(column) for column in counts.T], axis=1)
