"""Blocks of t over several devices and processes, and several problems in one call: always the same numbers."""

import socket
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

import gradflow as gf
from gradflow import maps
from gradflow.engine import schedule
from gradflow.engine.reference import whole_gradient
from support import oracle
from support.subprocesses import json_of, start_python

pytestmark = pytest.mark.slow

ASK = """
import json, sys, jax, numpy as np, gradflow as gf
from support import oracle
from jax.sharding import Mesh
arrays = jax.tree.map(np.float32, oracle.draw("lstm", steps=150, hidden=4))
def answer(mesh=None):
    gmap = gf.gradient_map("lstm", *arrays, mesh=mesh)
    past = np.tril_indices(150)
    return [gmap.log_terms()[past].tolist(), gmap.log_sums().tolist(), gmap.unscaled_terms("all")[past].tolist()]
"""


def start(code, *arguments, devices=1):
    flags = f"--xla_force_host_platform_device_count={devices}"
    return start_python("-c", code, *arguments, JAX_PLATFORMS="cpu", XLA_FLAGS=flags)


def test_any_number_of_devices_gives_the_same_numbers():
    code = """
devices = jax.devices()
meshes = [Mesh(np.array(devices[:count]), "t") for count in (1, 2, 4, 8)]
print(json.dumps([answer(), *map(answer, meshes)]))
"""
    alone, *shared = json_of(start(ASK + code, devices=8))
    assert len(shared) == 4
    for each in shared:
        for given, expected in zip(each, alone, strict=True):
            np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5)


def test_two_processes_share_the_work():
    """Each has two devices of its own, and both get all numbers."""
    code = """
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
assert len(jax.devices()) == 4 and len(jax.local_devices()) == 2
print(json.dumps(answer(Mesh(np.array(jax.devices()), "t"))))
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [start(ASK + code, address, number, devices=2) for number in (0, 1)]
    alone = json_of(start(ASK + "print(json.dumps(answer()))"))
    with ThreadPoolExecutor() as threads:  # neither ends before the other
        answers = list(threads.map(json_of, processes))
    for each in answers:
        for given, expected in zip(each, alone, strict=True):
            np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("room", [0, 2**28])
@pytest.mark.parametrize("block_size", [1, 7, 64])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn-tanh"])
def test_the_size_of_a_block_and_what_is_kept_change_nothing(cell, block_size, room, monkeypatch):
    arrays = jax.tree.map(np.float32, oracle.draw(cell, steps=40))
    whole = gf.gradient_map(cell, *arrays)
    monkeypatch.setattr(schedule, "ROOM", room)
    monkeypatch.setattr(maps, "choose_block_size", lambda n, steps: block_size)
    cut = gf.gradient_map(cell, *arrays)
    for _ in range(2):
        for weight in ("weight_hh", "all"):
            np.testing.assert_allclose(cut.log_sums(weight), whole.log_sums(weight), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(cut.log_terms(weight), whole.log_terms(weight), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(cut.unscaled_terms(weight), whole.unscaled_terms(weight), rtol=1e-4)
        np.testing.assert_allclose(cut.log_terms(horizon=23), whole.log_terms()[:23, :23], rtol=1e-5, atol=1e-5)
    assert bool(cut._cache.results("norms")) == (room > 0)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn-tanh"])
@pytest.mark.parametrize("hidden", [63, 64, 128])
def test_every_form_of_the_product_gives_the_gradient_of_the_shared_weight(cell, hidden):
    """The sum over lags is what `jax.grad` gives, at sizes where W_hhᵀ δ takes another form."""
    arrays = jax.tree.map(np.float32, oracle.draw(cell, steps=20, hidden=hidden))
    arrays = (arrays[0]._replace(weight_hh=arrays[0].weight_hh / np.float32(np.sqrt(hidden))), *arrays[1:])
    gmap = gf.gradient_map(cell, *arrays)
    for t in (3, 19):
        gradient = whole_gradient(cell, *arrays, t).weight_hh
        np.testing.assert_allclose(gmap.log_sums()[t], np.log(np.linalg.norm(gradient)), rtol=1e-3)
    by_lag = gf.lag_terms(cell, *arrays, 19).log_terms()
    np.testing.assert_allclose(gmap.log_terms()[19, :20], by_lag, rtol=1e-4, atol=1e-4)


def problems(cell, count=3):
    """Other weights, sequences, masks and carries for each."""
    for seed in range(count):
        weights, inputs, readout, targets = jax.tree.map(np.float32, oracle.draw(cell, seed=seed))
        targets[seed] = np.nan
        carry = tuple(map(np.float32, oracle.draw_carry(cell, seed=seed)))
        pins = dict.fromkeys(oracle.SIGMOID_GATES.get(cell, ())[:1], (0.25, np.nan, 1.0)[seed])
        names = ("cell", "weights", "inputs", "readout", "targets", "pins", "carry")
        yield dict(zip(names, (cell, weights, inputs, readout, targets, pins, carry), strict=True))


@pytest.mark.parametrize("cell", gf.CELLS)
def test_several_problems_in_one_call_are_as_many_calls(cell):
    asked = list(problems(cell))
    together = gf.gradient_maps(asked)
    assert len(together) == len(asked)
    for gmap, each in zip(together, asked, strict=True):
        alone = gf.gradient_map(**each)
        for weight in (*gf.Weights._fields, "all"):
            np.testing.assert_allclose(gmap.log_terms(weight), alone.log_terms(weight), rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(gmap.log_sums(weight), alone.log_sums(weight), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(gmap.lags(7).log_partial_sums(), alone.lags(7).log_partial_sums(), atol=1e-4)
        np.testing.assert_allclose(gmap.cost, alone.cost, rtol=1e-5)
        assert gmap.device == alone.device


def test_a_blow_up_in_one_of_several_problems_stays_its_own():
    asked = list(problems("rnn-linear"))
    asked[1]["weights"] = asked[1]["weights"]._replace(weight_hh=asked[1]["weights"].weight_hh * np.float32(1e30))
    assert [gmap.overflow is None for gmap in gf.gradient_maps(asked)] == [True, False, True]


def test_problems_of_two_sizes_are_refused():
    one, other, _ = problems("gru")
    other["readout"] = other["readout"].astype(np.float64)
    with jax.enable_x64(True), pytest.raises(ValueError, match="2 kinds"):
        gf.gradient_maps([one, other])
    assert gf.gradient_maps([]) == []
