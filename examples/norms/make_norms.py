"""Derive the shipped norms from NiChart's published centiles of DLMUSE volumes.

    python examples/norms/make_norms.py CENTILES_FOLDER adclip/assets/norms/dlmuse.csv

CENTILES_FOLDER holds `dlmuse_centiles_CN-Females.csv` and `dlmuse_centiles_CN-Males.csv` of the NiChart project: for each region
the 5th, 25th, 50th, 75th and 95th centile at every year of age. Kept are the regions whose definition equals a canonical volume
of adclip, at every STEP years and the last one. Printed is the largest error that linear interpolation between the kept ages makes.
"""

# %%
import csv
import sys
from pathlib import Path

STEP = 2  # years
CENTILES = ("5", "25", "50", "75", "95")
# Canonical volume -> NiChart's region. The medians of `Ventricles` are compared with their parts below.
# `TotalBrain` is left out: it holds the ventricles, which whole_brain_mm3 does not; and sums of both sides have other centiles
# than the sides. Entorhinal, fusiform and middle temporal volumes are such sums.
REGIONS = {
    "hippocampus_left_mm3": "Hippocampus_L",
    "hippocampus_right_mm3": "Hippocampus_R",
    "ventricles_mm3": "Ventricles",
}
VENTRICLE_PARTS = (
    "3rdVentricle", "4thVentricle", "InfLatVentricle_L", "InfLatVentricle_R", "LateralVentricle_L", "LateralVentricle_R",
)  # fmt: skip


def read(path: Path) -> dict[str, dict[int, list[float]]]:
    """Return region -> age in years -> centiles, mm3."""
    found: dict[str, dict[int, list[float]]] = {}
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            values = [float(row[f"centile_{centile}"]) for centile in CENTILES]
            found.setdefault(row["VarName"], {})[round(float(row["Age"]))] = values
    return found


def between(ages: list[int], table: dict[int, list[float]], age: int) -> list[float]:
    """Return the centiles at an age by linear interpolation between the kept ages."""
    high = next(kept for kept in ages if kept >= age)
    low = max(kept for kept in ages if kept <= age)
    share = 0.0 if high == low else (age - low) / (high - low)
    return [one + share * (two - one) for one, two in zip(table[low], table[high], strict=True)]


def main() -> None:
    """Write the table, and print how well it stands for the source."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    lines = [["field", "sex", "age_years", *(f"centile_{centile}" for centile in CENTILES)]]
    for sex, name in (("F", "Females"), ("M", "Males")):
        source = read(folder / f"dlmuse_centiles_CN-{name}.csv")
        parts = [sum(source[part][age][2] for part in VENTRICLE_PARTS) for age in source["Ventricles"]]
        whole = [values[2] for values in source["Ventricles"].values()]
        share = max(abs(a / b - 1) for a, b in zip(parts, whole, strict=True))
        sys.stdout.write(
            f"{sex}: medians of the ventricles against the sum of their parts' medians: at most {100 * share:.1f} %\n"
        )
        for field, region in REGIONS.items():
            table = source[region]
            ages = sorted(table)
            kept = sorted({*ages[::STEP], ages[-1]})
            errors = [
                abs(guess / true - 1)
                for age in ages
                for guess, true in zip(between(kept, table, age), table[age], strict=True)
            ]
            sys.stdout.write(
                f"{sex} {field}: {ages[0]}-{ages[-1]} years, interpolation error at most {100 * max(errors):.2f} %\n"
            )
            lines += [[field, sex, str(age), *(f"{value:.0f}" for value in table[age])] for age in kept]
    out.write_text("\n".join(",".join(line) for line in lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
