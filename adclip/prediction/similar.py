"""The training scans that a model finds most like a scan: by the cosine of its tuned image embeddings.

They stand in the run's `private/`: diagnosis, band of ages and embedding of each training scan, and nothing that names anybody. A model
that is shared has no `private/`, and so no cases.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adclip.domain import Visit
from adclip.prediction import errors
from adclip.runtime.paths import write_bytes
from adclip.told import SimilarCase

EMBEDDINGS = "embeddings.npz"
PRIVATE = "private"
BAND_YEARS = 10
UNKNOWN = ""


@dataclass(frozen=True)
class TrainingCases:
    """What a run remembers of its N training scans.

    Parameters
    ----------
    embeddings : ndarray (N, E), float32
        L2-normalised, before the cross-attention.
    diagnoses : tuple of str
        N classes.
    age_bands : tuple of str
        N bands such as `70-79`; empty where the age was unknown.
    fingerprint : str
        Of the training that made them, as in its record.
    """

    embeddings: NDArray[np.float32]
    diagnoses: tuple[str, ...]
    age_bands: tuple[str, ...]
    fingerprint: str

    @classmethod
    def of(cls, read_outs: NDArray[np.float32], visits: Sequence[Visit], fingerprint: str) -> TrainingCases:
        """Make it of image read-outs (N, E), before L2, and the rows of the same N scans."""
        lengths = np.linalg.norm(read_outs, axis=1, keepdims=True)
        diagnoses = tuple(str(visit.diagnosis) for visit in visits)
        bands = tuple(to_band(visit.age_years) for visit in visits)
        return cls((read_outs / lengths).astype(np.float32), diagnoses, bands, fingerprint)

    def nearest(self, embedding: NDArray[np.float32], count: int) -> tuple[SimilarCase, ...]:
        """Return the `count` scans nearest to an L2-normalised embedding (E,), the nearest first; fewer where there are no more.

        A scan that was trained on finds itself, at distance 0.
        """
        cosines = self.embeddings.astype(np.float64) @ embedding.astype(np.float64)
        order = np.argsort(-cosines, kind="stable")[:count]
        return tuple(
            SimilarCase(
                self.diagnoses[place],
                self.age_bands[place] or None,
                float(np.clip(1 - cosines[place], 0, 2)),
            )
            for place in order.tolist()
        )


def to_band(age_years: float | None) -> str:
    """Return the ten years that an age is in, such as `70-79`; empty for an unknown one."""
    if age_years is None:
        return UNKNOWN
    first = int(age_years // BAND_YEARS) * BAND_YEARS
    return f"{first}-{first + BAND_YEARS - 1}"


def write_cases(private: Path, cases: TrainingCases) -> None:
    """Write `embeddings.npz` into a run's `private/`, whole or not at all."""
    stream = io.BytesIO()
    np.savez(
        stream,
        embeddings=cases.embeddings,
        diagnosis=np.array(cases.diagnoses, dtype=np.str_),
        age_band=np.array(cases.age_bands, dtype=np.str_),
        fingerprint=np.array(cases.fingerprint, dtype=np.str_),
    )
    write_bytes(private / EMBEDDINGS, stream.getvalue())


def check_cases(model: str) -> Path:
    """Return where the cases of a model stand.

    Raises
    ------
    CheckpointError
        If there are none.
    """
    if model == "builtin":
        raise errors.builtin_has_no_cases()
    path = Path(model) / PRIVATE / EMBEDDINGS
    if not path.is_file():
        raise errors.no_cases(path)
    return path


def read_cases(model: str, labels: Sequence[str], width: int, fingerprint: str | None) -> TrainingCases:
    """Read the training cases of a run.

    Parameters
    ----------
    model : str
        Its folder, or `builtin`.
    labels : sequence of str
        Its classes.
    width : int
        E, of its embeddings.
    fingerprint : str or None
        Of its training; cases of another training are not its own.

    Raises
    ------
    CheckpointError
        If there are none, or they are damaged, or of another training.
    """
    path = check_cases(model)
    try:
        with np.load(path) as stored:  # NumPy reads no pickled objects unless told to
            cases = TrainingCases(
                np.asarray(stored["embeddings"], dtype=np.float32),
                tuple(stored["diagnosis"].tolist()),
                tuple(stored["age_band"].tolist()),
                str(stored["fingerprint"]),
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, EOFError):
        raise errors.damaged_cases(path, "not readable") from None
    shape = (len(cases.diagnoses), width)
    if (
        cases.embeddings.shape != shape
        or len(cases.age_bands) != shape[0]
        or not np.isfinite(cases.embeddings).all()
        or not set(cases.diagnoses) <= set(labels)
    ):
        raise errors.damaged_cases(path, "it does not fit the model")
    if fingerprint is not None and cases.fingerprint != fingerprint:
        raise errors.damaged_cases(path, "it is of another training than the model")
    return cases
