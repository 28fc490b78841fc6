"""The template's intracranial volume, for atlas scaling: from label maps that show the whole inside of the skull.

    python examples/segmenter/calibrate_icv.py LABELS adclip/assets/segmenter/segmenter.json

For each label map: intracranial volume (brain, ventricles and csf) times the determinant of its map to MNI. The mean is
written into the record; atlas scaling divides it by the determinant of a scan's own map.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from heads import INTRACRANIAL, read_head


def main() -> None:
    """Measure every head and write the mean with its spread."""
    labels, record_path = Path(sys.argv[1]), Path(sys.argv[2])
    sizes = []
    for path in sorted(labels.glob("training_seg_*.nii.gz")):
        head = read_head(path, labels / "meta")
        voxel_mm3 = abs(float(np.linalg.det(head.affine[:3, :3])))
        inside = float(np.isin(head.classes, INTRACRANIAL).sum()) * voxel_mm3
        sizes.append(inside * float(np.linalg.det(head.to_mni[:3, :3])))
        sys.stdout.write(f"{path.name} intracranial {inside:.0f} mm3, in MNI space {sizes[-1]:.0f} mm3\n")
    record = json.loads(record_path.read_text(encoding="utf-8"))
    record["icv"] = {
        "template_mm3": round(float(np.mean(sizes))),
        "sd_mm3": round(float(np.std(sizes, ddof=1))),
        "heads": len(sizes),
        "method": "atlas scaling, Buckner et al. 2004: template volume over the determinant of the affine map",
    }
    record_path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
