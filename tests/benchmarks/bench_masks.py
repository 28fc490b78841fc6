"""adclip's brain masks against masks made of DLMUSE labels, on the IXI scans. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_masks.py [--scans 59]

Three references, because "brain" has several meanings. DLMUSE's code 1 is the CSF of the sulci, about 125 mL a head:

- labels: every code above 0, sulcal CSF included, as it is;
- filled: the same, closed by 6 mm and its holes filled;
- tissue: codes above 1 (no sulcal CSF), closed by 6 mm and filled.

Sensitivity is the share of the reference inside the mask; beyond 8 mm counts mask voxels that far from the reference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import real_scans as scans
from numpy.typing import NDArray
from real_scans import clock, say
from scipy import ndimage

from adclip.imaging.sources.files import read_volume
from adclip.imaging.steps.brain import DeepbetStripper

FAR_MM = 8.0
CLOSING_MM = 6.0


def references(labels: NDArray[np.integer], sizes_mm: tuple[float, float, float]) -> dict[str, NDArray[np.bool_]]:
    """Return the three reference masks of a label map in RAS+ order."""
    return {
        "labels": labels > 0,
        "filled": close(labels > 0, sizes_mm),
        "tissue": close(labels > 1, sizes_mm),
    }


def close(mask: NDArray[np.bool_], sizes_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Closing by a ball of CLOSING_MM, with room around, then filling of holes."""
    room = [int(np.ceil(CLOSING_MM / size)) + 1 for size in sizes_mm]
    padded = np.pad(mask, [(count, count) for count in room])
    grown = ndimage.distance_transform_edt(~padded, sampling=sizes_mm) <= CLOSING_MM
    closed = ndimage.distance_transform_edt(grown, sampling=sizes_mm) > CLOSING_MM
    inner = tuple(slice(count, -count) for count in room)
    return np.asarray(ndimage.binary_fill_holes(closed | padded)[inner])


def compare(
    mask: NDArray[np.bool_], reference: NDArray[np.bool_], sizes_mm: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return Dice, sensitivity, and mL of the mask beyond FAR_MM of the reference."""
    both = float((mask & reference).sum())
    away = ndimage.distance_transform_edt(~reference, sampling=sizes_mm)
    far_ml = float((mask & (away > FAR_MM)).sum()) * float(np.prod(sizes_mm)) / 1000
    return 2 * both / float(mask.sum() + reference.sum()), both / float(reference.sum()), far_ml


def read_labels(scan: Path) -> NDArray[np.integer]:
    """Read the DLMUSE labels of an IXI scan in RAS+ order."""
    import nibabel as nib

    name = scan.name.replace("_T1.", "_T1_DLMUSE.")
    return np.asarray(nib.as_closest_canonical(nib.load(scan.with_name(name))).dataobj).astype(np.int16)


def main() -> None:
    """Print one line for each scan, then the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=59)
    options = parser.parse_args()
    stripper = DeepbetStripper("cpu")
    rows: dict[str, list[tuple[float, float, float]]] = {}
    seconds = []
    for path in scans.spread(scans.ixi(), options.scans):
        volume = read_volume(path)
        with clock() as taken:
            mask = stripper(volume)
        seconds.append(taken.cpu)
        x, y, z = (float(size) for size in np.linalg.norm(volume.affine[:3, :3], axis=0))
        line = f"{path.name} {taken.cpu:.1f} s"
        for name, reference in references(read_labels(path), (x, y, z)).items():
            rows.setdefault(name, []).append(compare(mask, reference, (x, y, z)))
            line += f" | {name} {rows[name][-1][0]:.3f}"
        say(line)
    peak = scans.peak_gb()
    table = []
    for name, values in rows.items():
        dice, kept, far = np.array(values).T
        table.append([name, f"{np.median(dice):.3f}", f"{dice.min():.3f}", f"{np.median(kept):.3f}", f"{kept.min():.3f}",
                      f"{np.median(far):.2f}", f"{far.max():.2f}"])  # fmt: skip
    say()
    say(scans.markdown(["reference", "Dice median", "lowest", "sensitivity median", "lowest", "mL beyond 8 mm, median",
                        "most"], table))  # fmt: skip
    say(f"\n{len(seconds)} scans; CPU seconds: first {seconds[0]:.1f} (with loading), median {np.median(seconds):.1f}; "
        f"peak of the process {peak:.2f} GB")  # fmt: skip


if __name__ == "__main__":
    main()
