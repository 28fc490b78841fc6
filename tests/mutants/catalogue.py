"""The faults that the tests are to notice, each named after the harm that it would do.

A fault is an exact piece of one file and what stands in its place. The piece must occur once: `tests/test_mutants.py` holds this, so that
the list follows the code. Faults that change nothing anybody could see have no place here, nor those that merely break the program.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ISOLATION = "tests/verbs/test_isolation.py"
OF_THE_TEST = f"{ISOLATION}::test_the_people_of_the_test_change_nothing_but_their_own_numbers"
OF_THE_CALIBRATION = f"{ISOLATION}::test_the_people_of_the_calibration_set_thresholds_and_nothing_else"
OF_THE_VALIDATION = f"{ISOLATION}::test_the_people_of_the_validation_choose_the_epoch_and_nothing_else"
EXPLANATION_TESTS = "tests/explanation"
METHOD_TESTS, FAITHFULNESS_TESTS = f"{EXPLANATION_TESTS}/methods", f"{EXPLANATION_TESTS}/faithfulness"
PREDICT, NUMBERS, EXPLAIN, TOLD = (f"tests/verbs/test_{name}.py" for name in ("predict", "numbers", "explain", "told"))


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    name : str
        The harm to a user.
    file : str
        Below the repository.
    text : str
        What stands there now, exactly once.
    replacement : str
        What is planted instead.
    killers : tuple of str
        Tests, as pytest takes them, of which at least one must fail.
    """

    name: str
    file: str
    text: str
    replacement: str
    killers: tuple[str, ...]

    def plant(self, root: Path) -> str:
        """Return the file with the fault in it.

        Raises
        ------
        ValueError
            If the text does not occur exactly once, or what comes out is no Python.
        """
        source = (root / self.file).read_text(encoding="utf-8")
        if (found := source.count(self.text)) != 1 or self.text == self.replacement:
            raise ValueError(f"{self.name}: its text occurs {found} times in {self.file}, not once")
        planted = source.replace(self.text, self.replacement)
        try:
            ast.parse(planted)
        except SyntaxError as error:
            raise ValueError(f"{self.name}: {self.file} is no Python any more ({error})") from None
        return planted


LEAKS = (
    Mutant(
        "mmse_scaled_by_the_scores_of_all_subjects",
        "adclip/verbs/finetune.py",
        'true_scores = cohort.mmse[places["train"]].numpy()',
        "true_scores = cohort.mmse.numpy()",
        (OF_THE_TEST,),
    ),
    Mutant(
        "calibrated_on_validation_subjects_too",
        "adclip/training/gather.py",
        'for place in places["calibration"]}',
        'for place in [*places["calibration"], *places["validation"]]}',
        (OF_THE_VALIDATION,),
    ),
    Mutant(
        "calibrated_on_test_subjects_too",
        "adclip/training/gather.py",
        'for place in places["calibration"]}',
        'for place in [*places["calibration"], *places["test"]]}',
        (OF_THE_TEST,),
    ),
    Mutant(
        "visits_of_one_person_counted_as_people_in_the_calibration",
        "adclip/training/gather.py",
        "once = list({person: place for place, person in reversed(ids.items())}.values())",
        "once = list(ids)",
        (OF_THE_CALIBRATION,),
    ),
    Mutant(
        "epoch_chosen_by_the_calibration_subjects_too",
        "adclip/training/methods.py",
        'learner, material.cohort, parts["train"], parts["validation"], settings,',
        'learner, material.cohort, parts["train"], [*parts["validation"], *parts["calibration"]], settings,',
        (OF_THE_CALIBRATION,),
    ),
    Mutant(
        "epoch_chosen_by_the_test_subjects_too",
        "adclip/training/methods.py",
        'learner, material.cohort, parts["train"], parts["validation"], settings,',
        'learner, material.cohort, parts["train"], [*parts["validation"], *parts["test"]], settings,',
        (OF_THE_TEST,),
    ),
    Mutant(
        "last_epoch_shipped_instead_of_the_best",
        "adclip/training/loop.py",
        "        self._load(self.best)\n        return progress",
        "        self._load(self.last)\n        return progress",
        (
            "tests/training/test_loop.py::test_the_best_epoch_is_what_remains",
            "tests/training/test_loop.py::test_the_last_epoch_is_kept_beside_the_best",
        ),
    ),
    Mutant(
        "gate_fitted_on_all_subjects",
        "adclip/training/methods.py",
        "gate = fit_gate(of_training)",
        "gate = fit_gate(embed(range(len(material.cohort.visits))))",
        (OF_THE_TEST,),
    ),
    Mutant(
        "volumes_baseline_fitted_on_all_subjects",
        "adclip/training/gather.py",
        'VolumesBaseline.fit([cohort.case(place) for place in places["train"]], truth, task.classes)',
        "VolumesBaseline.fit([cohort.case(place) for place in range(len(cohort.visits))], "
        "[str(visit.diagnosis) for visit in cohort.visits], task.classes)",
        (OF_THE_TEST,),
    ),
    Mutant(
        "shares_of_the_classes_counted_on_all_subjects",
        "adclip/training/gather.py",
        'prior = shares_of(cohort, places["train"], task.classes)',
        "prior = shares_of(cohort, range(len(cohort.visits)), task.classes)",
        (OF_THE_TEST,),
    ),
    Mutant(
        "linear_probe_scaled_by_all_scans",
        "adclip/training/baselines.py",
        "mean, sd = features[train].mean(0), features[train].std(0) + 1e-9",
        "mean, sd = features.mean(0), features.std(0) + 1e-9",
        (f"{ISOLATION}::test_what_stands_beside_the_model_knows_no_more_than_it",),
    ),
    Mutant(
        "scans_that_failed_their_quality_check_trained_on",
        "adclip/imaging/sources/ours.py",
        "return [item for item in items if not failed(item)]",
        "return list(items)",
        (f"{ISOLATION}::test_scans_that_failed_their_quality_check_teach_nothing",),
    ),
    Mutant(
        "one_person_under_two_ids_on_both_sides_of_the_split",
        "adclip/clinical/tables/people.py",
        'return fold(f"{key.study} {key.subject}")',
        "return fold(subject)",
        ("tests/cli/test_people.py",),
    ),
    Mutant(
        "diagnosis_in_wide_letters_passes_as_no_leak",
        "adclip/clinical/reports/lint.py",
        'text = _UNSEEN.sub("", unicodedata.normalize("NFKC", report.text))',
        'text = _UNSEEN.sub("", report.text)',
        ("tests/clinical/reports/test_lint.py::test_other_letters_of_the_same_look_hide_nothing",),
    ),
)

TRAINING = (
    Mutant(
        "unknown_mmse_taught_as_the_mean",
        "adclip/training/losses.py",
        "    is_known = ~torch.isnan(target)\n",
        "    target = torch.nan_to_num(target)\n    is_known = ~torch.isnan(target)\n",
        ("tests/training/test_losses.py",),
    ),
    Mutant(
        "rare_classes_neglected_by_the_loss",
        "adclip/training/losses.py",
        "return functional.cross_entropy(scores + log_prior, labels)",
        "return functional.cross_entropy(scores, labels)",
        ("tests/training/test_losses.py",),
    ),
    Mutant(
        "half_of_the_scans_mirrored_unasked",
        "adclip/training/augment.py",
        "        if self.flip:\n",
        "        if not self.flip:\n",
        ("tests/training/test_augment.py",),
    ),
    Mutant(
        "mmse_measured_without_its_mean",
        "adclip/evaluation/calibrate.py",
        'scores["mmse"].append(answered.mmse.cpu() * mmse_stats[1] + mmse_stats[0])',
        'scores["mmse"].append(answered.mmse.cpu() * mmse_stats[1])',
        (f"{NUMBERS}::test_what_was_measured_is_what_the_folder_answers",),
    ),
    Mutant(
        "missing_values_taken_for_zero_when_the_baseline_is_fitted",
        "adclip/prediction/metadata_baseline.py",
        "table = np.where(np.isfinite(table), table, medians)",
        "table = np.where(np.isfinite(table), table, 0.0)",
        (f"{NUMBERS}::test_a_missing_cell_counts_as_the_median_of_the_training_people",),
    ),
    Mutant(
        "prediction_sets_measured_by_the_threshold_of_the_other_road",
        "adclip/evaluation/judgement.py",
        "roads = [calibration.road(known.road) for known in evidence]",
        "roads = [calibration.road(evidence[0].road) for known in evidence]",
        (f"{NUMBERS}::test_sets_are_measured_by_the_road_of_each_answer",),
    ),
    Mutant(
        "accuracy_told_for_another_mix_of_classes",
        "adclip/prediction/answer.py",
        "prior = 0.0 if shares is None else np.log(shares)\n    values",
        "prior = 0.0\n    values",
        (NUMBERS,),
    ),
)

CALIBRATION = (
    Mutant(
        "interval_of_the_mmse_too_narrow_for_new_people",
        "adclip/evaluation/fusion.py",
        "rank = int(np.ceil((len(nonconformity) + 1) * COVERAGE))",
        "rank = int(np.ceil(len(nonconformity) * COVERAGE))",
        ("tests/training/test_losses.py",),
    ),
    Mutant(
        "prediction_set_by_the_threshold_of_the_other_road",
        "adclip/prediction/answer.py",
        "to_prediction_set(probabilities, road.thresholds if road.fitted else None)",
        "to_prediction_set(probabilities, alone.thresholds if road.fitted else None)",
        (f"{PREDICT}::test_each_road_has_its_own_threshold_and_temperature",),
    ),
    Mutant(
        "scan_only_by_the_temperature_of_the_other_road",
        "adclip/prediction/answer.py",
        "scan_only = name_probabilities(answer.bare, alone.temperature, alone.least_probability)",
        "scan_only = name_probabilities(answer.bare, road.temperature, road.least_probability)",
        (f"{PREDICT}::test_each_road_has_its_own_threshold_and_temperature",),
    ),
    Mutant(
        "uncalibrated_answers_not_told_apart",
        "adclip/prediction/answer.py",
        "() if road.fitted else (NOT_CALIBRATED,)",
        "()",
        (f"{NUMBERS}::test_without_calibration_subjects_the_answer_says_so",),
    ),
    Mutant(
        "prediction_set_by_the_threshold_of_all_classes_together",
        "adclip/evaluation/fusion.py",
        "conformal_quantile(nonconformity[evidence.truth == number])",
        "conformal_quantile(nonconformity)",
        ("tests/evaluation/test_fusion.py",),
    ),
    Mutant(
        "missing_prediction_set_not_explained",
        "adclip/prediction/answer.py",
        "flags = (NO_PREDICTION_SET,)",
        "flags = ()",
        (f"{PREDICT}::test_a_road_with_too_few_people_for_a_set_says_so_and_changes_no_status",),
    ),
    Mutant(
        "scan_unlike_the_training_ones_not_flagged",
        "adclip/prediction/answer.py",
        "answer.distance > calibration.gate_limit",
        "answer.distance < calibration.gate_limit",
        ("tests/training/test_gate.py",),
    ),
    Mutant(
        "doubtful_answer_told_as_sure",
        "adclip/prediction/answer.py",
        "status = more_careful(status, meaning.status)",
        "status = prediction.status",
        (
            f"{PREDICT}::test_the_only_row_of_another_subject_is_used_and_told",
            "tests/training/test_gate.py",
            "tests/prediction/test_reasons.py",
        ),
    ),
    Mutant(
        "shares_of_classes_left_out_of_what_the_metadata_say",
        "adclip/prediction/prevalence.py",
        "metadata_only=shifted(prediction.metadata_only)",
        "metadata_only=prediction.metadata_only",
        ("tests/prediction/test_prevalence.py::test_every_source_shifts_and_the_set_does_not",),
    ),
    Mutant(
        "rescans_that_hang_on_the_seed_alone",
        "adclip/prediction/rescans.py",
        "np.random.default_rng([seed, *hashlib.sha256(values.tobytes()).digest()])",
        "np.random.default_rng([seed])",
        ("tests/prediction/test_rescans.py::test_they_hang_on_content_and_seed_alone",),
    ),
    Mutant(
        "curve_whose_row_keeps_its_own_value",
        "adclip/prediction/beside.py",
        "alter(evidence.row, column, value)",
        "evidence.row",
        (f"{TOLD}::test_a_curve_is_what_the_model_says_of_such_rows",),
    ),
    Mutant(
        "farthest_training_cases_called_similar",
        "adclip/prediction/similar.py",
        'np.argsort(-cosines, kind="stable")',
        'np.argsort(cosines, kind="stable")',
        (f"{TOLD}::test_a_training_scan_finds_itself_first",),
    ),
)

PREDICTION = (
    Mutant(
        "missing_values_taken_for_zero_when_the_baseline_answers",
        "adclip/prediction/metadata_baseline.py",
        "filled = np.where(is_known, values, self.medians)",
        "filled = np.where(is_known, values, 0.0)",
        (f"{PREDICT}::test_a_model_from_before_takes_the_median_for_a_missing_cell",),
    ),
    Mutant(
        "missing_values_taken_for_the_likeliest_without_their_spread",
        "adclip/prediction/metadata_baseline.py",
        "chances = mean_softmax(scores, weights[:, ~is_known] @ spread @ weights[:, ~is_known].T) / shares",
        "chances = softmax(scores) / shares",
        ("tests/prediction/test_missing_columns.py",),
    ),
    Mutant(
        "sources_weighed_by_each_others_worth",
        "adclip/prediction/evidence.py",
        "road.scan * bare + road.metadata * metadata",
        "road.metadata * bare + road.scan * metadata",
        (f"{PREDICT}::test_no_road_takes_a_number_of_another",),
    ),
    Mutant(
        "scan_that_failed_vanishes_from_the_output",
        "adclip/prediction/cohort_run.py",
        "            self._waiting.append((item, done.record))\n",
        "            pass\n",
        (f"{PREDICT}::test_one_bad_scan_stops_nobody",),
    ),
    Mutant(
        "row_of_another_subject_used_unsaid",
        "adclip/prediction/jobs.py",
        '(*flags, "row_of_other_subject")',
        "flags",
        (f"{PREDICT}::test_the_only_row_of_another_subject_is_used_and_told",),
    ),
    Mutant(
        "volumes_of_a_foreign_program_used_unsaid",
        "adclip/prediction/volumetry.py",
        "            return OTHER_VERSION\n    return OTHER_SOFTWARE",
        "            return OTHER_VERSION\n    return None",
        (f"{PREDICT}::test_volumes_of_a_program_that_the_model_has_not_met_are_flagged",),
    ),
    Mutant(
        "smaller_side_told_as_the_larger",
        "adclip/prediction/volumetry.py",
        "100 * (right - left) / ((right + left) / 2)",
        "100 * (left - right) / ((right + left) / 2)",
        ("tests/verbs/test_volumes_shown.py",),
    ),
    Mutant(
        "volumes_of_an_impossible_brain_enter_the_report",
        "adclip/prediction/volumetry.py",
        "(visit is not None and visit.has_volumes) or not are_plausible(volumes.mm3):",
        "(visit is not None and visit.has_volumes):",
        ("tests/verbs/test_volumes.py",),
    ),
    Mutant(
        "model_on_another_base_answers",
        "adclip/model/bases.py",
        "if not base.hashed and weights_sha256(base.weights, known) != base.sha256:",
        "if False:",
        ("tests/model/test_checkpoint.py::test_a_base_that_is_not_the_one_recorded",),
    ),
    Mutant(
        "padding_of_a_text_changes_the_answer",
        "adclip/model/network.py",
        'rearrange(text.word_mask, "b k l -> (b k) l"),',
        'torch.ones_like(rearrange(text.word_mask, "b k l -> (b k) l")),',
        ("tests/training/test_loop.py::test_a_batch_answers_as_its_members_do", "tests/model/test_network.py"),
    ),
)

EXPLANATION = (
    Mutant(
        "heatmap_outside_of_the_brain",
        "adclip/explanation/explain_one.py",
        "heat = from_model_order(attribution.positive) * prepared.mask",
        "heat = from_model_order(attribution.positive)",
        (f"{EXPLAIN}::test_there_is_no_relevance_outside_of_the_brain",),
    ),
    Mutant(
        "heatmap_on_the_scan_beyond_the_brain",
        "adclip/imaging/steps/grid.py",
        "return on_scan if mask is None else on_scan * to_source_order(mask, volume)",
        "return on_scan",
        (f"{EXPLAIN}::test_the_map_on_the_scan_ends_with_the_brain",),
    ),
    Mutant(
        "heatmap_with_other_codes_than_its_scan",
        "adclip/imaging/sources/files.py",
        "    if place:\n",
        "    if False:\n",
        ("tests/imaging/sources/test_place.py",),
    ),
    Mutant(
        "face_shown_around_the_brain",
        "adclip/explanation/planes.py",
        "brain = share > 0.5",
        "brain = share > -1",
        ("tests/explanation/test_mosaic.py",),
    ),
    Mutant(
        "relevance_outside_of_the_brain_counted_for_its_regions",
        "adclip/explanation/region_table.py",
        "signed = np.where(mask, np.nan_to_num(signed), 0)",
        "signed = np.nan_to_num(signed)",
        ("tests/explanation/test_region_table.py",),
    ),
    Mutant(
        "left_structures_of_the_scan_laid_mirrored_on_the_map",
        "adclip/imaging/volumes/structures.py",
        "np.ascontiguousarray(left[::-1])",
        "np.ascontiguousarray(left)",
        ("tests/imaging/volumes/test_partition.py",),
    ),
    Mutant(
        "volumes_of_the_other_side_beside_the_relevance_of_a_region",
        "adclip/explanation/region_table.py",
        'facts = volumes.get(f"{region.key}_mm3", {})',
        'facts = volumes.get(f"{region.name}_left_mm3", {})',
        ("tests/explanation/test_region_table.py",),
    ),
    Mutant(
        "left_and_right_exchanged_in_the_heatmap",
        "adclip/imaging/steps/grid.py",
        "np.swapaxes(array_dhw[..., ::-1, ::-1], -1, -3)",
        "np.swapaxes(array_dhw[..., ::-1, :], -1, -3)",
        (f"{EXPLAIN}::test_the_map_lies_on_the_scan_and_left_stays_left",),
    ),
    Mutant(
        "left_and_right_exchanged_for_the_model_and_back",
        "adclip/imaging/steps/grid.py",
        "np.swapaxes(array_xyz, -1, -3)[..., ::-1, ::-1]",
        "np.swapaxes(array_xyz, -1, -3)[..., ::-1, :]",
        ("tests/imaging/steps/test_grid.py",),
    ),
    Mutant(
        "heatmap_laid_on_the_scan_as_if_it_were_the_template",
        "adclip/imaging/steps/grid.py",
        "np.linalg.inv(contract.affine_xyz) @ scan_to_mni @ volume.affine",
        "np.linalg.inv(contract.affine_xyz) @ volume.affine",
        (f"{EXPLAIN}::test_the_map_lies_on_the_scan_and_left_stays_left",),
    ),
    Mutant(
        "what_speaks_against_a_class_shown_as_speaking_for_it",
        "adclip/explanation/explained.py",
        "return decided[:, place] - others.mean(dim=1)",
        "return others.mean(dim=1) - decided[:, place]",
        (f"{EXPLANATION_TESTS}/test_target.py", f"{EXPLANATION_TESTS}/test_attribution.py"),
    ),
    Mutant(
        "contrast_of_two_classes_the_wrong_way_round",
        "adclip/explanation/explained.py",
        "return decided[:, place] - decided[:, list(labels).index(target.against)]",
        "return decided[:, list(labels).index(target.against)] - decided[:, place]",
        (f"{EXPLANATION_TESTS}/test_target.py", f"{EXPLANATION_TESTS}/test_attribution.py"),
    ),
    Mutant(
        "contrast_read_the_wrong_way_round",
        "adclip/explanation/target.py",
        "Target(text, one, other) for one, other in permutations(labels, 2)",
        "Target(text, other, one) for one, other in permutations(labels, 2)",
        (f"{EXPLANATION_TESTS}/test_target.py",),
    ),
    Mutant(
        "heatmap_without_what_the_bare_candidates_asked_the_patches",
        "adclip/explanation/methods/grad_eclip.py",
        "for record in (report, bare) if record.output is not None]",
        "for record in (report,) if record.output is not None]",
        (f"{METHOD_TESTS}/test_grad_eclip.py",),
    ),
    Mutant(
        "heatmap_of_the_mmse_by_the_row_of_the_diagnosis",
        "adclip/explanation/methods/grad_eclip.py",
        "[1 if explained.of_score else 0]",
        "[0]",
        (f"{METHOD_TESTS}/test_grad_eclip.py",),
    ),
    Mutant(
        "closer_look_explained_on_the_wrong_side_of_the_head",
        "adclip/model/close_up.py",
        "return torch.stack([both + apart, both - apart])",
        "return torch.stack([both - apart, both + apart])",
        (f"{METHOD_TESTS}/test_grad_eclip.py", "tests/model/test_close_up.py"),
    ),
    Mutant(
        "model_left_with_one_head_after_a_comparison",
        "adclip/explanation/methods/grad_eclip.py",
        "            item.heads = count",
        "            item.heads = 1",
        (f"{METHOD_TESTS}/test_grad_eclip.py",),
    ),
    Mutant(
        "map_from_the_scan_to_the_reference_instead_of_the_other_way",
        "adclip/explanation/methods/gradients.py",
        "return _by_voxel(explained, total * (image - reference))",
        "return _by_voxel(explained, total * (reference - image))",
        (f"{METHOD_TESTS}/test_gradients.py", f"{EXPLANATION_TESTS}/test_captum.py"),
    ),
    Mutant(
        "gradients_of_noise_that_hangs_on_what_was_drawn_before",
        "adclip/explanation/methods/gradients.py",
        "torch.randn(image.shape, generator=draw)",
        "torch.randn(image.shape)",
        (f"{METHOD_TESTS}/test_gradients.py",),
    ),
    Mutant(
        "attention_followed_through_prompts_that_are_replaced",
        "adclip/explanation/methods/rollout.py",
        "                flow[prompts] = 0",
        "                pass",
        (f"{METHOD_TESTS}/test_rollout.py",),
    ),
    Mutant(
        "patches_replaced_that_were_to_be_kept",
        "adclip/explanation/explained.py",
        "patches = torch.where(chosen, other_patches, self.patches)",
        "patches = torch.where(chosen, self.patches, other_patches)",
        (f"{EXPLANATION_TESTS}/test_attribution.py", f"{METHOD_TESTS}/test_occlusion.py"),
    ),
    Mutant(
        "patch_replaced_but_not_what_the_closer_look_found_in_it",
        "adclip/explanation/explained.py",
        "shares = torch.where(chosen[:, None], other_shares, self.shares)",
        "shares = self.shares.expand(len(some), -1, -1, -1)",
        (f"{EXPLANATION_TESTS}/test_attribution.py", f"{METHOD_TESTS}/test_occlusion.py"),
    ),
    Mutant(
        "insertion_gain_with_the_wrong_sign",
        "adclip/explanation/faithfulness/curves.py",
        "to_gain(insertion.mean() - inserted.mean(axis=1))",
        "to_gain(inserted.mean(axis=1) - insertion.mean())",
        (f"{FAITHFULNESS_TESTS}/test_curves.py",),
    ),
    Mutant(
        "map_held_against_orders_that_are_not_random",
        "adclip/explanation/faithfulness/curves.py",
        "return [draw.permutation(inside) for _ in range(count)]",
        "return [np.sort(draw.permutation(inside)) for _ in range(count)]",
        (f"{FAITHFULNESS_TESTS}/test_curves.py",),
    ),
    Mutant(
        "least_relevant_patches_replaced_first",
        "adclip/explanation/faithfulness/curves.py",
        "np.argsort(-per_patch.reshape(-1)[inside], kind=",
        "np.argsort(per_patch.reshape(-1)[inside], kind=",
        (f"{FAITHFULNESS_TESTS}/test_curves.py", f"{FAITHFULNESS_TESTS}/test_measure.py"),
    ),
    Mutant(
        "model_left_with_weights_drawn_anew",
        "adclip/explanation/faithfulness/checks.py",
        "                weight.copy_(before)",
        "                pass",
        (f"{FAITHFULNESS_TESTS}/test_checks.py",),
    ),
    Mutant(
        "map_believed_although_references_disagree",
        "adclip/explanation/faithfulness/verdict.py",
        "    elif turned:\n",
        "    elif False:\n",
        (f"{FAITHFULNESS_TESTS}/test_verdict.py",),
    ),
    Mutant(
        "young_head_held_against_the_oldest",
        "adclip/explanation/references.py",
        "next((band for band in bands if age < band.high), bands[-1])",
        "next((band for band in bands if age > band.high), bands[-1])",
        (f"{EXPLANATION_TESTS}/test_references.py::test_each_age_has_its_band",),
    ),
    Mutant(
        "moved_maps_not_moved_back",
        "adclip/explanation/finer.py",
        "total += moved(voxels[None, None], [-step for step in by])[0, 0]",
        "total += moved(voxels[None, None], by)[0, 0]",
        (f"{EXPLANATION_TESTS}/test_finer.py",),
    ),
    Mutant(
        "flat_heatmap_not_told_as_one",
        "adclip/explanation/attribution.py",
        "(FLAT_MAP,) if is_flat else ()",
        "()",
        (f"{EXPLANATION_TESTS}/test_attribution.py",),
    ),
    Mutant(
        "map_that_hears_no_word_not_told_as_one",
        "adclip/explanation/phrases.py",
        "return (SAME_FOR_ANY_TEXT,) if min(found) > ALIKE else ()",
        "return ()",
        (f"{EXPLANATION_TESTS}/test_phrases.py",),
    ),
    Mutant(
        "face_in_the_page_of_an_explanation",
        "adclip/explanation/page/volumes.py",
        "mask > 0.5, volume.source.affine",
        "mask > -1, volume.source.affine",
        ("tests/explanation/page/test_page.py::test_no_face_is_in_the_page",),
    ),
    Mutant(
        "map_of_the_page_laid_on_the_scan_as_if_it_were_the_template",
        "adclip/explanation/page/volumes.py",
        "matrix = np.linalg.inv(contract.affine_xyz) @ from_mm @ grid",
        "matrix = np.linalg.inv(contract.affine_xyz) @ grid",
        ("tests/explanation/page/test_page.py::test_scan_and_map_lie_on_the_scanner_s_millimetres_whatever_the_axes",),
    ),
    Mutant(
        "scripts_in_names_run_on_the_page",
        "adclip/explanation/page/render.py",
        "autoescape=True",
        "autoescape=False",
        ("tests/explanation/page/test_page.py::test_every_text_is_escaped_also_inside_of_scripts",),
    ),
)

IMAGING = (
    Mutant(
        "headers_that_contradict_each_other_about_sides_believed",
        "adclip/imaging/formats/geometry.py",
        'if _codes(np.linalg.solve(_directions(affine), _directions(alternative))) != "RAS":',
        "if False:",
        ("tests/imaging/formats/test_formats.py", "tests/imaging/sources/test_files.py"),
    ),
    Mutant(
        "header_that_nobody_filled_in_not_flagged",
        "adclip/imaging/formats/geometry.py",
        'flags.append("orientation_doubtful")',
        "pass",
        ("tests/imaging/formats/test_formats.py", "tests/imaging/sources/test_files.py"),
    ),
    Mutant(
        "scan_of_freesurfer_half_a_voxel_off",
        "adclip/imaging/formats/mgh.py",
        "affine[:3, :3] @ np.array(shape) / 2",
        "affine[:3, :3] @ (np.array(shape) - 1) / 2",
        ("tests/imaging/formats/test_formats.py",),
    ),
    Mutant(
        "pixel_sizes_of_dicom_exchanged",
        "adclip/imaging/formats/slices.py",
        "(across * first.spacing[1])",
        "(across * first.spacing[0])",
        ("tests/imaging/formats/test_dicom.py::test_pixels_need_not_be_squares",),
    ),
    Mutant(
        "missing_slices_of_a_dicom_series_closed_up",
        "adclip/imaging/formats/slices.py",
        "    if missing:\n",
        "    if False:\n",
        ("tests/imaging/formats/test_dicom.py",),
    ),
    Mutant(
        "two_patients_in_one_folder_read_as_one",
        "adclip/imaging/formats/dicom.py",
        "if len(people) > 1:",
        "if False:",
        ("tests/imaging/formats/test_dicom.py",),
    ),
    Mutant(
        "offset_of_one_byte_scans_forgotten",
        "adclip/imaging/formats/values.py",
        "(codes.astype(np.float64) * slope + intercept)",
        "(codes.astype(np.float64) * slope)",
        ("tests/imaging/formats/test_formats.py", "tests/imaging/sources/test_files.py"),
    ),
    Mutant(
        "scan_shifted_on_the_grid_of_the_model",
        "adclip/imaging/steps/grid.py",
        "fine[:3, 3] -= fine[:3, axis] * (count - 1) / 2",
        "fine[:3, 3] -= 0",
        ("tests/imaging/steps/test_grid.py",),
    ),
    Mutant(
        "unusable_scan_told_as_a_mere_warning",
        "adclip/imaging/quality/verdict.py",
        '        return "fail", tuple(reasons)',
        '        return "warn", tuple(reasons)',
        ("tests/imaging/quality/test_quality.py",),
    ),
    Mutant(
        "doubtful_sides_not_told",
        "adclip/imaging/quality/verdict.py",
        'reasons.append("left_right_doubtful")',
        "pass",
        ("tests/imaging/quality/test_quality.py",),
    ),
    Mutant(
        "scan_that_is_no_t1_head_prepared_as_one",
        "adclip/imaging/prepare.py",
        "if not any_modality:",
        "if any_modality:",
        ("tests/imaging/quality/test_modality.py", "tests/imaging/test_prepare.py"),
    ),
    Mutant(
        "bad_quality_not_flagged",
        "adclip/imaging/prepare.py",
        'if quality.verdict != "pass":\n        flags.append(f"qc_{quality.verdict}")',
        "if False:\n        pass",
        ("tests/imaging/test_prepare.py", "tests/imaging/quality/test_quality.py"),
    ),
    Mutant(
        "earlier_result_of_a_refused_scan_stays_in_use",
        "adclip/imaging/derivatives/withdraw.py",
        "    sidecar_path(path).unlink(missing_ok=True)\n    return True",
        "    return True",
        ("tests/verbs/test_preprocess_again.py",),
    ),
    Mutant(
        "cut_derivative_taken_for_a_finished_one",
        "adclip/imaging/derivatives/currency.py",
        "if not path.is_file() or path.stat().st_size != file.size:",
        "if not path.is_file():",
        ("tests/verbs/test_preprocess.py", "tests/verbs/test_preprocess_again.py"),
    ),
    Mutant(
        "first_scan_of_a_shared_cohort_left_out",
        "adclip/runtime/shards.py",
        "items[shard[0] - 1 :: shard[1]]",
        "items[shard[0] :: shard[1]]",
        ("tests/runtime/test_cohort.py",),
    ),
    Mutant(
        "volumes_of_the_sides_exchanged",
        "adclip/imaging/volumes/medial_temporal.py",
        "right, left = (probability[side]",
        "left, right = (probability[side]",
        ("tests/imaging/volumes/test_volumes.py",),
    ),
    Mutant(
        "volumes_of_the_template_told_as_those_of_the_head",
        "adclip/imaging/volumes/measure.py",
        "fine_mm3 = float(np.prod(medial_temporal.BOX.spacing_mm)) / growth",
        "fine_mm3 = float(np.prod(medial_temporal.BOX.spacing_mm))",
        ("tests/imaging/volumes/test_volumes.py",),
    ),
    Mutant(
        "volumes_of_another_segmenter_taken_for_current",
        "adclip/prediction/volumetry.py",
        "return not volumes.is_own or volumes.source == measured_by()",
        "return True",
        ("tests/verbs/test_volumes.py",),
    ),
)

CLINICAL = (
    Mutant(
        "age_moved_into_the_past_instead_of_the_future",
        "adclip/clinical/tables/nearest.py",
        "+ _days_after(visit.values, values) / 365.25",
        "- _days_after(visit.values, values) / 365.25",
        ("tests/clinical/tables/test_plausible.py", "tests/clinical/tables/test_join.py"),
    ),
    Mutant(
        "row_of_another_year_attached_to_a_visit",
        "adclip/clinical/tables/nearest.py",
        "if days is not None and days <= max_days:",
        "if days is not None:",
        ("tests/clinical/tables/test_join.py",),
    ),
    Mutant(
        "contradiction_between_tables_settled_in_silence",
        "adclip/clinical/tables/joined.py",
        "elif own_values[column] != value and not (",
        "elif False and not (",
        ("tests/clinical/tables/test_join.py",),
    ),
    Mutant(
        "row_of_another_session_given_to_a_scan",
        "adclip/clinical/scans/matching.py",
        "_the_one(table, numbers, scan_label)\n"
        "            if all(table.rows[number].session_id is None for number in numbers)\n"
        "            else None",
        "_the_one(table, numbers, scan_label)",
        ("tests/cli/test_rows.py::test_the_only_row_of_a_person_is_not_borrowed_by_another_session",),
    ),
    Mutant(
        "age_at_entry_told_as_the_age_at_every_visit",
        "adclip/clinical/dialects/adni.py",
        "return _age(age, _YEARS.parse(years)) if age and years else None",
        "return _age(age, 0.0) if age and years else None",
        ("tests/clinical/dialects/test_dialects.py",),
    ),
    Mutant(
        "converter_labelled_as_what_they_were_before",
        "adclip/clinical/dialects/adni.py",
        "return _STATES[states[-1]]",
        "return _STATES[states[0]]",
        ("tests/clinical/dialects/test_dialects.py",),
    ),
    Mutant(
        "diagnosis_at_entry_given_to_later_visits",
        "adclip/clinical/dialects/adni.py",
        "return to_state(dx_bl) if viscode.lower() in _BASELINE else None",
        "return to_state(dx_bl)",
        ("tests/clinical/dialects/test_dialects.py",),
    ),
    Mutant(
        "one_hemisphere_told_as_both",
        "adclip/clinical/dialects/freesurfer.py",
        "check_volume(left, line, column, volume + right_gyri[column][1])",
        "check_volume(left, line, column, volume)",
        ("tests/clinical/tables/test_segmentations.py",),
    ),
    Mutant(
        "volumes_that_failed_their_studys_check_read",
        "adclip/clinical/dialects/oasis.py",
        'if status and not status.lower().startswith("pass"):',
        "if False:",
        ("tests/clinical/dialects/test_dialects.py",),
    ),
    Mutant(
        "months_read_in_the_wrong_unit",
        "adclip/clinical/columns.py",
        '"months": 1 / 12,',
        '"months": 1 / 10,',
        ("tests/clinical/tables/test_join.py", "tests/clinical/tables/test_plausible.py"),
    ),
    Mutant(
        "mild_impairment_read_as_healthy",
        "adclip/clinical/tables/derive.py",
        "0.5: Diagnosis.MCI",
        "0.5: Diagnosis.CN",
        ("tests/clinical/tables/test_join.py",),
    ),
    Mutant(
        "women_ranked_among_men",
        "adclip/clinical/norms/norms.py",
        'norms_of_volumes().get((field, sex or ""))',
        'norms_of_volumes().get((field, "M" if sex else ""))',
        ("tests/clinical/norms/test_norms.py",),
    ),
    Mutant(
        "volume_beyond_the_norms_given_an_exact_rank",
        "adclip/clinical/norms/norms.py",
        "return Standing(QUANTILES[end], CENTILES[end], True, *reference)",
        "return Standing(QUANTILES[end], CENTILES[end], False, *reference)",
        ("tests/clinical/norms/test_norms.py",),
    ),
    Mutant(
        "diagnosis_of_one_visit_given_to_several_sessions",
        "adclip/clinical/scans/manifest.py",
        "        return SHARED_ROW\n",
        "        return None\n",
        ("tests/clinical/scans/test_manifest.py", "tests/cli/test_people.py"),
    ),
)

METRICS = (
    Mutant(
        "scans_counted_as_people_in_the_intervals",
        "adclip/evaluation/metrics/intervals.py",
        "    scans = rows_of(subjects)\n    if len(scans) == len(numbers)",
        "    scans = rows_of([str(place) for place in range(len(subjects))])\n    if len(scans) == len(numbers)",
        ("tests/evaluation/test_intervals.py",),
    ),
    Mutant(
        "intervals_of_half_the_promised_confidence",
        "adclip/evaluation/metrics/intervals.py",
        "np.quantile(np.concatenate(lows), 0.025)",
        "np.quantile(np.concatenate(lows), 0.25)",
        ("tests/evaluation/test_intervals.py", "tests/evaluation/test_metrics.py"),
    ),
    Mutant(
        "ties_counted_as_right_in_the_auc",
        "adclip/evaluation/metrics/values.py",
        "rank = (np.cumsum(size) - (size - 1) / 2)[group]",
        "rank = np.cumsum(size)[group]",
        ("tests/evaluation/test_metrics.py",),
    ),
    Mutant(
        "balanced_accuracy_of_answers_for_another_mix",
        "adclip/evaluation/metrics/summary.py",
        "answered = equal.argmax(axis=1)",
        "answered = study.argmax(axis=1)",
        (NUMBERS,),
    ),
    Mutant(
        "worse_estimate_of_the_mmse_told_as_better",
        "adclip/evaluation/metrics/comparison.py",
        "error_difference = np.abs(first.score - score) - np.abs(second.score - score)",
        "error_difference = np.abs(second.score - score) - np.abs(first.score - score)",
        ("tests/evaluation/test_intervals.py::test_a_difference_below_zero_is_a_smaller_error",),
    ),
    Mutant(
        "calibration_error_of_rare_classes_neglected",
        "adclip/evaluation/metrics/reliability.py",
        "weights = _weights(truth[None], shares.shape[1]) if alike else np.full((1, len(truth)), 1 / len(truth))",
        "weights = np.full((1, len(truth)), 1 / len(truth))",
        ("tests/evaluation/test_metrics.py", "tests/evaluation/test_intervals.py", NUMBERS),
    ),
    Mutant(
        "mean_of_the_people_without_an_answer_counted",
        "adclip/evaluation/metrics/summary.py",
        "rows = np.flatnonzero(np.isfinite(true_points) & np.isfinite(predicted_points))",
        "true_points = np.nan_to_num(true_points)\n"
        "        rows = np.flatnonzero(np.isfinite(true_points) & np.isfinite(predicted_points))",
        ("tests/evaluation/test_metrics.py",),
    ),
)

EVALUATION = (
    Mutant(
        "training_people_counted_in_an_evaluation",
        "adclip/evaluation/participants.py",
        "if part == TEST or (part is None and not own)",
        "if part is not None or not own",
        ("tests/evaluation/test_participants.py",),
    ),
    Mutant(
        "training_scans_under_other_ids_counted_in_an_evaluation",
        "adclip/evaluation/participants.py",
        "person: met.get(person) or part_of.get(person)",
        "person: part_of.get(person)",
        ("tests/evaluation/test_participants.py::test_a_training_scan_under_another_id_is_not_counted",),
    ),
    Mutant(
        "people_answered_by_regressions_that_saw_their_other_scans",
        "adclip/evaluation/audits/cross_fit.py",
        "in parts.split(features, truth, people):",
        "in parts.split(features, truth, np.arange(len(truth))):",
        ("tests/evaluation/audits/test_audits.py::test_nobody_is_answered_by_own_scans",),
    ),
    Mutant(
        "shuffled_scans_judged_by_who_owns_the_scan",
        "adclip/evaluation/audits/shuffles.py",
        "by_report[partner] = pairs",
        "by_report[:] = pairs",
        (
            "tests/evaluation/audits/test_audits.py::test_a_model_that_looks_at_the_scan_alone_is_told_apart_from_one_that_reads_alone",
        ),
    ),
    Mutant(
        "atrophy_taken_for_a_fault_of_the_scanner",
        "adclip/evaluation/audits/quality.py",
        "if names[place] not in OF_ANATOMY]",
        "if names[place]]",
        ("tests/evaluation/audits/test_audits.py::test_what_atrophy_changes_by_itself_is_no_confound",),
    ),
)

SIMULATION = (
    Mutant(
        "simulated_head_mirrored_in_its_file",
        "adclip/simulation/acquisition.py",
        "return stored, affine @ inv_ornt_aff(change, array.shape)",
        "return stored, affine",
        ("tests/simulation/test_heads.py",),
    ),
    Mutant(
        "age_of_the_visit_in_the_column_of_the_age_at_entry",
        "adclip/simulation/adnimerge.py",
        '"AGE": person.baseline_age_years,',
        '"AGE": visit.age_years,',
        ("tests/simulation/test_tables.py",),
    ),
    Mutant(
        "oracle_fitted_on_those_it_answers_for",
        "adclip/simulation/oracle.py",
        "train = [visit for visit in visits if visit.subject_id not in held]",
        "train = list(visits)",
        ("tests/simulation/test_oracle.py",),
    ),
)

CLI = (
    Mutant(
        "failed_scans_of_a_cohort_end_as_success",
        "adclip/cli/session.py",
        "        if failed:\n            raise typer.Exit",
        "        if failed == total:\n            raise typer.Exit",
        ("tests/cli/test_errors.py",),
    ),
    Mutant(
        "value_of_a_person_in_an_error_message",
        "adclip/cli/failures.py",
        '({type(error).__name__}{origin(error)})"',
        '({type(error).__name__}{origin(error)}: {error})"',
        ("tests/cli/test_errors.py",),
    ),
    Mutant(
        "limit_in_days_not_handed_on",
        "adclip/verbs/settings.py",
        "TableOptions(self.columns, max_days=self.max_days)",
        "TableOptions(self.columns)",
        ("tests/cli/test_options.py::test_the_limit_in_days_reaches_the_reading_of_tables",),
    ),
    Mutant(
        "limit_in_days_typed_and_not_set",
        "adclip/cli/from_settings.py",
        "else values[field.name]\n        for field in fields_of(kind)\n",
        'else values[field.name]\n        for field in fields_of(kind)\n        if field.name != "max_days"\n',
        ("tests/cli/test_options.py::test_an_option_changes_its_own_setting_alone[predict-max_days]",),
    ),
    Mutant(
        "declared_split_not_handed_on",
        "adclip/cli/from_settings.py",
        "else values[field.name]\n        for field in fields_of(kind)\n",
        'else values[field.name]\n        for field in fields_of(kind)\n        if field.name != "splits"\n',
        ("tests/cli/test_options.py::test_an_option_changes_its_own_setting_alone[finetune-splits]",),
    ),
    Mutant(
        "numbers_of_prompts_exchanged",
        "adclip/cli/from_settings.py",
        "if field.is_several else values[field.name]\n",
        'if field.is_several else values[{"visual_prompts": "text_prompts", "text_prompts": "visual_prompts"}'
        ".get(field.name, field.name)]\n",
        ("tests/cli/test_options.py::test_an_option_changes_its_own_setting_alone[finetune-text_prompts]",),
    ),
    Mutant(
        "rank_beyond_the_norms_shown_as_an_exact_one",
        "adclip/prediction/volume_lines.py",
        "    if not beyond:\n",
        "    if True:\n",
        ("tests/verbs/test_volumes_shown.py", "tests/cli/test_output.py"),
    ),
)

SETTINGS = (
    Mutant(
        "setting_below_its_lower_limit_accepted",
        "adclip/settings/setting.py",
        "if setting.at_least is not None:",
        "if setting.at_least:",
        ("tests/cli/test_from_settings.py::test_an_error_of_a_settings_file_names_the_file",),
    ),
    Mutant(
        "what_is_no_number_accepted_as_one",
        "adclip/settings/setting.py",
        "if not smallest <= value < math.inf:",
        "if value < smallest:",
        ("tests/settings/test_setting.py::test_limits_hold_from_python_and_on_the_command_line_alike",),
    ),
    Mutant(
        "setting_above_its_upper_limit_accepted",
        "adclip/settings/setting.py",
        "            if setting.at_most is not None:\n",
        "            if setting.at_most is not None and setting.at_least is None:\n",
        ("tests/settings/test_setting.py::test_limits_hold_from_python_and_on_the_command_line_alike",),
    ),
    Mutant(
        "editor_told_a_default_that_the_command_does_not_take",
        "adclip/settings/schema.py",
        "field.default if setting.default_there is SAME else setting.default_there",
        "field.default",
        ("tests/settings/test_schema.py::test_a_default_is_the_one_that_the_command_line_takes",),
    ),
    Mutant(
        "word_that_is_none_of_the_choices_accepted",
        "adclip/settings/setting.py",
        "    if choice not in choices:\n",
        '    if choice not in ", ".join(choices):\n',
        ("tests/settings/test_setting.py::test_limits_hold_from_python_and_on_the_command_line_alike",),
    ),
    Mutant(
        "orientation_that_says_one_direction_twice_accepted",
        "adclip/settings/shared.py",
        "len(text) != 3 or any(sum(letter in pair for letter in text.upper()) != 1 for pair in pairs)",
        'len(text) != 3 or any(letter not in "".join(pairs) for letter in text.upper())',
        ("tests/settings/test_setting.py::test_an_orientation_names_each_direction_once",),
    ),
    Mutant(
        "option_sets_another_setting_than_it_is_called_after",
        "adclip/model/settings.py",
        'overwritten at each block; 20 in arXiv:2509.07613")] = 20\n'
        '    prompt_depth: Annotated[int | None, Setting("Number of leading blocks with visual prompts; default all.", at_least=0)] = None\n'
        '    text_prompts: Annotated[int, Setting("Learned tokens before the words of a report; 0 for none.", at_least=0,\n'
        '        source="30 in arXiv:2509.07613")] = 30',
        'overwritten at each block; 20 in arXiv:2509.07613", flags=("--text-prompts",))] = 20\n'
        '    prompt_depth: Annotated[int | None, Setting("Number of leading blocks with visual prompts; default all.", at_least=0)] = None\n'
        '    text_prompts: Annotated[int, Setting("Learned tokens before the words of a report; 0 for none.", at_least=0,\n'
        '        source="30 in arXiv:2509.07613", flags=("--visual-prompts",))] = 30',
        ("tests/cli/test_options.py::test_an_option_changes_its_own_setting_alone[finetune-text_prompts]",),
    ),
)

CATALOGUE = (
    *LEAKS, *TRAINING, *CALIBRATION, *PREDICTION, *EXPLANATION, *IMAGING, *CLINICAL, *METRICS, *EVALUATION, *SIMULATION, *CLI, *SETTINGS,
)  # fmt: skip
