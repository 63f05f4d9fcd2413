"""Find the numbers in a sentence that a reader takes for a result, a count or a comparison.

In figures ("85.3 %", "13 million multiplications", "+1.5") or in words ("fifty times", "half").
"""

import re
from dataclasses import dataclass

ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
ONES = f"{ONES} sixteen seventeen eighteen nineteen".split()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SMALL = {word: k for k, word in enumerate(ONES, start=1)} | {"dozen": 12}
SMALL |= {word: 10 * k for k, word in enumerate(TENS, start=2)}
LARGE = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
LETTERS = {"k": 1e3, "m": 1e6}
PARTS = {"third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9}
PARTS |= {"tenth": 10, "twentieth": 20, "hundredth": 100, "thousandth": 1000}
# Words that compare without a number beside them.
ALONE = {"twice": 2, "thrice": 3, "order of magnitude": 10, "½": 1 / 2, "¼": 1 / 4}
ALONE |= {word: 1 / 2 for word in ("half", "halve", "halves", "halved", "halving")}
ALONE |= {word: 2 for word in ("double", "doubles", "doubled", "doubling")}
ALONE |= {word: 3 for word in ("triple", "triples", "tripled", "tripling")}
ALONE |= {word: 4 for word in ("quadruple", "quadruples", "quadrupled", "quadrupling")}

# --- patterns, on text that `plain` has put into one form (blanks in them do not count) ----------
# Repeats are bounded and give nothing back, so that no text takes long.

FIGURES = r"(?<![\w.])(?:\d+(?:,\d{3}){0,7}+(?:\.\d+)?|\.\d+)"
WORD = rf"(?:{'|'.join([*SMALL, *LARGE])})"
WORDS = rf"\b(?:a\s)?{WORD}(?:[ -](?:and\s)?{WORD}){{0,7}}+\b(?:\sand\sa\shalf)?"
SIGN = r"(?:(?<![\w)\]}.])[+-])?"
NUMBER = rf"{SIGN}(?:{FIGURES}(?:\s?(?:{'|'.join(LARGE)})\b|\s?[kM]\b)?|{WORDS})"
NUMBERS = rf"(?P<numbers>{NUMBER}(?:(?:\s?[±–,-]\s?|\sto\s|\sand\s|\sor\s){NUMBER}){{0,7}}+)"
PART = "|".join(PARTS)
COMPARED = "faster|slower|smaller|larger|bigger|higher|lower|better|worse|longer|shorter|cheaper"
RESULT = r"\b(?:loss(?:es)?|accurac(?:y|ies)|cross-entropy)\b"
ENDS = r"(?=\s?(?:$|[.,;:!?)|]|(?:and|or|in|at|on|after|before|with|when|while|but|for)\b))"
PATTERNS = [
    rf"""(?!one\spoint\b){NUMBERS}\s?-?(?P<unit>
        %(?!\sinterval)  # "95 % interval" names a rule, not a result
        | (?: per\s?cent | (?:percentage\s)?points?
            | (?:(?:trainable|free|more|fewer|extra)\s)?(?:parameters|weights)
            | multiplications | multiply-accumulates | operations | MACs | FLOPs
            | times | fold | orders\sof\smagnitude | ahead | behind | {COMPARED} )\b
        | [x×](?=\s[a-z]) )""",
    rf"(?P<unit>\bfactors?)(?:\s(?:of|is|was|about|nearly))*\s(?!one\b){NUMBERS}",
    rf"(?<![^\s(|])(?P<numbers>[+-]{FIGURES})",
    # Not the parts of a time: "the first half", "two and a half minutes", "half an hour".
    rf"""(?<!first\s)(?<!second\s)(?<!other\s)(?<!and\sa\s)
        (?P<whole>\b(?:{"|".join(ALONE).replace(" ", "[ ]")})\b | [½¼])
        (?![ -](?:precision|way|an?\s(?:hour|minute|second|day|year)))""",
    # "a third faster", not "a third network".
    rf"""(?P<whole>\b(?: one[ -](?:{PART}) | (?:{"|".join(ONES[1:])})[ -](?:{PART})s | a\squarter
        | an?\s(?:{PART})(?=\s?(?:$|[.,;:!?)|]|(?:of|as|more|less|fewer|the|{COMPARED})\b)) )\b)""",
]
# In a paragraph on loss or accuracy: a fraction anywhere, a whole number at the end of its phrase.
ON_RESULTS = [
    r"(?P<numbers>(?<![\w.])[+-]?\d*\.\d+(?![\d.]*\.\d))",
    rf"{RESULT}(?:\s[\w`'’(),-]+)*?\s(?P<numbers>[+-]?{FIGURES}){ENDS}",
]
_PATTERNS, _ON_RESULTS = (
    [re.compile(pattern, re.I | re.X) for pattern in group] for group in (PATTERNS, ON_RESULTS)
)
_NUMBER = re.compile(NUMBER, re.I | re.X)
_RESULT = re.compile(RESULT, re.I)


@dataclass(frozen=True)
class Stated:
    """A number as the text has it; what it counts: "%", "points", "times", … or ""; and where."""

    number: str
    unit: str
    start: int = 0
    end: int = 0


def plain(text: str) -> str:
    """The text with one kind of space, minus and percent sign; "tenfold" as "ten-fold"."""
    text = " ".join(text.replace("−", "-").replace("‑", "-").replace("％", "%").split())
    return re.sub(rf"\b({WORD})fold\b", r"\1-fold", text, flags=re.I)


def on_results(text: str) -> bool:
    """Is it about losses or accuracies?"""
    return bool(_RESULT.search(text))


def stated(text: str, results: bool = False) -> list[Stated]:
    """The numbers of a `plain` text that count, in its order. results: its paragraph is on them."""
    found: dict[int, Stated] = {}
    for pattern in _PATTERNS + (_ON_RESULTS if results else []):
        for match in pattern.finditer(text):
            groups = match.groupdict()
            if groups.get("whole"):
                numbers = [match.span("whole")]
            else:
                numbers = [n.span() for n in _NUMBER.finditer(text, *match.span("numbers"))]
            for start, end in numbers:
                if not any(start < old.end and old.start < end for old in found.values()):
                    unit = unit_of(groups.get("unit") or "")
                    found[start] = Stated(text[start:end].lower(), unit, start, end)
    return [found[start] for start in sorted(found)]


def unit_of(text: str) -> str:
    """One name for each unit: "percent" is "%", "fold" and "×" are "times"."""
    text = text.lower().removeprefix("percentage ").strip()
    same = {"percent": "%", "per cent": "%", "point": "points", "factors": "factor"}
    return same.get(text, "times" if text in ("fold", "x", "×") else text)


def alone(text: str) -> Stated | None:
    """The number that a text consists of, perhaps with a unit."""
    text = plain(text)
    found = stated(text)
    if len(found) == 1:
        return found[0]
    return Stated(text.lower(), "") if _NUMBER.fullmatch(text) else None


def quantity(number: str) -> tuple[float, float]:
    """What a number of a text is worth, and by how much a true value may differ from it.

    Figures hold to half a unit of the last digit; words, which round, to a tenth.
    """
    number = number.lower().strip()
    sign, number = (-1 if number[0] == "-" else 1), number.lstrip("+-")
    if figures := re.match(FIGURES, number):
        digits = figures[0].replace(",", "")
        scale = (LARGE | LETTERS).get(number[figures.end() :].strip(), 1)
        decimals = len(digits.partition(".")[2])
        return sign * float(digits) * scale, (0.5 * 10**-decimals + 1e-9) * scale
    worth = ALONE.get(number) or _in_words(re.split(r"[\s-]+", number))
    return sign * worth, worth / 10


def _in_words(words: list[str]) -> float:
    """The worth of "twenty five", "three hundred", "two and a half" or "two thirds"."""
    total = current = 0.0
    for word in words:
        if word in SMALL:
            current += SMALL[word]
        elif word == "hundred":
            current = (current or 1) * 100
        elif word in LARGE:
            total, current = total + (current or 1) * LARGE[word], 0
        elif word == "half":
            current += 0.5
        elif word.removesuffix("s") in PARTS:
            current = (current or 1) / PARTS[word.removesuffix("s")]
    return total + current
