"""What lesson ten says, measured otherwise: finite differences and closed forms in float64 NumPy."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from gradflow.app.lessons import LESSONS
from gradflow.app.lessons.curse_of_memory import NEAR, OTHER_RATE, RATE, TARGETS, descend, respond
from gradflow.app.measurement import measure

pytestmark = pytest.mark.slow
(HARD,) = (lesson for lesson in LESSONS if lesson.title == "Nothing explodes, and it is still hard")


def states(rho, scaled):
    """h(s) = Σ_u ρ^u g x(s−u), by its definition, of `respond`'s noise."""
    noise = np.random.default_rng(0).standard_normal((512, 48))
    powers = rho ** np.arange(512)
    scale = math.sqrt(1 - rho**2) if scaled else 1.0
    return scale * np.array([powers[: s + 1][::-1] @ noise[: s + 1] for s in range(128, 512)])


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("rho", [0.85, 0.97])
def test_the_unit_and_its_derivative(rho, scaled):
    h, dh = respond(rho, scaled)
    np.testing.assert_allclose(h, states(rho, scaled), rtol=1e-9, atol=1e-9)
    steps = (states(rho + 1e-6, scaled) - states(rho - 1e-6, scaled)) / 2e-6
    np.testing.assert_allclose(dh, steps, rtol=1e-5, atol=1e-5)


def curvature(target, of, scaled):
    """The second derivative at the target of the mean of ½ (h − h*)², by central differences of the parameter."""
    parameter, back = of
    wanted, at = states(target, scaled), parameter(target)
    cost = lambda value: np.mean((states(back(value), scaled) - wanted) ** 2) / 2
    by = 1e-3 * (1 - target) if at > 0 else 1e-3
    return (cost(at + by) + cost(at - by)) / by**2


def test_a_rate_learns_where_it_is_below_two_over_the_curvature():
    """Gradient descent on a parabola a x² / 2 ends at 0 where the rate is below 2 / a, and leaves it above."""
    itself = (lambda rho: rho, lambda rho: rho)
    power = (lambda rho: math.log(-math.log(rho)), lambda nu: math.exp(-math.exp(nu)))
    for target in TARGETS:
        learns = RATE * curvature(target, itself, False) < 2
        step, rho = descend(target, RATE, False)
        assert learns == (step is not None) == (target == 0.9)
        assert learns or not 0 <= rho < 1
        assert OTHER_RATE * curvature(target, power, True) == pytest.approx(0.25, abs=0.08)
        step, rho = descend(target, OTHER_RATE, True)
        assert step and abs(rho - target) < 0.01 * (1 - target)


def test_a_rate_that_is_far_too_small_does_not_arrive():
    step, rho = descend(0.9, 1e-6, False)
    assert step is None and 0.85 <= rho < 0.86


@pytest.mark.parametrize("gain, scale", [(0.95, 1.0), (0.5, 1.0), (0.95, 0.312)])
def test_the_headline_is_the_draw_and_the_limit_over_draws(gain, scale):
    scenario = replace(NEAR, gain=gain, input_gain=scale)
    problem = scenario.problem()
    w_ih, *_ = (np.asarray(each, float) for each in problem["weights"])
    h = total = 0.0
    for x in np.asarray(problem["inputs"], float)[: scenario.horizon]:
        h, total = gain * h + (w_ih @ x).item(), h + gain * total
    now, limit = map(float, re.search(r"the sum is (\S+) times .* tends to (\S+) times", headline(scenario)).groups())
    assert now == pytest.approx(abs(total), rel=5e-3)
    assert limit == pytest.approx(scale * math.sqrt((1 + gain**2) / (1 - gain**2) ** 3), rel=5e-3)


def headline(scenario):
    return HARD.headline(measure(scenario), HARD.view)


def test_another_networks_headline_does_not_promise_the_limit():
    assert "tends" not in headline(replace(NEAR, weight="bias_hh"))
    assert "tends" not in headline(replace(NEAR, gain=1.0))


def test_the_sums_of_the_verdicts_near_their_limits():
    numbers = {verdict.word + verdict.case[:4]: verdict.evidence().numbers for verdict in HARD.verdicts}
    size = [float(each) for each in re.findall(r"\d+\.?\d*", numbers["falseof t"])]
    rhos, bias = np.array(size[:3]), size[-3:]
    assert bias == pytest.approx(1 / (1 - rhos), rel=0.01)
    dh = respond(0.95, False)[1]
    assert size[4] == pytest.approx(np.sqrt(np.mean(dh**2)), rel=0.15)
    mild = [float(each) for each in re.findall(r"\d+\.?\d*", numbers["falsemild"].split("limits")[0])]
    assert mild[3:6] == pytest.approx(np.sqrt(1 + rhos**2) / (1 - rhos**2), rel=0.15)
