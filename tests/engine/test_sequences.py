"""Each sequence against its definition, and what all of them promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflow.sequences import SEQUENCES, SUNSPOTS, sequence

every = pytest.mark.parametrize("name", SEQUENCES)


@every
def test_shapes(name):
    x, targets, labels = sequence(name, 256, 4, 7)
    assert x.shape == (256, 4) and targets.shape == (256,) and len(labels) == 256
    assert x.dtype == targets.dtype == np.float32
    assert np.isfinite(x).all()
    assert all(isinstance(label, str) for label in labels)


@every
@pytest.mark.parametrize("length", [1, 2, 9, 10, 11, 100])
def test_a_shorter_one_is_the_beginning_of_a_longer_one(name, length):
    short, long = sequence(name, length, 4, 3), sequence(name, 256, 4, 3)
    np.testing.assert_array_equal(short.inputs, long.inputs[:length])
    np.testing.assert_array_equal(short.targets, long.targets[:length])
    assert short.labels == long.labels[:length]


@every
def test_the_same_seed_gives_the_same_sequence(name):
    first, second, other = (sequence(name, 50, 4, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.inputs, second.inputs)
    np.testing.assert_array_equal(first.targets, second.targets)
    assert (name in ("impulse", "sunspots")) == np.array_equal(first.inputs, other.inputs)


def test_noise_is_standard_and_its_targets_are_independent():
    x, targets, _ = sequence("noise", 4096, 4, 0)
    everything = np.column_stack([x, targets])
    np.testing.assert_allclose(everything.mean(0), 0, atol=4 / 64)
    np.testing.assert_allclose(np.cov(everything.T), np.eye(5), atol=0.1)


def test_impulse():
    x, targets, _ = sequence("impulse", 5, 2)
    np.testing.assert_array_equal(x, [[1, 0], [0, 0], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(targets, [2] * 5)


@pytest.mark.parametrize("lag", [1, 10, 39, 40, 60])
def test_recall_has_no_target_before_its_lag(lag):
    x, targets, _ = sequence("recall", 40, 4, 1, lag=lag)
    assert np.isnan(targets[:lag]).all()
    np.testing.assert_array_equal(targets[lag:], x[: max(40 - lag, 0), 0])


def test_sunspots_are_the_published_numbers():
    x, targets, labels = sequence("sunspots", 308)
    assert labels[0] == "1700" and labels[-1] == "2007"
    rows = [line.split(",") for line in SUNSPOTS.read_text().splitlines()[4:]]
    assert len(rows) == 309 and rows[0] == ["1700", "5"] and rows[-1] == ["2008", "2.9"]
    record = {int(year): float(number) for year, number in rows}
    assert list(record) == list(range(1700, 2009))
    assert max(record, key=record.get) == 1957 and record[1957] == 190.2  # the strongest cycle on record
    mean, deviation = np.mean(list(record.values())), np.std(list(record.values()))
    np.testing.assert_allclose(x[1957 - 1700, 0] * deviation + mean, 190.2, rtol=1e-5)
    np.testing.assert_array_equal(x[1:, 0], targets[:-1])
    np.testing.assert_allclose(targets[-1] * deviation + mean, 2.9, rtol=1e-4)
    assert not x[:, 1:].any()


def test_a_letter_has_one_code_in_either_case():
    x, targets, labels = sequence("sentence", 7, 4, 2, text="Aab Éé")
    np.testing.assert_array_equal(x[0], x[1])
    np.testing.assert_array_equal(x[4], x[5])
    assert len(np.unique(x, axis=0)) == 4
    assert labels == ("A", "a", "b", "␣", "É", "é", "A")  # a short text starts over
    np.testing.assert_array_equal(targets[:-1], x[1:, 0])
    assert targets[-1] == x[1, 0]


def test_what_cannot_be_drawn_gets_a_label_that_can():
    letters = "😀א\u200d\x00\n\ud800\u0301"
    assert sequence("sentence", 7, text=letters).labels == ("😀", "א", "�", "�", "␣", "�", "\u0301")


@given(st.text(st.characters(), min_size=1, max_size=40))
def test_any_text_is_a_sentence(text):
    x, targets, labels = sequence("sentence", 20, text=text)
    assert np.isfinite(x).all() and np.isfinite(targets).all()
    "".join(labels).encode("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "sine"}, r"name is 'sine'; it must be one of noise, impulse"),
        ({"length": 0}, r"length is 0; .* at least 1"),
        ({"length": 2.5}, r"length is 2.5; .* whole number"),
        ({"inputs": 0}, r"inputs is 0; .* at least 1"),
        ({"seed": -1}, r"seed is -1; .* at least 0"),
        ({"lag": 0}, r"lag is 0; .* at least 1"),
        ({"name": "sunspots", "length": 309}, r"length is 309; sunspots have 1 to 308 steps"),
        ({"name": "sentence", "text": ""}, r"text is ''; it must have at least one character"),
    ],
)
def test_errors_name_the_field_and_what_is_valid(arguments, message):
    with pytest.raises(ValueError, match=message):
        sequence(**{"name": "noise", "length": 10, **arguments})
