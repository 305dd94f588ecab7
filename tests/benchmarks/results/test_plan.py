from pathlib import Path

from benchmarks.results.plan import Cell, chosen, whole_table
from benchmarks.results.subjects import NETWORKS


def test_every_search_comes_once_and_the_most_telling_first() -> None:
    cells = whole_table()
    assert len(set(cells)) == len(cells)
    first = cells[: 2 * len(NETWORKS)]
    assert [cell.network for cell in first[::2]] == list(NETWORKS)
    assert {(c.hardware, c.repair, c.seed) for c in first} == {("scalable_sparse_16x32", "t1", 0)}
    assert {c.method for c in first} == {"composite", "dp"}
    repaired = [c.repair for c in cells if c.repair != "none"]
    assert repaired == sorted(repaired)
    assert {c.method for c in cells if c.repair == "none"} == {"balaskas2023"}
    assert {c.seed for c in cells if c.hardware == "npu_int8" or c.method == "uniform"} == {0}


def test_filters_leave_what_passes_all_of_them() -> None:
    cells = chosen(networks=["vdsr", "mobilenet_v2"], methods=["composite"], repairs=["t2"], seeds=[1])
    assert cells == [
        Cell("mobilenet_v2", "scalable_sparse_16x32", "t2", "composite", 1),
        Cell("vdsr", "scalable_sparse_16x32", "t2", "composite", 1),
    ]
    assert chosen() == whole_table()


def test_one_search_serves_all_goals() -> None:
    weights, data = Path("weights"), Path("data")
    job = Cell("vdsr", "npu_int8", "t2", "dp", 0).job(weights, data)
    assert (job.max_drop, job.settings) == (0.2, {"goals": [0.1], "repair": "t2"})
    assert job.subject.data == "set5:data?scale=2&train=data/imagenet/train"
    assert job.subject.weights == "weights/sr_vdsr.safetensors"
    few = Cell("vdsr", "npu_int8", "t2", "dp", 0).job(weights, data, 20)
    assert (job.evaluations, few.evaluations) == (200, 20)
    assert job.id != few.id
