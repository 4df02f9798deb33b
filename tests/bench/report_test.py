"""The arithmetic of the results: ratios, bounds, validity, targets; and what is made of them."""
import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cases
import programs
import quiet
import report
import rows
from rows import make_row

ZEN3 = {"isa": "avx2", "vendor": "AuthenticAMD", "family": 25}
ELSEWHERE = {"isa": "avx2", "vendor": "GenuineIntel", "family": 6}
KEYS = {"case", "threads", "ours", "peer", "ratio", "bound_fraction", "must", "aim", "met", "samples"}


def results(some):
    machine = {**ZEN3, "cpu": "Some CPU (R) 7", "model": 1, "cores": [0, 1], "vectors": "avx2",
               "dot_product": "vpmaddubsw", "instruction_sets": ["avx2"]}
    return {"date": "2026-11-21T10:00:00Z", "commit": "abc", "rounds": 3, "machine": machine, "rows": some,
            "peaks": [{"store": "s", "threads": 1, "read_bytes_per_s": 2e10, "multiply_adds_per_s": 1.5e11}]}


def decode(ours=(200, 210, 190), peer=(100, 90, 110), threads=1, machine=ELSEWHERE, **more):
    return make_row("decode", threads, machine, {"ours": list(ours), "peer": list(peer)}, **more)


def test_a_row_has_the_median_the_ratio_and_the_spread():
    row = decode(bound=400)
    assert KEYS <= set(row)
    assert (row["ours"], row["peer"], row["ratio"], row["bound_fraction"]) == (200, 100, 2.0, 0.5)
    assert row["spread"] == {"ours": 0.1, "peer": 0.2}
    assert (row["must"], row["aim"], row["met"], row["aim_met"]) == (1.8, 2.4, True, False)


@pytest.mark.parametrize("ours, met, aim_met", [(179, False, False), (180, True, False), (240, True, True)])
def test_met_is_decided_at_the_limit(ours, met, aim_met):
    row = decode([ours], [100])
    assert (row["met"], row["aim_met"]) == (met, aim_met)


def test_nothing_is_faster_than_its_bound():
    """A bound below what was measured was measured badly."""
    assert decode([300, 350, 310], bound=320)["bound"] == 350
    assert decode([300, 350, 310], bound=320)["bound_fraction"] == pytest.approx(310 / 350)


def test_a_time_ratio_is_the_slowdown_and_must_be_small():
    row = make_row("context-kv16", 1, ZEN3, {"ours": [50], "peer": [80]}, time_ratio=True)
    assert row["ratio"] == 1.6 and row["met"] is True and row["aim_met"] is False


@pytest.mark.parametrize("peer, valid", [(67, False), (68, True)])
def test_a_peer_that_was_disturbed_makes_the_row_invalid(peer, valid):
    row = decode([1000], [peer], machine=ZEN3)  # 85 % of 79.
    assert (row["invalid"] is None) == valid
    assert row["met"] is (True if valid else None)
    assert decode([1000], [peer])["invalid"] is None  # Of such a machine nothing is known.


def test_every_case_of_the_table_is_measured_and_named():
    measured = set(report.TITLES)
    aimed = {case for line in rows.TABLE["targets"] for case in line["cases"]}
    assert {case for case in aimed if not case.startswith("synthetic-")} == measured
    assert set(rows.TABLE["orientation"][0]["peer"]) <= measured
    for case in aimed:
        assert report.title({"case": case})


def test_the_table_is_the_issues():
    """One line of each kind, by hand."""
    line = lambda *key: (rows.target(*key)["must"], rows.target(*key)["aim"])
    assert line("decode-bandwidth", 2, "avx2") == (0.75, 0.9)
    assert line("decode-bandwidth", 1, "vnni") == (0.7, 0.85)
    assert line("prefill-16", 1, "avx2") == (2.0, 3.0)
    assert line("prefill-8", 2, "vnni") == (4.0, 6.0)
    assert line("context-kv8", 2, "avx2") == (1.4, 1.25)
    assert line("batch-32", 2, "avx2") == (3.0, 5.0)
    assert line("ranks-3-prefill", 3, "avx2") == (0.5, 0.8)
    assert line("synthetic-q4_0-prefill-16", 1, "vnni") == (1.2, None)
    with pytest.raises(KeyError, match="decode with 3 threads"):
        rows.target("decode", 3, "avx2")


def test_prefill_bound_counts_planes_and_heads():
    figures = {"activation_bits": 16, "layer_multiply_adds": 900, "head_multiply_adds": 1000}
    peak = {"multiply_adds_per_s": 1e6}
    assert cases.prefill_bound(peak, figures, 10, 1) == 1e6 / (2 * (900 + 100))
    assert cases.prefill_bound(peak, {**figures, "activation_bits": 8}, 10, 10) == 1e6 / 1900


def test_runs_are_interleaved_and_peaks_are_kept():
    calls = []
    say = lambda word, value=None: lambda: calls.append(word) or value
    lab = cases.Lab(None, None, ZEN3, {}, None, rounds=3, quiet=quiet.QuietMoments(lambda: [1], 0))
    samples = lab.interleave(a=(say("a", 1), say("behind a")), b=say("b", 2))
    assert calls == ["a", "behind a", "b"] * 3 and samples == {"a": [1, 1, 1], "b": [2, 2, 2]}

    class Ours:
        looks = iter([(5, 1), (3, 9)])

        def machine(self, store, threads):
            read, dot = next(self.looks)
            return {"read_bytes_per_s": read, "multiply_adds_per_s": dot}

    lab.ours = Ours()
    for _ in range(2):
        lab.measure_peaks(Path("store"), 1)
    assert lab.peaks["store", 1] == {"read_bytes_per_s": 5, "multiply_adds_per_s": 9}


def test_processors_that_share_a_core_count_once():
    assert len(programs.distinct_cores(2)) <= 2
    assert programs.distinct_cores(1, mask={10**6, 10**6 + 1}) == [10**6]


def test_markdown_says_what_counts():
    some = [decode([200], [100], bound=400), decode([1000], [10], threads=2, machine=ZEN3),
            make_row("first-token", 2, ZEN3, {"ours": [0.2]}, unit="s"),
            make_row("decode-bandwidth", 1, ZEN3, {"ours": [8.0]}, unit="GB/s", bound=20.0)]
    lines = report.markdown(results(some)).splitlines()
    assert lines[2] == "| decode | 1 | 200 | 100 | 2.00x | 50% | 1.80x | 2.40x | yes |"
    assert lines[3].endswith("| invalid |")
    first_token = "| process start to first token, prompt of 16 | 2 | 0.20 s |"
    assert lines[4] == first_token + "  |  |  | ≤ 0.35 s | ≤ 0.15 s | yes |"
    assert lines[5] == "| decode, bytes of weights per second | 1 | 8.00 GB/s |  |  | 40% | 45% | 60% | no |"
    some[0]["kl"] = {"nats": 2.5e-3, "tokens": 1022}
    notes = report.notes(results(some))
    assert "2.5e-03 nats per token over 1022 tokens" in notes
    some[0]["busy"]["peer"] = 1
    found = report.notes({**results(some), "quiet": {"least_share": 0.9, "rejected": 7, "best": [], "busy": 1}})
    assert "at least 90% of its best speed of this run" in found and "7 samples were taken again" in found
    assert "Busy all the same: decode, threads 1: 1 of 1 (peer)." in found
    some[1]["busy"].update(ours=1, peer=1)
    assert len(report.busy_lines(some[:2])) == 3
    some[0]["busy"]["ours"] = 1
    (only,) = report.busy_lines(some[:2])
    assert "100% of the samples" in only
    assert "this run was disturbed" in notes and "20.0 GB/s read, 150 GMAC/s" in notes


def test_the_readme_changes_between_the_markers_alone(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# A\n{report.BEGIN}\nold\n{report.END}\n## B\n")
    for _ in range(2):  # The second time changes nothing.
        report.update_readme(results([decode()]), tmp_path / "bench/x.json", readme)
        text = readme.read_text()
        assert text.startswith(f"# A\n{report.BEGIN}\n![") and text.endswith(f"{report.END}\n## B\n")
        assert "old" not in text and "(bench/x.svg)" in text and text.count("| decode |") == 1
    readme.write_text("no markers")
    with pytest.raises(SystemExit, match="expected one"):
        report.update_readme(results([decode()]), tmp_path / "x.json", readme)


def test_the_projects_readme_has_the_markers():
    text = (programs.ROOT / "README.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


def test_files_are_written_and_named_by_date_and_processor(tmp_path):
    pytest.importorskip("matplotlib")
    path = report.write(results([decode(bound=400)]), tmp_path)
    assert path.name == "2026-11-21-some-cpu-r-7.json"
    assert json.loads(path.read_text())["rows"][0]["case"] == "decode"
    first = path.with_suffix(".svg").read_text()
    report.write(results([decode(bound=400)]), tmp_path)
    assert first.startswith("<?xml") and path.with_suffix(".svg").read_text() == first
    assert re.search(r"!\[.*\]\(2026-11-21-some-cpu-r-7\.svg\)", path.with_suffix(".md").read_text())


def test_checked_in_results_are_the_tables_own():
    """What a results file says was met follows from its figures and the table."""
    for path in (programs.ROOT / "bench/results").glob("*.json"):
        for row in json.loads(path.read_text())["rows"]:
            line = rows.target(row["case"], row["threads"], row["isa"])
            assert (row["must"], row["aim"]) == (line["must"], line["aim"]), path
            expected = None if row["invalid"] else rows.reaches(row[line["figure"]], line["must"], line["sense"])
            assert row["met"] == expected, (path, row["case"])
