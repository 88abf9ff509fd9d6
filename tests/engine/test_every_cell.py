"""Every cell has what the tests measure it by: two oracles that agree, and a place where it explodes."""

import numpy as np

import gradflow as gf
from support import oracle, plain_network
from support.plain_network import Network
from support.problems import CANNOT_EXPLODE, EXPLODING, every_cell, kept


@every_cell
def test_the_oracles_know_its_gates(cell):
    assert sorted(oracle.SIGMOID_GATES.get(cell, ())) == sorted(gf.CELLS[cell].pinnable)
    assert sorted(plain_network.PINNABLE.get(cell, ())) == sorted(gf.CELLS[cell].pinnable)
    assert plain_network.GATES.get(cell, ("hidden",)) == gf.CELLS[cell].gates


@every_cell
def test_the_oracles_agree(cell):
    """The way back of one, and finite differences of the other."""
    weights, *arrays = oracle.draw(cell, steps=5, hidden=2)
    network = Network(cell, weights, *arrays)
    last_cost = lambda weights: oracle.costs(np, cell, False, *oracle.plain(cell, weights, *arrays))[-1]
    for name, field in weights._asdict().items():
        nudges = 1e-6 * np.eye(field.size).reshape(-1, *field.shape)
        around = [[last_cost(weights._replace(**{name: field + by})) for by in (nudge, -nudge)] for nudge in nudges]
        gradient = np.subtract(*np.transpose(around)) / 2e-6
        np.testing.assert_allclose(network.measure([4], name)[2][0], oracle.log_norm(gradient), atol=1e-6)


@every_cell
def test_what_is_bounded_stays_within_one_and_nothing_else_does(cell):
    """With large weights, over thirty steps."""
    weights, *arrays = oracle.draw(cell, steps=30)
    network = Network(cell, [40 * field for field in weights], *arrays)
    assert (np.abs(network.h).max() <= 1 + 1e-9) == gf.CELLS[cell].bounded


@every_cell
def test_it_explodes_somewhere_or_cannot(cell):
    assert (cell in EXPLODING) != (cell in CANNOT_EXPLODE), "its place is in one of the two, in support/problems.py"
    if cell in CANNOT_EXPLODE:
        assert "weight_hh" in gf.CELLS[cell].unused and kept(cell, 1.0) <= 1
