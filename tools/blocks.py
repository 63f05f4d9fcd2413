"""A page's Markdown as a reader sees it: paragraphs, each with the comments that belong to it.

A comment belongs to the paragraph, heading, list item or row of a table in which it stands, or
which ends directly before it:

    The loss is 2.303.
    <!-- 2.303 = log(10) -->

    | 13 million multiplications <!-- 13 million = macs("squeezenet/plain") --> |

After a list or a table it belongs to the last item or row. Code, a line of HTML or the end of a
cell between the two part them.
"""

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

COMMENT = re.compile(r"<!--(.*?)-->", re.S)
CODE = {"{code-block}", "{code-cell}", "{code}"}  # the other directives of MyST hold prose
UNIT = re.compile(r"%|\bpoints|\bparameters|\bweights|\bMACs|\btimes", re.I)
PARSER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)
# A sentence ends with its stop, except after "et al.", "e.g." and an initial.
NO_STOP = r"(?<!\bal)(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)(?<!\b[A-Z])"
STOP = re.compile(rf"{NO_STOP}[.!?]+[\"”’')\]]*\s+")
# Every other tag of HTML ends a sentence.
INLINE = ["a", "b", "code", "em", "i", "kbd", "mark", "small", "span", "strong", "sub", "sup"]


@dataclass
class Block:
    """text: in one line; code in backticks, so that `{cite}` keeps its key. columns: of a row of a
    table, their headings; the unit that a heading names stands behind the number of a cell."""

    text: str = ""
    comments: list[str] = field(default_factory=list)
    columns: list[str] | None = None

    @property
    def row(self) -> bool:
        return self.columns is not None

    def sentences(self) -> list[str]:
        """The text's sentences; a row of a table is one."""
        return [self.text] if self.row else STOP.split(self.text)


class _Visible(HTMLParser):
    """The text between tags, and in place of a picture its own."""

    def __init__(self):
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.text += "" if tag in INLINE else ". "
        self.text += " ".join(value for name, value in attrs if name == "alt" and value)

    def handle_endtag(self, tag: str) -> None:
        self.text += "" if tag in INLINE else ". "


def texts(page: Path) -> list[str]:
    """The Markdown of a page: the whole of it, or cell by cell."""
    content = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return [content]
    cells = json.loads(content)["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]


def blocks(markdown: str) -> list[Block]:
    """The paragraphs of a Markdown text, in order. One without text holds stray comments."""
    found: list[Block] = []
    after = row = None  # the block that a comment here belongs to; the row that is being read
    for token in PARSER.parse(markdown):
        match token.type:
            case "thead_open":
                columns, cells = [], []
            case "thead_close":
                columns = cells
            case "tr_open":
                row, cells = Block(columns=columns), []
                after = row
            case "tr_close":
                row.text = " | ".join(cells)
                found.append(row)
                row = None
            case "inline" if row:
                cells.append(_with_unit(_text(token, row), columns[len(cells) : len(cells) + 1]))
            case "inline":
                after = Block()
                after.text = _text(token, after)
                found.append(after)
            case "math_block" | "math_block_label":
                after = Block(_math(token.content))
                found.append(after)
            case "html_block":
                visible, comments = _seen(token.content), COMMENT.findall(token.content)
                if visible or (comments and after is None):
                    after = Block(visible)
                    found.append(after)
                if comments:
                    after.comments += comments
                elif not visible:
                    after = None
            case "fence" if token.info.startswith("{") and token.info.split()[0] not in CODE:
                found += blocks(f"{token.info.partition('}')[2]}\n\n{token.content}")
                after = None
            case "fence" | "code_block" | "hr":
                after = None
    for block in found:
        block.text = " ".join(block.text.split())
    return found


def _text(inline: Token, block: Block) -> str:
    """The text of a paragraph, a heading or a cell of a table; its comments go to the block."""
    parts = []
    for token in inline.children:
        match token.type:
            case "code_inline":
                parts.append(f"`{token.content}`")
            case "math_inline" | "math_inline_double":
                parts.append(_math(token.content))
            case "html_inline":
                block.comments += COMMENT.findall(token.content)
                parts.append(_seen(token.content))
            case "softbreak" | "hardbreak":
                parts.append(" ")
            case _:  # text, and the alternative text of an image; marks have no content
                parts.append(token.content)
    return "".join(parts)


def _with_unit(cell: str, column: list[str]) -> str:
    unit = UNIT.search(column[0]) if column else None
    return f"{cell} {unit[0]}" if unit and cell[-1:].isdigit() else cell


def _math(tex: str) -> str:
    """TeX with its numbers and signs as prose writes them."""
    tex = re.sub(r"\\[,;: ]|~", " ", tex).replace("{,}", ",").replace(r"\times", "×")
    return tex.replace(r"\%", "%")


def _seen(html: str) -> str:
    """What a piece of HTML shows."""
    parser = _Visible()
    parser.feed(COMMENT.sub("", html))
    parser.close()
    return parser.text.strip(" .\n")
