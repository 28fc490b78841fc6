"""Write the mean prepared scans of healthy people that maps start from: one for each band of age, of simulated heads alone.

adclip simulate --out sim7 --subjects 300 --seed 7 --preprocessed
adclip simulate --out sim11 --subjects 400 --seed 11 --preprocessed
python examples/builtin/make_references.py adclip/assets/references sim7 sim11
"""

# %%
import csv
import gzip
import hashlib
import itertools
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

BANDS = (55, 70, 75, 80, 90)  # years: each holds fifty heads and more of the cohorts above


def main() -> None:
    """Average the healthy heads of each band and write them, with a record of what they are."""
    folder, cohorts = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    people = []
    for cohort in cohorts:
        with (cohort / "table.csv").open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["diagnosis"] == "CN" and row["age_years"]]
        people += [(float(row["age_years"]), cohort / row["scan"]) for row in rows]
    record = []
    for low, high in itertools.pairwise(BANDS):
        first, last = low == BANDS[0], high == BANDS[-1]
        paths = [path for age, path in people if (first or age >= low) and (last or age < high)]
        images = [nib.load(path) for path in paths]
        mean = sum(image.get_fdata(dtype=np.float32) for image in images) / len(images)
        stored = nib.Nifti1Image(np.round(255 * mean.clip(0, 1)).astype(np.uint8), images[0].affine)
        stored.set_data_dtype(np.uint8)
        data = gzip.compress(stored.to_bytes(), 9, mtime=0)
        name = f"healthy_{low}-{high}.nii.gz"
        (folder / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        record.append({"low": low, "high": high, "people": len(paths), "file": name, "sha256": digest})
    text = json.dumps({"made_of": "simulated healthy heads", "bands": record}, indent=2) + "\n"
    (folder / "references.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
