"""People with known truth: one latent severity per visit causes atrophy, diagnosis and scores.

All figures are for the marginals of ADNI as given by Qiu et al., Nat. Commun. 2022 (MMSE, age, education, APOE e4), and
for the volumes of iSTAGING at 75 years (MUSE segmentation). Age, sex and head size act apart from the severity.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adclip.simulation.ageing import age_change
from adclip.simulation.groups import GROUP_SHARES, GROUPS, SEVERITY
from adclip.simulation.patterns import WEIGHTS, draw_pattern, draw_side
from adclip.simulation.progression import draw_rate, group_at, to_severities
from adclip.simulation.scores import VisitScores, draw_score_noise, to_scores

AGE_YEARS = {"CN": (74.3, 6.0), "MCI": (72.8, 7.7), "AD": (74.9, 7.8)}
EDUCATION_YEARS = {"CN": (16.3, 2.7), "MCI": (15.9, 2.8), "AD": (15.2, 3.0)}
E4_CARRIERS = {"CN": 0.30, "MCI": 0.47, "AD": 0.64}
E4_HOMOZYGOTES_AMONG_CARRIERS = 0.2  # judged
WIDE_YEARS = (20.0, 95.0)
EARLIEST_DISEASE_YEARS = 50.0  # where ages are not the groups' own, nobody younger is ill
FIRST_EXAM, LAST_EXAM = np.datetime64("2006-01-02"), np.datetime64("2019-12-20")  # baselines, as in ADNI

ICV_MM3 = {"F": (1.31e6, 0.10e6), "M": (1.49e6, 0.10e6)}  # overall 1.40e6, sd 0.14e6
MEAN_ICV_MM3 = 1.40e6


@dataclass(frozen=True)
class Driver:
    """How one structure's share of the intracranial volume depends on a person.

    Parameters
    ----------
    share : float
        Median share of ICV in CN at 75 years, both sides; 0 takes the source's own size as that median.
    per_severity : float
        Change of ln(share) for one unit of s in the typical pattern.
    spread, spread_per_severity : float
        Standard deviation of ln(share) that nothing else explains, at s = 0 and its growth with s (heterogeneity).
    icv_power : float
        Exponent of ICV in the share: -0.5 means the volume grows with the square root of head size.
    asymmetry : float
        Standard deviation of the left-right difference of ln(share); 0 for a structure without sides.
    """

    share: float
    per_severity: float
    spread: float
    spread_per_severity: float = 0.0
    icv_power: float = 0.0
    asymmetry: float = 0.0


# What one brain shows of its severity: s plus a share of chance that all structures have in common (reserve, co-pathology,
# which also tell on the scores, see `scores.SHARED`).
# With it, all volumes together separate AD from CN about as well as the published hippocampus and ventricles do.
ATROPHY_NOISE = 1.2

# hippocampus: 7142 mm3 (sd 784) in CN, 6020 (974) in AD; ventricles: 36500 (5-95 %: 18500-78000) and 51800; sulcal CSF: what
# brain and ventricles of iSTAGING leave of the ICV. The cortex's size comes from the source itself.
# Amygdala and temporal horn (inferior lateral ventricle, choroid plexus included): DLMUSE centiles of NiChart in CN, both sides:
# 2071 mm3, 5-95 % of a side 854-1231 left and 841-1226 right; 800 mm3, the medians of log-normal distributions with the published
# mean and standard deviation (440, 293 and 510, 317 mm3), whose ln has a standard deviation of 0.6 and a correlation of the sides
# of about 0.5. No table has them in AD. Amygdala: as the hippocampus or a little less (Poulin et al. 2011, Psychiatry Res. 194:7,
# effect sizes of 1.0 and 1.5 against 1.0 and 1.7; Klein-Koerkamp et al. 2014, Curr. Alzheimer Res. 11:239, 24 % both). Temporal
# horn: its share of the lateral ventricle is larger in AD (Giesel et al. 2006, AJNR 27:1454), so it grows more than the ventricles,
# here by two thirds; how much more is judged.
DRIVERS: dict[str, Driver] = {
    "hippocampus": Driver(7142 / MEAN_ICV_MM3, -0.083, 0.03, 0.015, -0.5, 0.04),
    "amygdala": Driver(2071 / MEAN_ICV_MM3, -0.075, 0.04, 0.015, -0.5, 0.07),
    "inferior_lateral_ventricle": Driver(800 / MEAN_ICV_MM3, 0.24, 0.36, 0.0, 0.0, 0.56),
    "entorhinal": Driver(0.0, -0.08, 0.06, 0.02, -0.5, 0.05),
    "temporal": Driver(0.0, -0.045, 0.04, 0.01, -0.3, 0.03),
    "parietal": Driver(0.0, -0.035, 0.04, 0.01, -0.3, 0.02),
    "frontal": Driver(0.0, -0.025, 0.04, 0.01, -0.3, 0.02),
    "ventricles": Driver(36500 / MEAN_ICV_MM3, 0.155, 0.36),
    "sulci": Driver(0.125, 0.05, 0.08),
}
# These draw from a stream of their own, so that everything else about a person is what it was before they came.
LATER_DRIVERS = ("amygdala", "inferior_lateral_ventricle")


@dataclass(frozen=True)
class Person:
    """One simulated visit: what the tables will say, and the truth behind it.

    Parameters
    ----------
    subject_id : str
        `sim0001` and so on; says nothing about the diagnosis.
    diagnosis : str
        `CN`, `MCI` or `AD` at this visit.
    severity : float
        The latent s at this visit.
    age_years : float
        At this visit.
    icv_mm3 : float
        Intracranial volume, mm3.
    log_change : dict
        Wished ln(share of ICV) against the mean CN person of 75 years, by driver; paired drivers carry `_left` and
        `_right`.
    disease_change : dict
        The part of `log_change` that the disease caused.
    pattern : str
        One of `patterns.SHARES`.
    mmse, scores : int, VisitScores
        Points; other scores and CSF.
    months : int
        Since baseline.
    session_id : str or None
        `bl`, `m12` ...; None where a cohort has one visit a person.
    exam_date : str
        ISO date of this visit; invented.
    baseline_diagnosis, baseline_age_years : str, float
        At the first visit.
    """

    subject_id: str
    diagnosis: str
    severity: float
    age_years: float
    sex: str
    education_years: float
    apoe4_count: int
    mmse: int
    icv_mm3: float
    log_change: dict[str, float]
    disease_change: dict[str, float]
    pattern: str
    scores: VisitScores
    months: int = 0
    session_id: str | None = None
    exam_date: str = ""
    baseline_diagnosis: str = ""
    baseline_age_years: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Person:
        """Rebuild from `to_dict`."""
        return cls(**{**data, "scores": VisitScores(**data["scores"])})


def name_session(months: int) -> str:
    """Return ADNI's code of a visit, which is also its BIDS session: `bl`, `m06`, `m12` ..."""
    return f"m{months:02d}" if months else "bl"


def draw_group(rng: np.random.Generator, age_years: float | None) -> str:
    """Draw a clinical group; people under 50 are always CN in the wide-age mode."""
    if age_years is not None and age_years < EARLIEST_DISEASE_YEARS:
        return "CN"
    return str(rng.choice(GROUPS, p=GROUP_SHARES))


def draw_person(
    subject_id: str, rng: np.random.Generator, *, wide_age: bool = False, ages: tuple[float, float] | None = None
) -> Person:
    """Draw one person at one visit; see `draw_course`."""
    return draw_course(subject_id, rng, wide_age=wide_age, ages=ages)[0]


def draw_course(
    subject_id: str,
    rng: np.random.Generator,
    *,
    wide_age: bool = False,
    ages: tuple[float, float] | None = None,
    visits: int = 1,
    interval_months: int = 12,
) -> tuple[Person, ...]:
    """Draw one person and all visits.

    Drawing the group first and s given the group has the same joint distribution as drawing s and then the group by
    Bayes' rule; s remains the only road from the disease to the image and the scores.

    Parameters
    ----------
    subject_id : str
        Name to carry.
    rng : Generator
        Source of randomness; consumed in a fixed order, so that more visits begin with the same ones.
    wide_age : bool
        Uniform 20-95 years instead of the groups' clinical ages.
    ages : tuple of float or None
        Uniform between these years instead, for example 45-95; goes before `wide_age`. What ageing does is the same in every
        mode, see `ageing`.
    visits : int
        How many, the first at baseline.
    interval_months : int
        Between visits.

    Returns
    -------
    tuple of Person
        One for each visit, in order.
    """
    own_ages = not wide_age and ages is None
    wide_years = float(rng.uniform(*(ages or WIDE_YEARS)))
    group = draw_group(rng, None if own_ages else wide_years)
    clinical_years = float(np.clip(rng.normal(*AGE_YEARS[group]), 50, 95))
    age = round(clinical_years if own_ages else wide_years, 1)
    severity = float(rng.normal(*SEVERITY[group]))
    sex = str(rng.choice(["F", "M"]))
    education = float(np.clip(np.round(rng.normal(*EDUCATION_YEARS[group])), 6, 22))
    carrier = rng.random() < E4_CARRIERS[group]
    homozygote = rng.random() < E4_HOMOZYGOTES_AMONG_CARRIERS
    icv = float(np.clip(rng.normal(*ICV_MM3[sex]), 1.0e6, 1.9e6))
    pattern, side = draw_pattern(rng), draw_side(rng)
    earlier = [name for name in DRIVERS if name not in LATER_DRIVERS]
    shape = {name: float(rng.normal()) for name in earlier}
    halves = {name: float(rng.normal()) for name in earlier}
    (later,) = rng.spawn(1)  # takes no number from `rng`
    shape |= {name: float(later.normal()) for name in LATER_DRIVERS}
    halves |= {name: float(later.normal()) for name in LATER_DRIVERS}
    common, threshold = float(rng.normal(0, ATROPHY_NOISE)), float(rng.random())
    rate, noise = draw_rate(rng), draw_score_noise(rng, common / ATROPHY_NOISE)
    first_day = FIRST_EXAM + int(rng.integers(int((LAST_EXAM - FIRST_EXAM).astype(int))))
    spared = not own_ages and age < EARLIEST_DISEASE_YEARS
    course: list[Person] = []
    for number, s in enumerate(to_severities(severity, rate, visits, interval_months / 12, spared=spared)):
        months = number * interval_months
        now = group if not number or spared else group_at(s, threshold, severity, group, course[-1].diagnosis)
        years = round(age + months / 12, 1)
        visit_rng = np.random.default_rng(rng.integers(2**32))
        scores = to_scores(s, now, noise, visit_rng)
        disease, change = _changes(s, s + common, years, icv, pattern, side, shape, halves)
        course.append(
            Person(
                subject_id=subject_id, diagnosis=now, severity=s, age_years=years, sex=sex, education_years=education,
                apoe4_count=int(carrier) * (2 if homozygote else 1), mmse=scores.mmse, icv_mm3=icv, log_change=change,
                disease_change=disease, pattern=pattern, scores=scores, months=months,
                session_id=name_session(months) if visits > 1 else None,
                exam_date=str(first_day + round(months * 30.44)), baseline_diagnosis=group, baseline_age_years=age,
            )
        )  # fmt: skip
    return tuple(course)


def _changes(
    severity: float, atrophy: float, age_years: float, icv_mm3: float, pattern: str, side: float,
    shape: dict[str, float], halves: dict[str, float],
) -> tuple[dict[str, float], dict[str, float]]:  # fmt: skip
    """Return what the disease does to each driver's ln(share), and the whole change.

    `atrophy` is the severity as this brain shows it; what it shows below 0 is variety of healthy brains, not disease.
    """
    disease: dict[str, float] = {}
    changes: dict[str, float] = {}
    for name, driver in DRIVERS.items():
        weight = WEIGHTS[pattern][name]
        caused = driver.per_severity * weight * max(severity, 0.0)
        common = (
            driver.per_severity * weight * atrophy
            + age_change(name, age_years)
            + driver.icv_power * float(np.log(icv_mm3 / MEAN_ICV_MM3))
            + (driver.spread + driver.spread_per_severity * max(severity, 0.0)) * shape[name]
        )
        if driver.asymmetry:
            half = driver.asymmetry * halves[name] / 2
            for suffix, sign in (("left", 1.0), ("right", -1.0)):
                disease[f"{name}_{suffix}"] = caused * (1 + sign * side)
                changes[f"{name}_{suffix}"] = common + caused * sign * side - sign * half
        else:
            disease[name], changes[name] = caused, common
    return disease, changes
