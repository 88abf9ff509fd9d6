"""Each definition on terms whose reading is known in closed form."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflow.reading import (
    WORDS,
    coherence,
    growth,
    in_words,
    log_share,
    memory,
    number,
    per_step_factor,
    read,
    regime,
    share,
)

T = 100
FACTORS = [0.2, 0.8, 0.96, 1.0, 1.04, 1.1, 3.0]
ZERO = -np.inf


def geometric(factor, lags=T, size=1.0):
    """log of size · factor^u."""
    return math.log(size) + np.arange(lags) * math.log(factor)


def geometric_sums(factor, steps=T):
    """log of Σ_{u≤t} factor^u at each t."""
    return np.logaddexp.accumulate(geometric(factor, steps))


def reading_of(row, sums=None, residual=None, overflow=None, underflow=None, partial=None, delta=None, chaos=None):
    """Terms that share a sign, and their reading at the last t; of a bias, unless δ is given."""
    if partial is None:
        partial = row if overflow is not None else np.logaddexp.accumulate(row)
    sums = partial if sums is None else sums
    residual = np.zeros(len(row)) if residual is None else residual
    delta = row if delta is None else delta
    return read(row, delta, partial, sums, residual, overflow, underflow, len(row) - 1, moved(chaos, len(sums)))


def moved(chaos, steps=T, by=1.0):
    """By how much each step is moved by other last digits: nothing before the step `chaos`."""
    return None if chaos is None else np.where(np.arange(steps) < chaos, 0.0, by)


def claimed(reading):
    return dict(reading.claims)


log_rows = st.lists(st.one_of(st.floats(-1000, 1000), st.just(ZERO)), min_size=1, max_size=40).map(np.array)


class TestFactor:
    @pytest.mark.parametrize("factor", FACTORS)
    def test_one_linear_unit_gives_its_weight(self, factor):
        fit = per_step_factor(geometric(factor, size=0.3))
        assert fit.factor == pytest.approx(factor, rel=1e-12)
        assert fit.intercept == pytest.approx(math.log(0.3), abs=1e-11)
        assert fit.error == pytest.approx(0, abs=1e-10)
        assert (fit.first, fit.last) == (0, T - 1)

    def test_zeros_are_left_out(self):
        row = geometric(0.9)
        row[::3] = row[-1] = ZERO
        fit = per_step_factor(row)
        assert fit.factor == pytest.approx(0.9, rel=1e-12)
        assert (fit.first, fit.last) == (1, T - 2)

    def test_the_error_is_the_rms_distance(self):
        noise = np.tile([0.5, -0.5, -0.5, 0.5], 25)  # no trend and no mean
        fit = per_step_factor(geometric(0.9) + noise)
        assert fit.factor == pytest.approx(0.9, rel=1e-12)
        assert fit.error == pytest.approx(0.5)

    def test_two_terms_make_a_line_and_one_does_not(self):
        assert per_step_factor(np.array([ZERO, 1.0, ZERO, 5.0])).slope == pytest.approx(2)
        assert math.isnan(per_step_factor(np.array([ZERO, 1.0])).factor)
        assert per_step_factor(np.array([ZERO, 1.0]))[3:5] == (1, 1)
        assert math.isnan(per_step_factor(np.array([ZERO])).factor)

    def test_far_outside_the_floats(self):
        assert per_step_factor(geometric(1e-9, 200)).factor == pytest.approx(1e-9)
        assert per_step_factor(np.array([0.0, 1e4])).factor > 1e300


class TestSteady:
    """One factor is claimed only where one fits; each limit from both sides."""

    @pytest.mark.parametrize("factor", FACTORS)
    def test_a_geometric_row_is_steady_from_eight_lags_on(self, factor):
        assert per_step_factor(geometric(factor, 8)).steady
        assert not per_step_factor(geometric(factor, 7)).steady

    def test_a_zero_at_either_end_is_none_between(self):
        row = geometric(0.9)
        row[-1] = row[0] = ZERO
        assert per_step_factor(row).steady
        row[50] = ZERO
        assert not per_step_factor(row).steady

    def test_the_points_lie_within_three_times_the_line(self):
        noise = np.tile([1, -1, -1, 1], 25)
        assert per_step_factor(geometric(0.9) + 0.98 * math.log(3) * noise).steady
        assert not per_step_factor(geometric(0.9) + 1.02 * math.log(3) * noise).steady

    @pytest.mark.parametrize("bend", [1, -1])
    def test_neither_half_departs_by_more_than_four_times(self, bend):
        u = np.arange(T)
        away = np.abs(u - 49.5) * bend / 50  # each half departs by one, and the whole line is level
        assert per_step_factor(geometric(0.5) + 0.98 * math.log(4) * away).steady
        assert not per_step_factor(geometric(0.5) + 1.02 * math.log(4) * away).steady


class TestMemory:
    @pytest.mark.parametrize("factor", [0.2, 0.5, 0.8, 0.95])
    @pytest.mark.parametrize("fraction", [0.5, 0.9, 0.99])
    def test_geometric_terms(self, factor, fraction):
        expected = math.ceil(math.log(1 - fraction) / math.log(factor))
        assert memory(geometric(factor, 400), fraction) == expected

    def test_equal_terms(self):
        assert memory(np.zeros(100)) == 90
        assert memory(np.full(100, -1e5)) == 90
        assert memory(np.zeros(100), 1) == 100

    def test_growing_terms_need_nearly_all_lags(self):
        assert memory(geometric(3.0)) == T

    def test_one_lag_and_none(self):
        assert memory(np.array([ZERO] * 11 + [-5.0, ZERO])) == 12
        assert memory(np.array([ZERO] * 3)) == 0

    @pytest.mark.parametrize("fraction", [0, -0.1, 1.1, math.nan])
    def test_a_fraction_outside_its_range(self, fraction):
        with pytest.raises(ValueError, match=f"fraction is {fraction}; it must be above 0 and at most 1"):
            memory(np.zeros(3), fraction)


class TestShare:
    @pytest.mark.parametrize("factor", [0.2, 0.8, 1.1, 3.0])
    def test_geometric_terms(self, factor):
        u = np.arange(T)
        expected = (factor**u - factor**T) / (1 - factor**T)
        np.testing.assert_allclose(share(geometric(factor)), expected, rtol=1e-10)

    def test_equal_terms(self):
        np.testing.assert_allclose(share(np.full(T, 700.0)), 1 - np.arange(T) / T, rtol=1e-12)

    def test_shares_below_the_floats_stay_numbers(self):
        np.testing.assert_allclose(log_share(geometric(1e-5))[:-1], geometric(1e-5)[:-1], atol=1e-4)

    @given(log_rows)
    def test_a_share_starts_at_one_and_falls(self, row):
        part = share(row)
        assert not np.isnan(part).any()
        assert part[0] == (np.isfinite(row).any())
        assert (np.diff(part) <= 1e-12).all() and (part >= 0).all()

    @given(log_rows, st.floats(-700, 700))
    def test_size_does_not_matter(self, row, shift):
        np.testing.assert_allclose(share(row + shift), share(row), rtol=1e-9)

    @given(log_rows)
    def test_memory_is_where_the_share_falls_to_a_tenth(self, row):
        part = np.append(share(row), 0)
        lags = memory(row)
        assert part[lags] <= 0.1 + 1e-6
        assert lags == 0 or part[lags - 1] >= 0.1 - 1e-6


class TestCoherence:
    def test_equal_signs_alternating_signs_and_random_directions(self):
        row = np.full(T, 50.0)
        assert coherence(row, 50 + math.log(T)) == pytest.approx(1)
        assert coherence(row, ZERO) == 0
        assert coherence(row, 50 + math.log(T) / 2) == pytest.approx(1 / math.sqrt(T))

    def test_nothing_to_cancel(self):
        assert coherence(np.full(3, ZERO), ZERO) == 1

    @given(log_rows)
    def test_within_its_bounds(self, row):
        total = float(np.logaddexp.reduce(row))
        assert coherence(row, total) == pytest.approx(1)
        assert coherence(row, total + 1e-7) <= 1


class TestGrowth:
    @pytest.mark.parametrize("factor", [0.2, 0.8, 0.9, 1.0, 1.1, 3.0])
    @pytest.mark.parametrize("noise", [0, 0.1])
    @pytest.mark.parametrize("steps", [100, 256])
    def test_geometric_sums(self, factor, noise, steps):
        shape, said = (
            ("bounded", "settles")
            if factor < 1
            else ("linear", "grows")
            if factor == 1
            else ("exponential", "explodes")
        )
        for seed in range(8):
            rng = np.random.default_rng(seed)
            residual = 3 * rng.standard_normal(steps)  # the factor that every term of one t shares
            scatter = noise * rng.standard_normal(steps)
            found = growth(geometric_sums(factor, steps) + residual + scatter, residual, factor)
            assert (found.shape, found.said) == (shape, said)
            if shape == "exponential":
                assert found.rate == pytest.approx(factor, rel=0.01)
            if factor == 1 and not noise:
                assert found.power == pytest.approx(1)

    @pytest.mark.parametrize(
        ("power", "shape", "said"),
        [
            (-3, "fading", "fades"),
            (-0.26, "fading", "fades"),
            (-0.24, "bounded", "settles"),
            (0.24, "bounded", "settles"),
            (0.26, "sublinear", "grows"),
            (0.5, "sublinear", "grows"),
            (0.76, "linear", "grows"),
            (1.24, "linear", "grows"),
            (1.26, "polynomial", "grows"),
            (3.9, "polynomial", "grows"),
            (4.1, "unclear", "grows"),
        ],
    )
    def test_powers_of_t(self, power, shape, said):
        found = growth(power * np.log1p(np.arange(T)), np.zeros(T), 2.0)
        assert (found.shape, found.said) == (shape, said)
        assert found.power == pytest.approx(power)

    def test_what_rounding_alone_makes_of_a_settled_sum_is_no_exponential(self):
        """A δ that grows and ends, as through a chain of units: the sum is there from the first whole chain on."""
        assert growth(1e-9 * np.arange(T), np.zeros(T), 8.25).shape == "bounded"

    def test_both_halves_of_an_exponential_agree(self):
        """The second half of the rows is steeper by 24 and by 26 %."""
        t = np.arange(T)
        bent = lambda more: np.where(t < 63, 0.1 * t, 6.3 + 0.1 * more * (t - 63))
        assert growth(bent(1.2), np.zeros(T), 1.1).shape == "exponential"
        assert growth(bent(1.3), np.zeros(T), 1.1).shape != "exponential"

    def test_nothing_explodes_at_a_pace_that_does_not_grow(self):
        sums = geometric_sums(1.1)
        assert growth(sums, np.zeros(T), 1.06).shape == "exponential"
        assert growth(sums, np.zeros(T), 1.04).said != "explodes"
        assert growth(sums, np.zeros(T), math.nan).said != "explodes"

    def test_a_falling_sum(self):
        found = growth(geometric(0.8), np.zeros(T), 0.8)
        assert found.shape in ("fading", "unclear") and found.rate == pytest.approx(0.8)

    def test_pure_noise_has_no_shape(self):
        found = growth(3 * np.random.default_rng(0).standard_normal(T), np.zeros(T), 1.0)
        assert found.shape == "unclear" and found.said is None

    def test_rows_without_a_gradient_are_skipped(self):
        sums, residual = geometric_sums(1.0), np.zeros(T)
        residual[::2], sums[::2] = ZERO, ZERO  # no target
        sums[90:] = np.nan  # overflow
        found = growth(sums, residual, 1.0)
        assert found.shape == "linear" and found.power == pytest.approx(1)

    def test_too_few_rows(self):
        assert growth(np.zeros(10), np.zeros(10), 1.0).shape == "unclear"  # seven of them in the last three quarters
        assert growth(np.zeros(11), np.zeros(11), 1.0).shape == "bounded"
        assert math.isnan(growth(np.zeros(3), np.zeros(3), 1.0).rate)


def write_gate(lags=96, every=12):
    """Only the lags of the writes, each write 10 times smaller than the one after it."""
    row = np.full(lags, ZERO)
    row[every - 1 :: every] = -math.log(10) * np.arange(lags // every)
    return row


ROWS = {  # name: (terms by lag, regime)
    "vanishing": (geometric(0.8), "vanishing"),
    "vanishing below the floats": (geometric(1e-4), "vanishing"),
    "vanishing, no state before the first step": (np.append(geometric(0.8), ZERO), "vanishing"),
    "vanishing into zeros": (np.append(geometric(0.8, 50), np.full(50, ZERO)), "vanishing"),
    "vanishing slowly": (geometric(0.985), "vanishing"),
    "vanishing, tiny": (geometric(0.8, size=1e-9), "vanishing"),
    "vanishing at once": (geometric(0.01), "vanishing"),
    "vanishing through noise": (geometric(0.5) + 2 * np.random.default_rng(0).standard_normal(T), "vanishing"),
    "constant": (geometric(1.0), "constant"),
    "constant with noise": (np.random.default_rng(0).standard_normal(T), "constant"),
    "constant, no state before the first step": (np.append(np.zeros(T), ZERO), "constant"),
    "constant, slightly falling": (geometric(0.995), "constant"),
    "exploding": (geometric(1.1), "exploding"),
    "exploding beyond the floats": (geometric(1e4), "exploding"),
    "exploding, short": (geometric(1.1, 3), "exploding"),
    "mixed, writes": (write_gate(), "mixed"),
    "mixed, dips": (np.where(np.arange(T) % 12 == 11, 0.0, -8.0), "mixed"),
    "mixed, constant up to a reset": (np.append(np.zeros(12), np.full(88, ZERO)), "mixed"),
    "mixed, one term": (np.where(np.arange(T) == 11, 0.0, ZERO), "mixed"),
    "mixed, first step": (np.array([-3.0]), "mixed"),
    "mixed, all zero": (np.full(T, ZERO), "mixed"),
    "overflow": (np.full(T, np.nan), "overflow"),
}


@pytest.mark.parametrize(("row", "expected"), ROWS.values(), ids=ROWS)
def test_regime(row, expected):
    fit = per_step_factor(np.where(np.isnan(row), ZERO, row))
    assert regime(row, fit) == expected
    if np.isfinite(row).any():
        assert regime(row + 500, fit) == regime(row - 500, fit) == expected


class TestVerdict:
    @pytest.mark.parametrize(("row", "expected"), ROWS.values(), ids=ROWS)
    def test_a_verdict_is_short_and_its_numbers_are_finite(self, row, expected):
        found = reading_of(row, overflow=37 if expected == "overflow" else None)
        assert found.regime == expected
        assert 5 < len(found.verdict.split()) <= 64
        assert "nan" not in found.verdict.lower() and "inf" not in found.verdict.lower()
        assert "—" not in found.verdict

    def test_vanishing_terms_have_a_sum_that_settles(self):
        found = reading_of(geometric(0.8))
        assert found.log_sum == pytest.approx(math.log(5))
        assert found.verdict == (
            "Each step back multiplies the error δ by 0.800: δ vanishes, yet the sum settles. "
            "W's gradient is 5.00; the nearest 11 lags hold 90 % of the terms' size."
        )

    def test_the_pace_is_that_of_delta_and_the_terms_stand_second(self):
        found = reading_of(np.zeros(T), delta=geometric(1.2))
        assert found.regime == "exploding"
        assert found.verdict.startswith("Each step back multiplies the error δ by 1.20: δ grows, so the sum grows.")
        assert "what δ meets fades, and the terms stay level, ×1.00 a step" in found.verdict
        found = reading_of(geometric(1.1), delta=geometric(0.9))
        assert found.verdict.startswith("Each step back multiplies the error δ by 0.900: δ vanishes, ")
        assert "what δ meets grows, and the terms grow by ×1.10 a step" in found.verdict
        assert claimed(found)["pace"] == pytest.approx(0.9) and claimed(found)["term_pace"] == pytest.approx(1.1)

    def test_a_sum_that_fades_does_not_settle(self):
        fading = -2.5 * np.log1p(np.arange(T))
        found = reading_of(geometric(0.8), sums=fading)
        assert "δ vanishes, and the sum fades." in found.verdict
        assert "divided by its error, the sum goes like t to the power −2.5;" in found.verdict
        assert "settles" not in claimed(found)

    def test_terms_that_cancel(self):
        found = reading_of(geometric(0.9), partial=np.full(T, math.log(0.01)))
        assert "W's gradient is 0.0100; the terms cancel, 0.1 % of their size is left;" in found.verdict
        assert claimed(found)["cancels"] == pytest.approx(0.001, rel=1e-3)

    def test_equal_terms_add_up(self):
        found = reading_of(geometric(1.0))
        assert "by 1.00: δ keeps its size, and the sum grows." in found.verdict
        assert "divided by its error, the sum goes like t to the power 1.0;" in found.verdict

    def test_growth_is_said_of_what_it_was_measured_of(self):
        """The error grows as well: the sum goes by 1.1 a step divided by it, and by 1.21 as it is."""
        residual = geometric(1.1)
        found = reading_of(geometric(1.1), sums=geometric_sums(1.1) + residual, residual=residual)
        assert found.growth_by_error.rate == pytest.approx(1.1, rel=1e-3)
        assert found.growth.rate == pytest.approx(1.21, rel=1e-3)
        assert "δ grows, so the sum explodes." in found.verdict
        assert "a step more of horizon makes the sum, divided by its error, ×1.10, and ×1.21 as it is;" in found.verdict
        falling = reading_of(geometric(1.1), sums=geometric_sums(1.1) - residual, residual=-residual)
        assert "as it is" not in falling.verdict and claimed(falling)["explodes"] == "growth_by_error"

    def test_near_and_far_where_no_one_pace_is_steady(self):
        row = np.append(geometric(0.5, 30), geometric(0.5, 31)[-1] + geometric(0.98, 70))
        found = reading_of(row)
        assert not found.pace_steady and "pace" not in claimed(found)
        assert "Near steps back multiply the error δ by 0.500, far ones by 0.980: δ vanishes" in found.verdict

    def test_near_and_far_that_print_alike_are_said_once(self):
        row = geometric(0.9)
        row[30:] -= math.log(50)
        found = reading_of(row)
        assert not found.pace_steady and {"pace_near", "pace_far"} <= claimed(found).keys()
        assert found.verdict.startswith("Near and far steps back both multiply the error δ by 0.900: δ vanishes")

    def test_a_power_is_named_only_where_one_describes_the_sum(self):
        """ρ = 1.037 grows by a factor, too slowly to be called an explosion: its power drifts from 1.8 to 3.1."""
        sums = geometric_sums(1.037)
        found = reading_of(geometric(1.037), sums=sums)
        assert found.growth_by_error.said == "grows" and "power" not in claimed(found)
        assert "divided by its error, the sum goes ×23.4 over the last three quarters of the horizon;" in found.verdict
        assert math.exp(claimed(found)["log_change"]) == pytest.approx((1.037**100 - 1) / (1.037**26 - 1))
        assert in_words(found.growth_by_error) == "grows, ×23.4 from first to last"

    def test_a_sum_whose_ends_fall_is_not_said_to_go_up(self):
        sums = 0.5 * np.log1p(np.arange(T)) + np.where(np.arange(T) == T - 1, -3, 0)
        found = reading_of(geometric(1.0), sums=sums)
        assert found.growth_by_error.said == "grows" and "log_change" not in claimed(found)

    @pytest.mark.parametrize(
        ("sums", "words"),
        [
            (0.2 * np.log1p(np.arange(T)), "settles (power 0.20, within ±0.25)"),
            (-0.2 * np.log1p(np.arange(T)), "settles (power −0.20, within ±0.25)"),
            (1.57 * np.log1p(np.arange(T)), "grows like t to the power 1.6"),
            (-2.5 * np.log1p(np.arange(T)), "fades like t to the power −2.5"),
            (geometric_sums(1.1), "explodes, ×1.10 a step"),
            (3 * np.random.default_rng(0).standard_normal(T), "follows no one law"),
        ],
    )
    def test_a_growth_in_words(self, sums, words):
        assert in_words(growth(sums, np.zeros(T), 1.1)) == words

    def test_a_cliff_has_its_lag(self):
        row = geometric(1.0, 40)
        row[30:] -= math.log(1000)
        found = reading_of(row)
        assert claimed(found)["cliff"] == (30, pytest.approx(1e-3))
        assert "multiply the error δ by 1.00; δ jumps by ×0.00100 at lag 30" in found.verdict

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_a_cliff_beyond_all_digits_has_no_number(self, sign):
        row = geometric(1.0, 40)
        row[30:] += sign * math.log(2e7)
        found = reading_of(row)
        assert claimed(found)["decades"] == 30 and "cliff" not in claimed(found)
        assert "; δ jumps by more than seven decades at lag 30" in found.verdict

    def test_writes_carry_everything(self):
        found = reading_of(write_gate())
        assert "88 lags are exact zeros, and lag 11 holds most of the terms' size, 90 %." in found.verdict
        assert "pace" not in claimed(found)

    def test_trailing_zeros_are_said_and_the_one_at_lag_t_is_not(self):
        assert claimed(reading_of(np.append(geometric(0.8, 50), np.full(50, ZERO))))["zero_lags"] == 50
        one = reading_of(np.append(geometric(0.8), ZERO), delta=geometric(0.8, T + 1))
        assert one.zero_lags == 1 and "zero_lags" not in claimed(one)

    def test_equal_terms_name_the_nearest(self):
        row = np.where(np.arange(T) > 44, 1e-6 * np.sin(np.arange(T)), ZERO)
        assert "45 lags are exact zeros, and lag 45 holds most of the terms' size, 1.8 %" in reading_of(row).verdict

    @pytest.mark.parametrize("lags", [2, 3, 7])
    def test_too_few_lags_have_no_pace(self, lags):
        found = reading_of(geometric(0.8, lags))
        assert "There are too few lags for a pace" in found.verdict and "pace" not in claimed(found)

    def test_one_lag(self):
        assert "Only lag 11 reaches W, whose gradient is 1.00;" in reading_of(ROWS["mixed, one term"][0]).verdict

    def test_the_three_zeros_stay_apart(self):
        zeros = np.full(T, ZERO)
        assert reading_of(zeros).verdict.endswith("every term is zero.")
        assert reading_of(zeros, underflow=55).verdict.endswith("is zero (underflow from step 55).")
        assert reading_of(zeros, underflow=120).verdict.endswith("every term is zero.")
        assert "no target, or no error" in reading_of(zeros, residual=zeros).verdict

    def test_overflow_names_its_step(self):
        found = reading_of(np.full(T, np.nan), overflow=37)
        assert "overflows at step 37" in found.verdict
        assert found.memory == 0 and math.isnan(found.log_sum) and math.isnan(found.coherence)

    def test_in_chaos_no_number_but_the_pace(self):
        found = reading_of(geometric(1.1), chaos=T - 1)
        assert found.verdict == (
            "Chaotic: a change in the seventh digit of the weights moves the state by more than a hundredth. Each step "
            "back multiplies the error δ by about 1.10: δ grows, so the sum explodes. The gradient at this time is one "
            "sample of many."
        )
        assert {kind for kind, _ in found.claims} == {"chaotic", "pace", "regime", "explodes"}
        assert reading_of(geometric(1.1), chaos=math.inf).verdict == reading_of(geometric(1.1)).verdict

    def test_near_chaos_no_number_but_the_pace_either(self):
        row = geometric(1.1)
        arrays = row, row, np.logaddexp.accumulate(row), geometric_sums(1.1), np.zeros(T)
        found = read(*arrays, None, None, T - 1, moved(50, by=0.0006))
        assert found.verdict == (
            "Each step back multiplies the error δ by about 1.10: δ grows, so the sum explodes. It is so near chaos "
            "that rounding may move every other number by some per cent."
        )
        assert {kind for kind, _ in found.claims} == {"near_chaos", "pace", "regime", "explodes"}
        assert (found.chaotic, found.near_chaos) == (False, True)
        assert read(*arrays, None, None, T - 1, moved(50, by=0.0004)).verdict == reading_of(row).verdict

    def test_chaos_after_t_takes_the_rate_of_growth_away(self):
        row = geometric(1.1, 51)
        arrays = row, row, np.logaddexp.accumulate(row), geometric_sums(1.1), np.zeros(T)
        found = read(*arrays, None, None, 50, moved(60, by=0.0006))
        assert (found.chaotic, found.near_chaos, found.near_chaos_later) == (False, False, True)
        assert {"pace", "sum", "explodes"} <= claimed(found).keys() and "sum_rate_by_error" not in claimed(found)

    @given(log_rows, st.floats(-5, 0), st.floats(-1000, 1000), st.sampled_from([None, 0, math.inf]))
    def test_any_row_has_a_verdict(self, row, loss, residual, chaos):
        partial = np.logaddexp.accumulate(row) + loss
        found = reading_of(row, partial=partial, residual=np.full(len(row), residual), chaos=chaos)
        assert len(found.verdict.split()) <= 64
        assert "nan" not in found.verdict and "inf" not in found.verdict and "—" not in found.verdict
        assert not any(isinstance(value, float) and math.isnan(value) for _, value in found.claims)


def test_every_word_has_both_its_edges():
    for word in ("settles", "fades", "grows", "explodes", "cancel", "steady", "constant"):
        assert any(digit.isdigit() for digit in WORDS[word])


def test_the_numbers_of_a_reading_are_those_of_the_definitions():
    row = geometric(0.9, size=2.0)
    found = reading_of(row, residual=np.full(T, 0.5))
    assert found.pace == found.term_pace == pytest.approx(0.9)
    assert found.pace_near == found.pace_far == pytest.approx(0.9)
    assert found.pace_steady and found.term_pace_steady and found.pace_near_steady and found.pace_far_steady
    assert found.memory == memory(row) == 22
    assert found.far_share == pytest.approx(0.9**50, rel=0.01)
    assert found.coherence == pytest.approx(1)
    assert found.log_sum == pytest.approx(math.log(20), abs=1e-4)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.00"),
        (0.8347, "0.835"),
        (0.001, "0.00100"),
        (0.00099949, "1.0e-3"),
        (99.96, "100"),
        (999.4, "999"),
        (999.6, "1.0e+3"),
        (1234, "1.2e+3"),
        (3.21e-17, "3.2e-17"),
        (9.97e-17, "1.0e-16"),
        (4.4e120, "4.4e+120"),
    ],
)
def test_number(value, text):
    assert number(math.log(value)) == text


@given(st.floats(-1000, 1000))
def test_a_number_says_what_it_is(log):
    digits, _, exponent = number(log).partition("e")
    said = math.log(float(digits)) + int(exponent or 0) * math.log(10)
    assert said == pytest.approx(log, abs=0.052)


def test_number_beyond_the_floats_and_at_zero():
    assert number(-399.7 * math.log(10)) == "2.0e-400"
    assert number(ZERO) == "0"
    assert number(math.nan) == "—"


def test_a_reading_for_a_logger_holds_plain_values_alone():
    reading = reading_of(geometric(0.8), geometric_sums(0.8))
    told = reading.asdict()
    assert all(isinstance(value, float | int | str | bool | None) for value in told.values())
    assert (told["pace"], told["memory"], told["verdict"]) == (reading.pace, reading.memory, reading.verdict)
    parts = {f"{name}_{part}" for name in ("growth", "growth_by_error") for part in reading.growth._fields}
    assert told.keys() == {*vars(reading)} - {"growth", "growth_by_error", "claims"} | parts
