"""Tasks: what the machinery asks of one, the two classifications, and how their cases are drawn."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from radnet3d.errors import ParamsError, SplitError, TableError
from radnet3d.models.building import build_classifier
from radnet3d.models.checkpoint import Checkpoint, patient_digests, save_checkpoint
from radnet3d.models.heads import RadNet
from radnet3d.models.resnet3d import initialise
from radnet3d.params import Input, TaskCases, Volumes
from radnet3d.runs import FinetuneRun, read_run
from radnet3d.tables import CLASSIFIED, TASK_CASES, check_table
from radnet3d.training.finetuning import finetune
from radnet3d.training.tasks import Task
from radnet3d.training.tasks.body_region import BodyRegion
from radnet3d.training.tasks.classification import class_weights
from radnet3d.training.tasks.drawing import draw_cases, even_subsets, labels_of_truth
from radnet3d.training.tasks.phase import Phase
from radnet3d.training.tasks.registry import TASKS
from radnet3d.vocabulary import TASK_CLASSES
from support.tiny_training import NETWORK, SHAPE, write_classified, write_run

PHASES = ("native", "arterial", "portal")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_classified(tmp_path_factory.mktemp("phase"), PHASES)


def a_run(tmp_path, inputs, **changed) -> FinetuneRun:
    factors = {"task": "phase", "n_train": 6, **changed.pop("factors", {})}
    changed = {"task": {"classes": list(PHASES)}, "proposal": None, **changed}
    return read_run(write_run(tmp_path / "run.json", "finetune", factors, inputs, **changed), FinetuneRun)


def pretrained(path, patients=("P00",)):
    model = RadNet(NETWORK)
    initialise(model, torch.Generator().manual_seed(9))
    volumes = Volumes(shape_zyx=SHAPE, correct_tilt=False, n_per_series_max=1)
    checkpoint = Checkpoint(
        kind="pretrain", network=NETWORK, input=Input(ct_window_hu=(-200, 300)), volumes=volumes, precision="bf16",
        patients=patient_digests(patients), weights=model.state_dict(),
    )  # fmt: skip
    save_checkpoint(checkpoint, path)
    return str(path)


class Brightness(Task):
    """A made-up third task: is the mean brightness above a half; it is scored by how near the answer is."""

    metric = "nearness"
    schema = TASK_CASES

    def build(self):
        return build_classifier(self.run.settings.architecture, n_classes=1, trains=self.run.factors.trains)

    def volumes(self, case_ids):
        numbers = [int(case_id.rsplit(".")[-1]) for case_id in case_ids]
        return torch.stack([torch.full((1, *SHAPE), (number % 4) / 4) for number in numbers])

    def losses(self, model, case_ids, recipe, device):
        volumes = self.volumes(case_ids)
        return lambda step: {"loss": functional.mse_loss(model(volumes)[:, 0], volumes.mean((1, 2, 3, 4)))}

    def evaluate(self, model, case_ids, recipe, device):
        volumes = self.volumes(case_ids)
        with torch.inference_mode():
            away = (model(volumes)[:, 0] - volumes.mean((1, 2, 3, 4))).abs()
        return pd.DataFrame({"case_id": case_ids, "nearness": 1 - away.numpy()})

    def metrics(self, cases):
        return {"worst": float(cases["nearness"].min())}


def test_a_third_task_needs_its_class_and_nothing_else(tmp_path, inputs):
    run = a_run(tmp_path, inputs, factors={"task": "brightness", "n_train": 4}, finetune__steps=30)
    done = finetune(run, Brightness(run))
    assert done.metrics["task"] == "brightness" and done.metrics["metric"] == "nearness"
    assert done.metrics["nearness_mean"] == pytest.approx(done.cases["nearness"].mean()) and "worst" in done.metrics
    assert list(done.cases["case_id"]) == [f"1.3.{n:02d}" for n in range(8)]  # the test cases of the split
    assert done.history["value"].iloc[-1] < done.history["value"].iloc[0]


def test_phases_are_learned_and_scored_by_the_patient(tmp_path, inputs):
    run = a_run(tmp_path, inputs, finetune__steps=40, finetune__batch_size=6)
    done = finetune(run, Phase(run))
    cases = check_table(done.cases, CLASSIFIED, name="cases")
    assert cases["case_id"].is_unique and set(cases["label"]) == set(PHASES)
    assert done.metrics["correct_mean"] == cases["correct"].mean() > 0.8
    recall = [cases.loc[cases["label"] == name, "correct"].mean() for name in PHASES]
    assert done.metrics["balanced_accuracy"] == pytest.approx(np.mean(recall))
    assert done.checkpoint.proposer is None and len(done.checkpoint.patients) == 6
    assert finetune(run, Phase(run)).cases.equals(done.cases)


@pytest.mark.parametrize("trains", ["all", "probe"])
def test_regions_start_from_a_pretrained_encoder(tmp_path, trains):
    regions = ("head", "chest")
    factors = {"task": "body_region", "init": "pretrained", "n_train": 4, "trains": trains}
    given = {**write_classified(tmp_path / "regions", regions, n_cases=12), "encoder": pretrained(tmp_path / "p.pt")}
    run = a_run(tmp_path, given, factors=factors, task={"classes": list(regions)})
    done = finetune(run, BodyRegion(run))
    assert done.transfer is not None and done.transfer.fraction_loaded == 1
    first = torch.load(tmp_path / "p.pt", weights_only=True)["weights"]["encoder.stem.weight"]
    assert torch.equal(done.checkpoint.weights["encoder.stem.weight"], first) == (trains == "probe")


def test_a_patient_whom_pretraining_saw_is_refused(tmp_path, inputs):
    leaking = {**inputs, "encoder": pretrained(tmp_path / "leak.pt", patients=["T01"])}
    run = a_run(tmp_path, leaking)
    with pytest.raises(SplitError, match="among the data of the 'pretrain' checkpoint"):
        finetune(run, Phase(run))


def test_faults_of_a_classification_are_named(tmp_path, inputs):
    with pytest.raises(ParamsError, match="settings.task with the classes of phase"):
        Phase(a_run(tmp_path, inputs, task=None))
    run = a_run(tmp_path, inputs, task={"classes": ["native", "arterial"]})
    with pytest.raises(TableError, match="found the label 'portal', wanted one of"):
        finetune(run, Phase(run))
    run = a_run(tmp_path, inputs, volumes__shape_zyx=[8, 8, 8])
    with pytest.raises(TableError, match=r"found a volume of \(16, 16, 16\), wanted \(8, 8, 8\)"):
        finetune(run, Phase(run))


def test_classes_weigh_alike():
    weights = class_weights([0, 0, 0, 1], 3)
    assert weights * [3, 1, 0] == pytest.approx([2, 2, 0])
    assert class_weights([0, 1, 1, 0], 2).tolist() == [1, 1]


def test_any_size_of_volume_gets_one_logit_a_class():
    assert build_classifier(NETWORK, n_classes=3, trains="all")(torch.rand(2, 1, 9, 11, 13)).shape == (2, 3)


def test_registered_tasks_are_those_that_parameters_may_name():
    assert list(TASKS) == ["liver", *TASK_CLASSES]


def test_truth_becomes_labels():
    truth = pd.DataFrame({
        "SeriesInstanceUID": list("abcdefg"), "kind": ["volume"] * 6 + ["derived"],
        "sequence": ["CT", "CT", "T1", "CT", "CT", "CT", "CT"],
        "regions": ["abdomen", "abdomen;pelvis", "abdomen", "head;neck", "wholebody", "abdomen;chest", "abdomen"],
        "phase": ["portal", "native", "arterial", "arterial", "native", "arterial;portal", "portal"],
    })  # fmt: skip
    phases = labels_of_truth(Phase, truth).set_index("SeriesInstanceUID")["label"]
    assert phases.to_dict() == {"a": "portal", "b": "native"}
    regions = labels_of_truth(BodyRegion, truth).set_index("SeriesInstanceUID")["label"]
    assert regions.to_dict() == {"a": "abdomen", "c": "abdomen", "d": "neck"}


def drawing(n_native=20, n_arterial=6, n_both=4, **changed):
    """An archive of patients with one or two phases; volumes, patients, labels and settings."""
    offered = [("native",)] * n_native + [("arterial",)] * n_arterial + [("native", "arterial")] * n_both
    rows = [(f"P{patient:02d}", label) for patient, labels in enumerate(offered) for label in labels]
    rows += [("seen", "native"), ("P00", "native"), ("P01", "native")]  # pretraining's patient; further series of two
    volumes = pd.DataFrame({
        "SeriesInstanceUID": [f"1.{n}" for n in range(len(rows))], "PatientID": [patient for patient, _ in rows],
        "volume": 0, "volume_of": "", "is_whole": True, "path": "x.npy", "file": "volumes/x.npy", "intensity": "hu",
    })  # fmt: skip
    labels = volumes[["SeriesInstanceUID"]].assign(label=[label for _, label in rows])
    patients = pd.DataFrame({"PatientID": volumes["PatientID"].unique()})
    patients["split"] = np.where(patients["PatientID"] == "seen", "train", "tasks")
    settings = {
        "labels": "truth", "classes": ["native", "arterial"], "seed": 0, "n_test": 6, "n_validation": 4,
        "n_train": {2: 2, 4: 1}, **changed,
    }  # fmt: skip
    return volumes, patients, labels, TaskCases.model_validate(settings)


def test_cases_are_one_a_patient_and_even_as_far_as_they_go():
    cases, split, subsets = draw_cases(*drawing())
    assert cases["PatientID"].is_unique and "seen" not in set(cases["PatientID"]) and len(cases) == 30
    assert cases["label"].value_counts().to_dict() == {"native": 20, "arterial": 10}  # who has both is arterial
    counts = cases.assign(role=split["role"]).groupby(["role", "label"]).size()
    assert counts["test"].to_dict() == {"arterial": 3, "native": 3}
    assert counts["validation"].to_dict() == {"arterial": 2, "native": 2}
    labels = cases.set_index("case_id")["label"]
    for _, ranks in subsets.groupby("subset_seed"):
        first = labels[ranks.sort_values("rank")["case_id"]].tolist()
        assert len(set(first[:2])) == len(set(first[2:4])) == 2 and set(first[10:]) == {"native"}
        assert set(ranks["case_id"]) == set(split.loc[split["role"] == "train", "case_id"])
    again = draw_cases(*drawing())
    assert cases.equals(again[0]) and split.equals(again[1]) and subsets.equals(again[2])
    assert not cases.equals(draw_cases(*drawing(seed=1))[0])


def test_a_series_of_several_volumes_has_no_one_label():
    volumes, *rest = drawing()
    cases, *_ = draw_cases(volumes.assign(volume_of=np.where(volumes.index == 7, "phase=1", "")), *rest)
    assert volumes["SeriesInstanceUID"][7] not in set(cases["case_id"])


def test_too_few_patients_are_said_with_their_numbers():
    for changed, said in [
        ({"n_arterial": 2, "n_both": 0}, "arterial: found 2 patients, wanted at least 3"),
        ({"n_test": 40}, "30 patients, too few for {'test': 40"),
        ({"n_train": {50: 1}}, "leave 20 for training, n_train asks for 50"),
    ]:
        with pytest.raises(SplitError, match=said):
            draw_cases(*drawing(**changed))


def test_a_class_that_runs_out_is_passed_over():
    training = pd.DataFrame({"case_id": list("abcde"), "label": ["x", "y", "y", "y", "y"]})
    order = even_subsets(training, 1).sort_values("rank")["case_id"].tolist()
    assert "a" in order[:2] and sorted(order) == list("abcde")
