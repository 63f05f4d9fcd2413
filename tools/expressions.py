"""Compute the right side of a comment such as `<!-- 2.303 = log(10) -->`, and nothing else.

A small language over Python's syntax tree: numbers, `+ - * / **`, brackets, `pi`, and calls of the
functions below. A text in quotes may stand only as an argument of the functions that take an
experiment. Every number is a float, so that no power and no factor grows without bound.

(simpleeval, the library for this, also allows texts, comparisons, conditions and attributes, and
warns that an expression can take as long as it likes. What is needed here is smaller.)
"""

import ast
import math
import operator
from collections.abc import Callable
from statistics import mean

from course_lib import experiments, records, settings
from course_lib.settings import CourseError

LONGEST = 300  # characters; deeper nesting than fits into it would end in a RecursionError
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,  # unlike **, it makes no complex number of the root of a negative one
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def _runs(id: str, profile: str, seed: int | None = None) -> list[dict]:
    runs = records.load(id, settings.profile(profile).name)
    runs = [run for run in runs if seed in (None, run["seed"])]
    if not runs:
        which = "" if seed is None else f" with seed {seed}"
        raise CourseError(f"{id} is not recorded under {profile}{which}")
    return runs


def last(id: str, profile: str, seed: int | None = None) -> float:
    """Test accuracy of the last epoch in percent: of one seed, or the mean of all recorded."""
    return mean(records.percent(_runs(id, profile, seed)))


def best(id: str, profile: str) -> float:
    """Mean test accuracy of the best epoch over the recorded seeds, in percent."""
    return mean(records.percent(_runs(id, profile), "best"))


def loss(id: str, profile: str) -> float:
    """Mean test loss of the last epoch over the recorded seeds."""
    return mean(run["final"]["test_loss"] for run in _runs(id, profile))


def seconds(id: str, profile: str) -> float:
    """Mean seconds of an epoch over the recorded seeds, on whatever hardware they ran."""
    return mean(mean(run["seconds_per_epoch"]) for run in _runs(id, profile))


def gap(first: str, second: str, profile: str) -> float:
    """By how many points of test accuracy the first leads after the last epoch."""
    return last(first, profile) - last(second, profile)


def reported(id: str) -> float:
    """The test accuracy that the experiment's source reports, in percent."""
    figure = experiments.get(id).reported
    if figure is None or figure.accuracy is None:
        raise CourseError(f"no accuracy is reported for {id}")
    return figure.accuracy


def parameters(id: str) -> float:
    """All parameters of the experiment's network."""
    return experiments.get(id).parameters.total


def macs(id: str) -> float:
    """Multiply-accumulates of the experiment's network for one image."""
    return experiments.get(id).macs


CONSTANTS = {"pi": math.pi}
MATHEMATICS = {"log": math.log, "sqrt": math.sqrt, "exp": math.exp}
OF_EXPERIMENTS = {f.__name__: f for f in (last, best, loss, seconds, gap, reported)}
OF_EXPERIMENTS |= {f.__name__: f for f in (parameters, macs)}


def value(expression: str) -> float:
    """What the expression gives, finite. CourseError, in one line, where it gives nothing."""
    if len(expression) > LONGEST:
        raise CourseError(f"an expression has at most {LONGEST} characters")
    try:
        tree = ast.parse(expression, mode="eval").body
        result = _value(tree)
        if not any(isinstance(node, (ast.BinOp, ast.Call, ast.Name)) for node in ast.walk(tree)):
            raise CourseError("a number alone is no source: say what it comes from")
    except CourseError:
        raise
    except Exception as error:  # whatever an author may have mistyped
        raise CourseError(f"cannot be computed ({type(error).__name__}: {error})") from error
    if not math.isfinite(result):
        raise CourseError("is not a finite number")
    return result


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(operand))
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            if name in MATHEMATICS:
                return MATHEMATICS[name](*map(_value, args))
            if name in OF_EXPERIMENTS:
                return float(_call(OF_EXPERIMENTS[name], args))
    known = ", ".join([*CONSTANTS, *MATHEMATICS, *OF_EXPERIMENTS])
    raise CourseError(f"'{ast.unparse(node)}' is not allowed: numbers, + - * / ** and {known} are")


def _call(function: Callable[..., float], args: list[ast.expr]) -> float:
    """The function's value. Its arguments are names in quotes, for `last` a seed after them."""
    given = [arg.value if isinstance(arg, ast.Constant) else None for arg in args]
    kinds = [str, str, int if function is last else str][: len(given)]
    if [type(value) for value in given] != kinds:
        raise CourseError(f"{function.__name__} takes names in quotes")
    return function(*given)
