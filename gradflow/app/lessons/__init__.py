"""The argument, as eleven lessons: a claim, a prediction, what is measured, and where the claim stops holding.

A lesson is data, one file each. Its numbers are computed when they are asked for, on the engine, never stored: the
reveal by the present scenario, each verdict by medians over `SEEDS` draws of weights and inputs where it speaks of
typical networks. One exception: of the networks in `trained`, which are other people's, what was measured is stored.
Read `record` (what a lesson is made of) and `evidence` (how a verdict is measured) first.
"""

from pathlib import Path

from gradflow.app.lessons.any_cell import ANY
from gradflow.app.lessons.credit import HIDES
from gradflow.app.lessons.curse_of_memory import HARD
from gradflow.app.lessons.depth import DEPTH
from gradflow.app.lessons.forget_gate import LSTM
from gradflow.app.lessons.growing_sum import GROWTH
from gradflow.app.lessons.moving_lag import IGNORES
from gradflow.app.lessons.sum_over_lags import SUM
from gradflow.app.lessons.trained import TRAINED
from gradflow.app.lessons.training_problem import OTHERWISE
from gradflow.app.lessons.vanishing_terms import SETTLES

LESSONS = (SUM, SETTLES, GROWTH, LSTM, DEPTH, ANY, IGNORES, HIDES, OTHERWISE, HARD, TRAINED)
QUESTIONS = Path(__file__).with_name("QUESTIONS.md")  # what people ask, answered with figures that a test measures
TEACHING = Path(__file__).with_name("TEACHING.md")  # a teacher's plan, and notes on each lesson

__all__ = ["LESSONS", "QUESTIONS", "TEACHING"]
