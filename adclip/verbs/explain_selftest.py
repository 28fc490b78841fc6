"""`adclip explain --selftest`: known losses are planted in heads, and what part of each map lies in them is measured and kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import RESEARCH_NOTICE
from adclip.errors import AdclipError
from adclip.explanation.settings import AUTO, METHOD_NAMES
from adclip.runtime.events import Advanced, Failed, OnEvent, Started, Step, Warned, ignore
from adclip.runtime.paths import check_folder, write_text
from adclip.told import to_plain
from adclip.verbs.cohort import gather, read_options
from adclip.verbs.settings import ExplainConfig

if TYPE_CHECKING:
    from adclip.domain import FloatArray
    from adclip.explanation.selftest.measure import Found, Heads, Moved, PlantedHead
    from adclip.explanation.selftest_record import SelfTest
    from adclip.prediction.jobs import Job
    from adclip.prediction.predictor import Predictor
    from adclip.simulation.planted import HealthyHead

FACTOR = 0.7  # volume of a hippocampus after over before: about twice what divides AD from CN in the simulator
STRUCTURE, SIDES = "hippocampus", ("left", "right")
ONE_SIDED = "one-sided loss of hippocampus, simulated"
BOTH_SIDED = "loss of both hippocampi, simulated"
HEADS_TABLE = "explain_selftest_heads.tsv"
NOTICE = f"Planted changes of known place, most in simulated heads. {RESEARCH_NOTICE}"
TASK = "planting and explaining"


@dataclass(frozen=True)
class SelfTestResult:
    """What was measured, and where it is kept.

    Parameters
    ----------
    test : SelfTest
    record, heads : Path
        The file with the rows, and the table with every single map.
    beside_model : Path or None
        Where later maps of the model find it; None for a model whose folder is not the user's, or cannot be written.
    failed, total : int
        Scans that could not be used, and heads in all.
    """

    test: SelfTest
    record: Path
    heads: Path
    beside_model: Path | None
    failed: int
    total: int

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """The rows in plain JSON types: the lines of `--json`."""
        return tuple(to_plain(asdict(row)) for row in self.test.rows)


def explain_selftest(config: ExplainConfig, on_event: OnEvent = ignore, heads: Heads | None = None) -> SelfTestResult:
    """Plant losses in simulated heads and in the given scans, and measure what part of each map lies in them.

    What is explained is the last class against the first, by the scan alone. The rows are stamped on every later map of the model, as long
    as it stays the same; a test by `--method` leaves those of other methods there.

    Parameters
    ----------
    config : ExplainConfig
        With `selftest`; without inputs heads are simulated alone.
    on_event : callable
    heads : Heads, optional
        How many are simulated, and how many of either kind slow methods explain; every other one loses a left hippocampus, the rest a right
        one.

    Raises
    ------
    AdclipError
        If the model or `--out` cannot be used, or none of the given scans.
    """
    from adclip.explanation.selftest.measure import Heads, measure_head
    from adclip.explanation.selftest.phrases import compare_phrases
    from adclip.explanation.selftest.rows import to_effects, to_rows
    from adclip.explanation.selftest_record import NAME, SelfTest, write_selftest
    from adclip.explanation.target import AGAINST, Target
    from adclip.model.record import model_folder, read_record
    from adclip.prediction.predictor import Predictor
    from adclip.prediction.record_store import check_out

    record = read_record(model_folder(config.model))
    check_out(config.out)
    check_folder(config.out, overwrite=config.overwrite, marker=NAME)
    jobs = gather(config, record, on_event).jobs if config.inputs else []
    predictor = Predictor.from_checkpoint(config.model, config.device, config.precision, volumes=False)
    first, last = predictor.labels[0], predictor.labels[-1]
    target = Target(f"{last}{AGAINST}{first}", last, first)
    counts = heads or Heads()
    methods = METHOD_NAMES if config.method == AUTO else (config.method,)
    found: list[Found] = []
    moved: list[Moved] = []
    for_text: list[tuple[FloatArray, float | None]] = []
    failed: list[AdclipError] = []
    total = counts.every + len(jobs)
    on_event(Started(TASK, total))
    for number, head in enumerate(_all_heads(predictor, counts.every, jobs, config)):
        if isinstance(head, _Refused):
            failed.append(head.error)
            on_event(Failed(head.name, head.error.problem, head.error.remedy))
        else:
            is_simulated = number < counts.every
            place = number if is_simulated else number - counts.every - len(failed)
            used = (counts if is_simulated else replace(counts, every=total)).methods_of(place, methods)
            of_head = measure_head(predictor, head, used, target, config.seed + number)
            found, moved = found + of_head[0], moved + of_head[1]
            if is_simulated:
                for_text.append((head.image, head.age_years))
        on_event(Advanced(TASK, number + 1, head.name))
    if jobs and len(failed) == len(jobs):
        raise failed[0]
    text = compare_phrases(predictor, for_text, config.map_method) if for_text else None
    test = SelfTest(
        predictor.identity["sha256"],
        target.name,
        config.seed,
        to_rows(found),
        None if text is None else text.differs,
        NOTICE,
        to_effects(moved),
        text,
    )
    config.out.mkdir(parents=True, exist_ok=True)
    write_text(config.out / HEADS_TABLE, _to_table(found))
    write_selftest(config.out / NAME, test)
    beside = _keep(config, test, on_event)
    return SelfTestResult(test, config.out / NAME, config.out / HEADS_TABLE, beside, len(failed), total)


@dataclass(frozen=True)
class _Refused:
    """A scan in which nothing could be planted, and why."""

    name: str
    error: AdclipError


def _all_heads(
    predictor: Predictor, heads: int, jobs: Sequence[Job], config: ExplainConfig
) -> Iterator[PlantedHead | _Refused]:
    """Yield simulated heads, then the given ones; sides take turns."""
    from adclip.simulation.planted import healthy_heads

    contract = predictor.record.model.contract
    for number, head in enumerate(healthy_heads(contract, heads, config.seed)):
        yield _plant_in_simulated(head, SIDES[number % 2])
    for number, job in enumerate(jobs):
        try:
            yield _plant_in_real(predictor, job, SIDES[number % 2], config)
        except AdclipError as error:
            yield _Refused(str(job.item.path), error)


def _plant_in_simulated(head: HealthyHead, side: str) -> PlantedHead:
    from adclip.explanation.selftest.measure import PlantedChange, PlantedHead

    changes = []
    for planted, sides in ((ONE_SIDED, (side,)), (BOTH_SIDED, SIDES)):
        loss = head.lose(STRUCTURE, sides, FACTOR)
        one_side = side if len(sides) == 1 else None
        changes.append(PlantedChange(planted, one_side, loss.image, loss.region, loss.remaining))
    return PlantedHead(head.person.subject_id, head.person.age_years, head.image, head.mask, tuple(changes))


def _plant_in_real(predictor: Predictor, job: Job, side: str, config: ExplainConfig) -> PlantedHead:
    from adclip.explanation.selftest.measure import PlantedHead
    from adclip.explanation.selftest.planting import plant_in

    prepared = predictor.prepare(job.item, read_options(config))
    contract = predictor.record.model.contract
    change = plant_in(prepared, contract, side, FACTOR, predictor.device.type)
    age = None if job.visit is None else job.visit.age_years
    return PlantedHead(job.item.stem, age, prepared.image, prepared.mask, (change,))


def _to_table(found: Sequence[Found]) -> str:
    """Return every single map as a line of TSV."""
    numbers = [field.name for field in fields(found[0].where)] if found else []
    lines = ["\t".join(("head", "planted", "side", "method", *numbers))]
    for one in found:
        values = [getattr(one.where, name) for name in numbers]
        cells = ["n/a" if math.isnan(value) else f"{value:.6g}" for value in values]
        lines.append("\t".join((one.head, one.planted, one.side or "both", one.method, *cells)))
    return "\n".join(lines) + "\n"


def _keep(config: ExplainConfig, test: SelfTest, on_event: OnEvent) -> Path | None:
    """Write the test beside the model, where later maps find it, if that folder is the user's."""
    from adclip.explanation.selftest_record import joined, path_beside, read_selftest, write_selftest

    if config.model == "builtin":
        on_event(Step("the builtin model brings a self-test of its own, so this one is kept in --out alone"))
        return None
    path = path_beside(config.model)
    try:
        path.parent.mkdir(exist_ok=True)
        write_selftest(path, joined(test, read_selftest(config.model, test.model_sha256)))
    except OSError as error:
        on_event(Warned(config.model, f"later maps will not show this self-test, as it cannot be kept there: {error}"))
        return None
    return path
