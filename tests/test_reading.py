"""Each definition on terms whose reading is known in closed form."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflow.reading import (
    cancellation,
    growth,
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


def reading_of(row, sums=None, residual=None, overflow=None, underflow=None, partial=None):
    """Terms that share a sign, and their reading at the last t."""
    if partial is None:
        partial = row if overflow is not None else np.logaddexp.accumulate(row)
    sums = partial if sums is None else sums
    residual = np.zeros(len(row)) if residual is None else residual
    return read(row, partial, sums, residual, overflow, underflow, len(row) - 1)


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
        assert per_step_factor(np.array([ZERO, 1.0]))[-2:] == (1, 1)
        assert math.isnan(per_step_factor(np.array([ZERO])).factor)

    def test_far_outside_the_floats(self):
        assert per_step_factor(geometric(1e-9, 200)).factor == pytest.approx(1e-9)
        assert per_step_factor(np.array([0.0, 1e4])).factor > 1e300


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


class TestCancellation:
    def test_equal_signs_alternating_signs_and_random_directions(self):
        row = np.full(T, 50.0)
        assert cancellation(row, 50 + math.log(T)) == pytest.approx(1)
        assert cancellation(row, ZERO) == 0
        assert cancellation(row, 50 + math.log(T) / 2) == pytest.approx(1 / math.sqrt(T))

    def test_nothing_to_cancel(self):
        assert cancellation(np.full(3, ZERO), ZERO) == 1

    @given(log_rows)
    def test_within_its_bounds(self, row):
        total = float(np.logaddexp.reduce(row))
        assert cancellation(row, total) == pytest.approx(1)
        assert cancellation(row, total + 1e-7) <= 1


class TestGrowth:
    @pytest.mark.parametrize("factor", [0.2, 0.8, 0.9, 1.0, 1.1, 3.0])
    @pytest.mark.parametrize("noise", [0, 0.3])
    @pytest.mark.parametrize("steps", [100, 256])
    def test_geometric_sums(self, factor, noise, steps):
        shape = "bounded" if factor < 1 else "linear" if factor == 1 else "exponential"
        for seed in range(8):
            rng = np.random.default_rng(seed)
            residual = 3 * rng.standard_normal(steps)  # the factor that every term of one t shares
            scatter = noise * rng.standard_normal(steps)
            found = growth(geometric_sums(factor, steps) + residual + scatter, residual)
            assert found.shape == shape
            if shape == "exponential":
                assert found.rate == pytest.approx(factor, rel=0.01)
            if factor == 1 and not noise:
                assert found.power == pytest.approx(1)

    def test_random_signs_grow_like_the_root(self):
        found = growth(0.5 * np.log1p(np.arange(T)), np.zeros(T))
        assert found.shape == "sublinear" and found.power == pytest.approx(0.5)

    def test_no_sum_of_equal_terms_grows_like_the_cube(self):
        assert growth(3 * np.log1p(np.arange(T)), np.zeros(T)).shape == "exponential"

    def test_a_falling_sum(self):
        found = growth(geometric(0.8), np.zeros(T))
        assert found.shape == "vanishing" and found.rate == pytest.approx(0.8)

    def test_pure_noise_has_no_shape(self):
        assert growth(3 * np.random.default_rng(0).standard_normal(T), np.zeros(T)).shape == "unclear"

    def test_rows_without_a_gradient_are_skipped(self):
        sums, residual = geometric_sums(1.0), np.zeros(T)
        residual[::2], sums[::2] = ZERO, ZERO  # no target
        sums[90:] = np.nan  # overflow
        found = growth(sums, residual)
        assert found.shape == "linear" and found.power == pytest.approx(1)

    def test_too_few_rows(self):
        assert growth(np.zeros(3), np.zeros(3)).shape == "unclear"
        assert math.isnan(growth(np.zeros(3), np.zeros(3)).rate)


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
    "vanishing through noise": (
        geometric(0.5) + 2 * np.random.default_rng(0).standard_normal(T),
        "vanishing",
    ),
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
    def test_short_and_without_a_number_that_is_none(self, row, expected):
        found = reading_of(row, overflow=37 if expected == "overflow" else None)
        assert found.regime == expected
        assert 5 < len(found.verdict.split()) <= 30
        assert "nan" not in found.verdict.lower() and "inf" not in found.verdict.lower()
        assert "—" not in found.verdict

    def test_vanishing_terms_have_a_healthy_sum(self):
        found = reading_of(geometric(0.8))
        assert found.log_sum == pytest.approx(math.log(5))
        assert found.verdict == (
            "Each step back multiplies the term by 0.800, yet the sum is healthy: W's gradient is 5.00, "
            "and the nearest 11 lags hold 90 % of the terms' total size."
        )

    def test_a_tiny_sum_is_not_called_healthy(self):
        assert "healthy" not in reading_of(geometric(0.8, size=1e-9)).verdict

    def test_an_exploding_sum_is_not_called_healthy(self):
        assert "healthy" not in reading_of(geometric(0.8), sums=geometric_sums(1.1)).verdict

    def test_vanishing_terms_that_cancel(self):
        found = reading_of(geometric(0.9), partial=np.full(T, math.log(0.01)))
        assert "the terms cancel: W's gradient is 0.0100, 0.1 % of their total size" in found.verdict

    def test_constant_terms_add_up_linearly_or_cancel(self):
        assert "the sum grows linearly with the horizon; W's gradient is 100." in reading_of(geometric(1.0)).verdict
        cancelled = reading_of(geometric(1.0), partial=np.zeros(T))
        assert cancelled.growth.shape == "bounded"
        assert "but the terms cancel; W's gradient is 1.00, 1 % of their total size." in cancelled.verdict
        growing = reading_of(geometric(1.0), sums=geometric_sums(1.1))
        assert "multiplies it by about 1.10" in growing.verdict
        unclear = reading_of(geometric(1.0), sums=np.full(T, np.nan))
        assert "100 lags add up; W's gradient is 100, 100 % of the terms' total size." in unclear.verdict

    def test_exploding_terms(self):
        assert "the sum explodes: W's gradient is 1.4e+5" in reading_of(geometric(1.1)).verdict
        assert "multiplies it by about 1.10" in reading_of(geometric(1.1)).verdict
        assert "the far half of the lags holds" in reading_of(geometric(1.1), sums=np.full(T, np.nan)).verdict

    def test_writes_carry_everything(self):
        found = reading_of(write_gate())
        assert found.verdict == (
            "Only 8 of 96 lags reach W, lag 11 most, with 90 % of the terms' total size, the rest is zero; "
            "W's gradient is 1.11."
        )

    def test_equal_terms_name_the_nearest(self):
        row = np.where(np.arange(T) > 44, 1e-6 * np.sin(np.arange(T)), ZERO)
        assert "Only 55 of 100 lags reach W, lag 45 most, with 1.8 %" in reading_of(row).verdict

    def test_no_line_fits(self):
        found = reading_of(np.append(ROWS["mixed, dips"][0], ZERO))
        assert "No one factor fits these terms: lag 11 is largest, 12 % of their total size;" in found.verdict

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
        assert found.memory == 0 and math.isnan(found.log_sum) and math.isnan(found.cancellation)

    @given(log_rows, st.floats(-5, 0), st.floats(-1000, 1000))
    def test_any_row_has_a_verdict(self, row, loss, residual):
        partial = np.logaddexp.accumulate(row) + loss
        found = reading_of(row, partial=partial, residual=np.full(len(row), residual))
        assert len(found.verdict.split()) <= 30
        assert "nan" not in found.verdict and "inf" not in found.verdict and "—" not in found.verdict


def test_the_numbers_of_a_reading_are_those_of_the_definitions():
    row = geometric(0.9, size=2.0)
    found = reading_of(row, residual=np.full(T, 0.5))
    assert found.factor == pytest.approx(0.9) and found.slope == pytest.approx(math.log(0.9))
    assert found.intercept == pytest.approx(math.log(2)) and found.fit_error == pytest.approx(0, abs=1e-10)
    assert (found.first, found.last) == (0, T - 1)
    assert found.memory == memory(row) == 22
    assert found.far_share == pytest.approx(0.9**50, rel=0.01)
    assert found.cancellation == pytest.approx(1)
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
