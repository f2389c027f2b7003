"""Scores anew from the features that a run has kept, without running a network.

for each row of a run: features/KEY.npy -> profile -> the row with its leave-one-out anew
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from nngp_tf.gaussian_process import profile
from nngp_tf.runs import files, progress
from nngp_tf.runs.reading import RunRecord
from nngp_tf.runs.store import RunDirectory

FEATURES = "features"
_LABELS = "labels.json"


def save_labels(features_dir: str, labels: np.ndarray, num_classes: int) -> None:
    """Write the labels [N] of the images that the features of a directory are of."""
    record = {"labels": labels.tolist(), "num_classes": num_classes}
    files.write(files.join(features_dir, _LABELS), json.dumps(record).encode(), writer=FEATURES)


def save_features(features_dir: str, key: str, features: np.ndarray) -> None:
    """Write the features [M, N, C] of an architecture, float32."""
    archive = io.BytesIO()
    np.save(archive, features.astype(np.float32))
    files.write(files.join(features_dir, f"{key}.npy"), archive.getvalue(), writer=FEATURES)


def load_features(features_dir: str, key: str) -> np.ndarray:
    """Read the features [M, N, C] of an architecture.

    Raises:
      ValueError: If there is no such file, or it is not one of features.
    """
    path = files.join(features_dir, f"{key}.npy")
    try:
        features = np.load(io.BytesIO(files.read(path)), allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): run nngp_inference with save_features = True"
        ) from error
    return features


def load_labels(run: RunRecord) -> tuple[np.ndarray, int]:
    """Read the labels [N] of the images that a run's features are of, and the number of classes.

    Raises:
      ValueError: If they are missing or unreadable.
    """
    path = files.join(files.join(run.path, FEATURES), _LABELS)
    try:
        record = json.loads(files.read(path))
        return np.array(record["labels"], np.int64), int(record["num_classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): name a run of nngp_inference with "
            "save_features = True"
        ) from error


def rescore(
    run: RunRecord, kernels: Sequence[str], directory: RunDirectory
) -> list[dict[str, Any]]:
    """Append the rows of a run with leave-one-out of these kernels, and return them.

    Failed rows stay as they are.

    Args:
      run: Its directory holds features.
      kernels: See `nngp_tf.gaussian_process.profile`.
      directory: Where the rows go; those it has already are left.

    Raises:
      ValueError: If labels or features are missing or unreadable, or do not fit together.
    """
    features_dir = files.join(run.path, FEATURES)
    labels, num_classes = load_labels(run)
    rows = [_bare(row) for row in run.rows]
    directory.expect(len(rows))
    done = sum(row["key"] in directory.rows for row in rows)
    with progress.bar(len(rows), done, "rescoring") as bar:
        for row in rows:
            if row["key"] in directory.rows:
                continue
            if row["status"] == "ok":
                features = load_features(features_dir, row["key"])
                row["leave_one_out"] = profile(features, labels, num_classes, kernels)
            directory.append(row)
            bar.update()
            logging.info("%s: rescored", row["key"])
    return directory.rows.of(row["key"] for row in rows)


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what its storage added."""
    return {name: value for name, value in row.items() if name != "stored"}
