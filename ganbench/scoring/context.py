"""What a metric may ask for beyond its two feature stores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.components import Synthesis, Truth
from ganbench.scoring.neighbours import GROUPS, BallCounts, Pair
from ganbench.values import FeatureStore


@dataclass(frozen=True)
class Given:
    """What this set and these data give; None is what they do not have.

    ``errors`` asks for standard errors, ``train`` are the features of the training split, ``synthesis`` is the
    generator with the extractor.
    """

    errors: bool = False
    train: FeatureStore | None = None
    truth: Truth | None = None
    synthesis: Synthesis | None = None


class Context:
    """The evaluation seed, neighbours (computed once a k), and what else is `Given`."""

    def __init__(
        self,
        seed: int,
        generated: FeatureStore,
        real: FeatureStore,
        device: torch.device | None = None,
        given: Given | None = None,
    ) -> None:
        self.seed, self.generated, self.real = seed, generated, real
        self.given = given or Given()
        self._device = device
        self._pair: Pair | None = None
        self._counts: dict[int, BallCounts] = {}

    @property
    def errors(self) -> bool:
        """Whether the standard error over the generated samples is wanted too."""
        return self.given.errors

    @property
    def train(self) -> FeatureStore:
        """Features of the training split. Raises ValueError where there is none."""
        if self.given.train is None:
            raise ValueError("there is no training split to compare with")
        return self.given.train

    @property
    def truth(self) -> Truth:
        """What is known of the data. Raises ValueError where nothing is."""
        if self.given.truth is None:
            raise ValueError("the modes of these data are not known")
        return self.given.truth

    @property
    def synthesis(self) -> Synthesis:
        """Generator and extractor as one function. Raises ValueError where there is no generator."""
        if self.given.synthesis is None:
            raise ValueError("the samples come from no generator that could be asked for more")
        return self.given.synthesis

    def neighbours(self, k: int) -> BallCounts:
        """Compare the first N generated and real features, N the smaller count; balls are closed, self excluded.

        Raises:
            ValueError: features were not kept, or there are not more than ``k`` on each side.
        """
        if k not in self._counts:
            if self._pair is None:
                self._pair = Pair(self._features(self.generated), self._features(self.real), self._device)
            self._counts[k] = self._pair.counts(k, GROUPS if self.errors else 0)
        return self._counts[k]

    @staticmethod
    def _features(store: FeatureStore) -> Tensor:
        if store.features is None:
            raise ValueError("neighbours need features, and none were kept")
        return store.features
