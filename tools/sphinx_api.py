"""`{course-api} measure models.* settings:seed,profile`: what modules of course_lib offer.

It is read from their sources; nothing is imported, so the book builds without Keras.
`-models.graph` leaves a module out.
"""

import ast
import re
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

LIBRARY = Path(__file__).resolve().parent.parent / "course_lib"
NAMES = r"[a-z_]\w*(?:, [a-z_]\w*)*: "  # "images, names: …", of the arguments
PART = re.compile(rf"(?:^|(?<=[.;] ))(?={NAMES}|Returns |Raises )", re.M)


def modules(asked: str) -> list[tuple[str, Path]]:
    """(name as a notebook writes it, file); several for `models.*`."""
    place = LIBRARY / asked.removesuffix(".*").replace(".", "/")
    if asked.endswith(".*"):
        files = sorted(set(place.glob("*.py")) - {place / "__init__.py"})
        return [(asked.replace("*", file.stem), file) for file in files]
    return [(asked, place / "__init__.py" if place.is_dir() else place.with_suffix(".py"))]


def offered(file: Path) -> list[ast.stmt]:
    """What stands in `__all__`, wherever in the folder it is defined; else what is defined here;
    else, in a room that collects its own, the classes of its modules."""
    near = {s.name: s for f in sorted(file.parent.glob("*.py")) for s in public(read(f))}
    names: list[str] = []
    for statement in read(file).body:
        if isinstance(statement, ast.ImportFrom):  # two of its modules may define that name
            imported = {alias.name for alias in statement.names}
            source = file.with_name(f"{statement.module.rpartition('.')[2]}.py")
            near |= {s.name: s for s in public(read(source)) if s.name in imported}
        if isinstance(statement, (ast.Assign, ast.AugAssign)) and "__all__" in {
            getattr(target, "id", "") for target in ast.walk(statement)
        }:
            names += ast.literal_eval(statement.value)
    if names:
        return [near[name] for name in sorted(names, key=str.lower) if name in near]
    return public(read(file)) or [s for s in near.values() if isinstance(s, ast.ClassDef)]


def read(file: Path) -> ast.Module:
    """The module in that file; an empty one where there is no such file."""
    return ast.parse(file.read_text(encoding="utf-8") if file.exists() else "")


def public(parent: ast.AST) -> list[ast.stmt]:
    """The functions and classes in a module or a class that are meant for its readers."""
    defined = [s for s in parent.body if isinstance(s, (ast.FunctionDef, ast.ClassDef))]
    return [s for s in defined if s.name[0] != "_" and ast.get_docstring(s)]


def signature(definition: ast.stmt) -> str:
    """What stands behind the name: "(model, images)"; of a class, what makes one."""
    if isinstance(definition, ast.FunctionDef):
        if any("property" in ast.unparse(mark) for mark in definition.decorator_list):
            return ""
        taken = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(definition.args))
        taken = re.sub(r"(: [^=,]+)=", r"\1 = ", re.sub(r": '([^']+)'", r": \1", taken))
        back = ast.unparse(definition.returns).strip("'") if definition.returns else ""
        return f"({taken})" + (f" → {back}" if back else "")
    fields = []
    for part in definition.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return signature(part)
        if isinstance(part, ast.AnnAssign):
            fields.append(part.target.id)
        elif isinstance(part, ast.Assign) and "traitlets." in ast.unparse(part.value):
            fields.append(part.targets[0].id)  # an explorer's setting
    return f"({', '.join(fields)})" if fields else ""


def entry(name: str, definition: ast.stmt, method: bool = False) -> nodes.definition_list_item:
    """A definition with its signature, what its docstring says, and a class's methods."""
    said = name[name.rindex(".") :] if method else name  # a reader has an object of it
    whole = nodes.literal("", said + signature(definition))
    body = nodes.definition("", *described(ast.get_docstring(definition)))
    if isinstance(definition, ast.ClassDef) and (methods := public(definition)):
        body += nodes.definition_list("", *(entry(f"{name}.{m.name}", m, True) for m in methods))
    return nodes.definition_list_item("", nodes.term("", "", whole, ids=[name]), body)


def described(docstring: str) -> list[nodes.Node]:
    """A docstring as paragraphs: one for each argument, and indented lines as they stand."""
    found = []
    for block in re.split(r"\n\s*\n", docstring):
        if block.startswith(("    ", "|")):
            found.append(nodes.literal_block(block, block, language="text"))
            continue
        for part in filter(None, PART.split(block)):
            names = re.match(NAMES, part)
            head = re.sub(r"\w+", r"`\g<0>`", names[0]) if names else ""
            words = " ".join((head + part[len(names[0]) if names else 0 :]).split()).split("`")
            spans = [nodes.literal("", w) if k % 2 else nodes.Text(w) for k, w in enumerate(words)]
            found.append(nodes.paragraph("", "", *spans, classes=["argument"] if names else []))
    return found


class CourseApi(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        asked, found = self.arguments[0].split(), []
        for place, _, only in (a.partition(":") for a in asked if a[0] != "-"):
            for name, file in modules(place):
                if f"-{name}" in asked:
                    continue
                if "*" in place:
                    found += [nodes.rubric("", "", nodes.literal("", name))]
                    found += described(ast.get_docstring(read(file)))[:1]
                wanted = only.split(",") if only else [d.name for d in offered(file)]
                items = [entry(f"{name}.{d.name}", d) for d in offered(file) if d.name in wanted]
                # What is in quotation marks is code and keeps them as they are.
                settings = {"classes": ["api"], "support_smartquotes": False}
                found.append(nodes.definition_list("", *items, **settings))
        return found
