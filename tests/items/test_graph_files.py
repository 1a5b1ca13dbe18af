"""Edge lists as files: every separator, weights, ids, and lines that are wrong."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest

import traitcore as tc

ROWS = [("tea", "cup", 3.0), ("tea", "milk", 0.5), ("cup", "spoon", 2.0)]


@pytest.mark.parametrize(
    ("name", "cut"),
    [("g.csv", ","), ("g.tsv", "\t"), ("g.edg", "\t"), ("g.edgelist", " "), ("g.txt", "  "), ("g.csv.gz", ","),
     ("g.edg.bz2", "\t")],
)
def test_every_separator(tmp_path: Path, name: str, cut: str) -> None:
    text = "# a comment\n" + "".join(f"{a}{cut}{b}{cut}{w}\n" for a, b, w in ROWS) + "\n"
    opened: Any = {"gz": gzip.open, "bz2": bz2.open}.get(name.rpartition(".")[2], open)
    with opened(tmp_path / name, "wt", encoding="utf-8") as file:
        file.write(text)
    graph = tc.read_graph(tmp_path / name)
    assert graph.node_ids.tolist() == ["cup", "milk", "spoon", "tea"]
    np.testing.assert_array_equal(
        graph.adjacency.toarray(), [[0, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0], [3, 0.5, 0, 0]]
    )
    both = tc.read_graph(tmp_path / name, directed=False)
    np.testing.assert_array_equal(both.adjacency.toarray(), graph.adjacency.toarray() + graph.adjacency.toarray().T)


@pytest.mark.parametrize("weighted", [True, False])
def test_what_networkx_writes(tmp_path: Path, weighted: bool) -> None:
    graph = networkx.gnm_random_graph(30, 60, seed=1, directed=True)
    for a, b in graph.edges:
        graph[a][b]["weight"] = 1 + (3 * a + b) % 5 if weighted else 1
    if weighted:
        networkx.write_weighted_edgelist(graph, tmp_path / "g.edgelist")
    else:
        networkx.write_edgelist(graph, tmp_path / "g.edgelist", data=False)
    found = tc.read_graph(tmp_path / "g.edgelist")
    assert found.node_ids.dtype == np.int64
    nodes = found.node_ids.tolist()
    assert nodes == sorted(n for n in graph if graph.degree(n))
    np.testing.assert_array_equal(found.adjacency.toarray(), networkx.to_numpy_array(graph, nodelist=nodes))


def test_ids_keep_their_spelling(tmp_path: Path) -> None:
    """Numbers are ints only where no text would be lost: "007" is not 7; a raw id of 10 digits is one node."""
    path = tmp_path / "g.csv"
    path.write_text("007,7\n")
    assert tc.read_graph(path).node_ids.tolist() == ["007", "7"]
    path.write_text("9999999999,7\n")
    assert tc.read_graph(path).node_ids.tolist() == [7, 9999999999]
    path.write_text("c#,f#\n")
    assert tc.read_graph(path).node_ids.tolist() == ["c#", "f#"]
    path.write_text('"a, b",caf\u00e9\n', encoding="utf-8")
    assert tc.read_graph(path).node_ids.tolist() == ["a, b", "caf\u00e9"]


def test_a_line_of_names_and_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("source,target,weight\na,b,2\n")
    assert tc.read_graph(path, header=True).adjacency.data.tolist() == [2.0]
    path.write_text("")
    assert tc.read_graph(path).n_nodes == 0
    path.write_text("a|b\n")
    assert tc.read_graph(path, delimiter="|").n_edges == 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\nc,d,1\n", "column"),
        ("a,b,1,2\n", r"2 columns .* Got 4: \['a', 'b', '1', '2'\]"),
        ("a b\n", "Got 1: .* Another 'delimiter'"),
        ("source,target,weight\na,b,2\n", "edge 1 has the weight 'weight', .*header=True"),
        ("a,b,2\na,c,x\n", "edge 2 has the weight 'x'"),
        ("a,b,2\na,c,-1\n", "edge 2 has the weight -1; it must be a number >= 0"),
        ("a,b,nan\n", "edge 1 has the weight nan"),
    ],
)
def test_lines_that_are_no_edges_are_named(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(ValueError, match=match) as error:
        tc.read_graph(tmp_path / "g.csv")
    assert "g.csv" in str(error.value)


def test_options_of_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'key' parameter of read_graph must be None for an edge list"):
        tc.read_graph(tmp_path / "g.csv", key="network")
    with pytest.raises(ValueError, match=r"'delimiter' parameter of read_graph must be left out for a \.mat file"):
        tc.read_graph(tmp_path / "g.mat", delimiter=",")
    with pytest.raises(TypeError, match="'header' parameter of read_graph must be True or False"):
        tc.read_graph(tmp_path / "g.csv", header="no")
    with pytest.raises(FileNotFoundError):
        tc.read_graph(tmp_path / "g.csv")
