"""The loop: it learns, leaves the base alone, and forgets nothing when it is stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONTRACT, base_network, make_cohort, make_reader

from adclip.domain import Visit
from adclip.errors import EXIT_INPUT, DeviceError, OutputError, TrainingError
from adclip.evaluation.calibrate import answer
from adclip.model.prompts import adapter_state, is_adapter
from adclip.prediction.scoring import score_batch
from adclip.runtime.events import Advanced, Warned, ignore
from adclip.runtime.exceptions import is_memory_error
from adclip.training.augment import Augment
from adclip.training.loop import Loop, LoopConfig
from adclip.training.objective import Objective, ObjectiveConfig
from adclip.training.resume import read_state

STATS = (27.0, 2.5)
CONFIG = LoopConfig(epochs=4, batch_size=4, learning_rate=3e-3, weight_decay=0.01, seed=0)


@pytest.fixture(scope="module")
def cohort():
    return make_cohort()


def make_objective(base, cohort, style="paper6", train=range(9), **changed) -> Objective:
    return Objective(make_reader(base_network(base), style), cohort, train, STATS, ObjectiveConfig(**changed))


def make_loop(base, cohort, config=CONFIG, fingerprint="one", style="paper6", **changed) -> Loop:
    objective = make_objective(base, cohort, style, **changed)
    return Loop(objective, cohort, range(9), range(9, 12), config, fingerprint)


def test_the_loss_falls_and_the_base_stays(tmp_path, tiny_base, cohort):
    loop = make_loop(tiny_base, cohort, replace(CONFIG, epochs=25))
    network = loop.network
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    told = []
    history = loop.run(tmp_path / "r" / "state.safetensors", told.append).history
    assert len(history) == 25 == sum(isinstance(event, Advanced) for event in told)
    assert np.mean([row["train_loss"] for row in history[-3:]]) < 0.75 * history[0]["train_loss"]
    assert min(row["validation_loss"] for row in history) < history[0]["validation_loss"]
    for name, value in network.named_parameters():
        if is_adapter(name):
            assert not torch.equal(value, before[name]), f"{name} was not trained"
        else:
            assert torch.equal(value, before[name]), f"{name} was changed"
    assert all(torch.equal(value, buffers[name]) for name, value in network.named_buffers())


def test_the_best_epoch_is_what_remains(tmp_path, tiny_base, cohort):
    loop = make_loop(tiny_base, cohort, replace(CONFIG, learning_rate=0.05))
    progress = loop.run(tmp_path / "state.safetensors", ignore)
    scores = [[row["validation_balanced_accuracy"], -row["validation_loss"]] for row in progress.history]
    assert progress.best_score == max(scores) == scores[progress.best_epoch - 1]
    measured = loop.learner.validate(range(9, 12), 4)
    assert -measured["validation_loss"] == pytest.approx(max(scores)[1], abs=1e-5)
    assert measured["validation_balanced_accuracy"] == max(scores)[0]


def test_the_last_epoch_is_kept_beside_the_best(tmp_path, tiny_base, cohort):
    loop = make_loop(tiny_base, cohort, replace(CONFIG, epochs=2))
    validate, scores = loop.learner.validate, iter((0.9, 0.1))
    loop.learner.validate = lambda *given: validate(*given) | {"validation_balanced_accuracy": next(scores)}
    progress = loop.run(tmp_path / "state.safetensors", ignore)
    assert progress.best_epoch == 1
    once = make_loop(tiny_base, cohort, replace(CONFIG, epochs=2))
    state = read_state(tmp_path / "state.safetensors", "one")
    assert all(torch.equal(loop.last[name], state.now[name]) for name in state.now)
    assert all(torch.equal(value, state.best[name]) for name, value in adapter_state(loop.network).items())
    assert any(not torch.equal(state.now[name], state.best[name]) for name in state.now)
    once.run(tmp_path / "state.safetensors", ignore)  # killed before the RUN was written: nothing left to train
    assert all(torch.equal(once.last[name], loop.last[name]) for name in loop.last)


def test_patience_ends_a_run_that_learns_nothing_new(tmp_path, tiny_base, cohort):
    loop = make_loop(tiny_base, cohort, replace(CONFIG, epochs=50, learning_rate=1e-12, patience=2))
    progress = loop.run(tmp_path / "state", ignore)
    assert progress.epoch - progress.best_epoch == 2 and progress.epoch < 50


def test_the_same_seed_gives_the_same_weights(tmp_path, tiny_base, cohort):
    found = []
    for number, config in enumerate((CONFIG, CONFIG, replace(CONFIG, seed=1))):
        loop = make_loop(tiny_base, cohort, config)
        loop.run(tmp_path / str(number), ignore)
        found.append(adapter_state(loop.network))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert not all(torch.equal(found[0][name], found[2][name]) for name in found[0])


class StoppedError(Exception):
    """Stands for Ctrl-C or a lost machine."""


def test_memory_that_runs_out_halves_the_steps_and_says_so(tmp_path, tiny_base, cohort, monkeypatch):
    whole = make_loop(tiny_base, cohort, contrast_weight=0.0)
    wanted = whole.run(tmp_path / "whole", ignore)
    tight = make_loop(tiny_base, cohort, contrast_weight=0.0)
    real = tight.learner.loss

    def small(places, images, wordings):
        if len(places) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(places, images, wordings)

    monkeypatch.setattr(tight.learner, "loss", small)
    told = []
    found = tight.run(tmp_path / "tight", told.append)
    assert [event.text for event in told if isinstance(event, Warned)] == [
        "out of memory; steps of 4 scans are taken 2 at a time from here on"
    ]
    assert found.micro_batch == 2 and found.epoch == wanted.epoch
    # the same gradient, in two halves
    assert found.history[0]["train_loss"] == pytest.approx(wanted.history[0]["train_loss"], rel=1e-3)
    with pytest.raises(DeviceError, match="memory"):
        make_stuck(tiny_base, cohort).run(tmp_path / "stuck", ignore)


def make_stuck(base, cohort) -> Loop:
    loop = make_loop(base, cohort)

    def never(*_args):
        raise torch.OutOfMemoryError("out of memory")

    loop.learner.loss = never
    return loop


def test_a_damaged_resume_file_is_told(tmp_path, tiny_base, cohort):
    path = tmp_path / "run" / "private" / "resume" / "state.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    with pytest.raises(OutputError, match="cannot be read") as caught:
        make_loop(tiny_base, cohort).run(path, ignore)
    assert "--overwrite" in caught.value.remedy


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path, tiny_base, cohort, epochs):
    config = replace(CONFIG, augment=Augment(CONTRACT))
    whole = make_loop(tiny_base, cohort, config)
    wanted = whole.run(tmp_path / "whole", ignore)

    def stop(event):
        if isinstance(event, Advanced) and event.done == epochs:
            raise StoppedError

    with pytest.raises(StoppedError):
        make_loop(tiny_base, cohort, config).run(tmp_path / "state", stop)
    again = make_loop(tiny_base, cohort, config)
    torch.manual_seed(99)  # nothing may hang on the global state
    found = again.run(tmp_path / "state", ignore)
    assert found == wanted
    one, two = adapter_state(whole.network), adapter_state(again.network)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_with_other_settings_is_not_resumed(tmp_path, tiny_base, cohort):
    path = tmp_path / "run" / "private" / "resume" / "state.safetensors"
    make_loop(tiny_base, cohort).run(path, ignore)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="other settings"):
        make_loop(tiny_base, cohort, fingerprint="two").run(path, ignore)
    assert path.read_bytes() == before


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path, tiny_base, cohort):
    loop = make_loop(tiny_base, cohort)
    with torch.no_grad():
        loop.network.mm_vision_proj.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss is no longer a number in epoch 1") as caught:
        loop.run(tmp_path / "state", ignore)
    assert "--learning-rate 0.0003 --overwrite" in caught.value.remedy and caught.value.exit_code == EXIT_INPUT


def test_a_gradient_that_is_no_number_changes_no_weight(tmp_path, tiny_base, cohort):
    loop = make_loop(tiny_base, cohort)
    loop.network.mm_vision_proj.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = {name: value.clone() for name, value in adapter_state(loop.network).items()}
    with pytest.raises(TrainingError, match="gradient"):
        loop.run(tmp_path / "state", ignore)
    assert all(torch.equal(value, before[name]) for name, value in adapter_state(loop.network).items())


def test_an_epoch_that_cannot_be_judged_is_not_kept(tmp_path, tiny_base, cohort):
    loop = make_loop(tiny_base, cohort)
    loop.learner.validate = lambda *given: {"validation_loss": float("nan"), "validation_balanced_accuracy": 1.0}
    with pytest.raises(TrainingError, match="validation loss"):
        loop.run(tmp_path / "state", ignore)
    assert not (tmp_path / "state").exists()


def test_the_prior_is_that_of_the_training_scans(tiny_base, cohort):
    objective = make_objective(tiny_base, cohort, train=[0, 3, 6, 1])
    assert objective.log_prior.exp().tolist() == pytest.approx([0.75, 0.25, 1e-6])


def test_the_steps_of_a_long_epoch_are_told(tmp_path, tiny_base, cohort, monkeypatch):
    monkeypatch.setattr("adclip.training.loop.LONG_EPOCH_S", -1.0)
    told = []
    make_loop(tiny_base, cohort, replace(CONFIG, epochs=2)).run(tmp_path / "state", told.append)
    steps = [event.done for event in told if isinstance(event, Advanced) and event.task == "epoch 2"]
    assert steps == [1, 2, 3]


def test_what_the_base_has_taught_changes_more_slowly(tmp_path, tiny_base, cohort):
    def moved(share):
        loop = make_loop(tiny_base, cohort, replace(CONFIG, pretrained_rate=share, epochs=1))
        before = {name: value.clone() for name, value in adapter_state(loop.network).items()}
        loop.run(tmp_path / f"state{share}", ignore)
        now = adapter_state(loop.network)
        return {name: float((now[name] - before[name]).abs().max()) for name in now}

    still, slow, whole = moved(0.0), moved(0.1), moved(1.0)
    taught = {"vision_encoder.cls_token", "mm_vision_proj.weight", "mm_language_proj.bias", "logit_scale"}
    for name in taught:
        assert still[name] == 0 < slow[name] < 0.3 * whole[name], name
    for name in {"text_prompts", "mmse_head.2.weight", "vision_encoder.mmse_token", "cross_attention.out_proj.weight"}:
        assert still[name] > 0 and slow[name] > 0.3 * whole[name], name


def test_where_scans_are_mirrored_reports_tell_no_sides(tiny_base, cohort):
    def kept(sides):
        objective = make_objective(tiny_base, cohort, "clinical", sides=sides, report_dropout=0.0, field_dropout=0.0)
        return objective.draw_wordings(1, np.random.default_rng(0))[0].keep

    assert kept(True) - kept(False) == {"hippocampus_left_mm3", "hippocampus_right_mm3"}


def test_no_step_is_taken_at_a_rate_of_zero(tmp_path, tiny_base, cohort):
    loop = make_loop(tiny_base, cohort, replace(CONFIG, epochs=1, batch_size=9))
    before = {name: value.clone() for name, value in adapter_state(loop.network).items()}
    loop.run(tmp_path / "state", ignore)
    assert any(not torch.equal(value, before[name]) for name, value in adapter_state(loop.network).items())


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        "[enforce fail at alloc_cpu.cpp:75] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.",
        "MPS backend out of memory (MPS allocated: 9.06 GB, other allocations: 1 MB, max allowed: 9.07 GB)",
    ],
)
def test_memory_that_ran_out_is_known_by_what_torch_says(text):
    assert is_memory_error(RuntimeError(text)) and not is_memory_error(RuntimeError("shapes differ"))


def test_the_rate_warms_up_and_ends_at_zero(tiny_base, cohort):
    loop = make_loop(tiny_base, cohort)

    def rate(progress):
        loop._pace(progress)
        return loop.optimizer.param_groups[0]["lr"]

    assert rate(0.05) < rate(0.1) > rate(0.5) > rate(0.9)
    assert rate(1.0) == pytest.approx(0, abs=1e-12)


def test_reports_and_fields_are_dropped_as_often_as_said(tiny_base, cohort):
    loop = make_loop(tiny_base, cohort)
    wordings = loop.learner.draw_wordings(4000, np.random.default_rng(0))
    kept = [wording.keep for wording in wordings]
    empty = np.mean([not fields for fields in kept])
    assert empty == pytest.approx(0.4, abs=0.03)
    assert np.mean([len(fields) for fields in kept if fields]) == pytest.approx(0.85 * 6, abs=0.1)
    assert {wording.phrasing for wording in wordings} == {0}  # the paper's template has one wording


def test_training_meets_every_wording_and_prediction_the_canonical_one(tiny_base, cohort):
    loop = make_loop(tiny_base, cohort, style="clinical")
    wordings = loop.learner.draw_wordings(200, np.random.default_rng(0))
    assert len({wording.phrasing for wording in wordings}) == 200
    visit = replace(cohort.visits[0], hippocampus_mm3=6000.0)
    texts = {loop.learner.reader.report_texts(visit, None, wording.phrasing)[0] for wording in wordings}
    assert len(texts) > 50
    assert loop.learner.reader.report_texts(visit)[0] == loop.learner.reader.report_texts(visit, None, 0)[0]


# ------------------------------------------------------------------------------------------------ scores


def test_the_answer_is_never_in_the_question(cohort):
    """Scores are the same, bit for bit, whatever the row says of diagnosis and tests."""
    reader = make_reader()
    images = cohort.image_batch([0, 1], torch.device("cpu"))
    told = [replace(cohort.visits[place], diagnosis=None, mmse=None, cdr_global=None) for place in (0, 1)]
    lied = [replace(cohort.visits[place], diagnosis="AD", mmse=3.0, cdr_global=2.0) for place in (0, 1)]
    with torch.inference_mode():
        one, two = (score_batch(reader, images, visits) for visits in (told, lied))
    assert torch.equal(one.report, two.report) and torch.equal(one.mmse, two.mmse)
    for visits in (told, lied):
        assert reader.report_texts(visits[0]) == reader.report_texts(told[0])


def test_without_a_usable_field_report_and_bare_phrase_agree(cohort):
    reader = make_reader()
    visits = [Visit(subject_id="x", age_years=70.0), cohort.visits[1]]
    images = cohort.image_batch([0, 1], torch.device("cpu"))
    with torch.inference_mode():
        found = score_batch(reader, images, visits)
    torch.testing.assert_close(found.report[0], found.bare[0], rtol=0, atol=1e-4)
    assert float((found.report[1] - found.bare[1]).abs().max()) > 1e-3


def test_equal_texts_are_encoded_once(monkeypatch, cohort):
    reader = make_reader()
    seen = []
    real = reader.network.text_tokens

    def count(batch, candidates, **options):
        seen.append(len(batch.ids))
        return real(batch, candidates, **options)

    monkeypatch.setattr(reader.network, "text_tokens", count)
    with torch.inference_mode():
        reader.reports([Visit()] * 5 + [cohort.visits[0]])
    assert seen == [6]


def test_a_batch_answers_as_its_members_do(cohort):
    reader, places = make_reader(), [0, 4, 8]
    together, alone = (answer(reader, cohort, places, STATS, batch_size=size) for size in (3, 1))
    np.testing.assert_allclose(together.report, alone.report, atol=1e-4)
    np.testing.assert_allclose(together.mmse, alone.mmse, atol=1e-4)
    assert together.mmse.min() >= 0 and together.mmse.max() <= 30
