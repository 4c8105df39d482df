"""Independent random streams, each derived from the training seed, its purpose and only what is relevant to it.

Data order follows from the dataset, initial weights from the architecture, never from loss or recipe: two losses start
from the same weights and see the same batches. Streams are addressed, not advanced, so resuming needs no saved state.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_MASK = (1 << 64) - 1


def derive(seed: int, purpose: str, *relevant: Any) -> int:
    """Return a 63-bit seed for ``purpose``: the same for equal arguments, unrelated otherwise.

    ``relevant`` is anything that JSON can hold. 63 bits, because `torch.Generator.manual_seed` takes a signed integer.
    """
    text = json.dumps([seed, purpose, *relevant], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def mix(base: int, *indices: int) -> int:
    """Return a 63-bit seed for a position within the stream ``base``: cheap enough for every stage of every step.

    Each index goes through the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    state = base
    for index in indices:
        state = (state + 0x9E3779B97F4A7C15 * (index + 1)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1
