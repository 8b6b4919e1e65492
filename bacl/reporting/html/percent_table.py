"""Tables of heads: their numbers, and below each how it differs from the first head's."""

from collections.abc import Iterable, Sequence

from bacl.messages.shown import shown
from bacl.reporting.head_rows import DASH, Cell
from bacl.reporting.html.markup import Markup, element


def percent_table(
    caption: str,
    titles: Sequence[object],
    rows: Iterable[tuple[str, Sequence[Cell]]],
    more_is_better: bool = True,
) -> Markup:
    """A table that can be sorted by its columns, where there are rows to sort.

    A difference that is not sure is grey, and in brackets.

    Args:
        caption: what is told of it.
        titles: of the columns after the name.
        rows: name and cells of every head.
        more_is_better: which differences are gains.
    """
    signs = ("gain", "loss") if more_is_better else ("loss", "gain")
    head = [_title("head", "text"), *(_title(each, "number") for each in titles)]
    body = [_row(name, cells, signs) for name, cells in rows]
    parts = (element("thead", element("tr", *head)), element("tbody", *body))
    order = "sortable" if len(body) > 2 else None
    table = element("table", element("caption", caption), *parts, class_=order)
    return element("div", table, class_="scrolled", tabindex="0", role="region", aria_label=caption)


def _title(title: object, kind: str) -> Markup:
    return element("th", title, scope="col", class_=kind)


def _row(name: str, cells: Sequence[Cell], signs: tuple[str, str]) -> Markup:
    head = element("th", shown(name), scope="row", class_="text")
    return element("tr", head, *(_number(cell, *signs) for cell in cells))


def _number(cell: Cell, more: str, less: str) -> Markup:
    value = "" if cell.value == DASH else cell.value.split()[0]  # without its error
    parts = [element("span", cell.value, class_="value")]
    if cell.change:
        sign = {"+": more, "-": less}.get(cell.change[0], "")
        text = cell.change.replace("-", "\u2212")
        known = "±" in text  # of a difference without an error nobody knows how sure it is
        text = text if cell.sure else f"({text})"
        style = f"change {sign}" if known and cell.sure else "change"
        parts.append(element("span", text, class_=style))
    return element("td", *parts, class_="number", data_value=value)
