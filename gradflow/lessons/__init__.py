"""The argument, as nine lessons: a claim, a prediction, what is measured, and where the claim stops holding.

A lesson is data, one file each. Its numbers are computed when they are asked for, on the engine, never stored: the
reveal by the present scenario, each verdict by medians over `SEEDS` draws of weights and inputs where it speaks of
typical networks. Read `record` (what a lesson is made of) and `evidence` (how a verdict is measured) first.
"""

from gradflow.lessons.any_cell import ANY
from gradflow.lessons.credit import HIDES
from gradflow.lessons.depth import DEPTH
from gradflow.lessons.forget_gate import LSTM
from gradflow.lessons.growing_sum import GROWTH
from gradflow.lessons.moving_lag import IGNORES
from gradflow.lessons.sum_over_lags import SUM
from gradflow.lessons.training_problem import OTHERWISE
from gradflow.lessons.vanishing_terms import SETTLES

LESSONS = (SUM, SETTLES, GROWTH, LSTM, DEPTH, ANY, IGNORES, HIDES, OTHERWISE)

__all__ = ["LESSONS"]
