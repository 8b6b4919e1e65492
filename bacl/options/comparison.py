"""A composed configuration beside the options that there are."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Never, get_args, get_origin, is_typeddict

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bacl.messages.errors import UserError, in_one_line, user_error
from bacl.messages.shown import as_typed
from bacl.options.marks import SaidBy, bare, marks_of
from bacl.options.parts import Part, element_of, part_of
from bacl.options.problems import problem
from bacl.options.sections import Configuration
from bacl.options.signatures import Options, options_of, options_of_section

HYDRAS = {"_target_", "_partial_", "_recursive_", "_convert_"}
"""What a part may have beside its options."""


def wrong_options(
    config: DictConfig, classes: bool = True, section: Any = Configuration
) -> list[str]:
    """One line for each option that does not exist, or whose value cannot be meant.

    What another option stands for, as in `${head}`, is judged where that is.

    Args:
        config: composed; interpolations need not be resolved.
        classes: look also into the parts that classes are built from, which imports them.
        section: what the configuration is one of (`bacl.options.sections`).
    """
    config = config.copy()
    if isinstance(config.get("data"), DictConfig) and config.data.get("num_classes", 0) is None:
        with open_dict(config):
            config.data.num_classes = 1  # any: the training annotations will say
    if unresolved := sorted(_unresolved(config, "")):
        return [unresolved[0][1]]  # the others may well stand for this one
    comparison = _Comparison(config, classes)
    lines = list(comparison.section(config, section, "")) or list(comparison.stand_ins())
    return list(dict.fromkeys(lines))


def require_right_options(config: DictConfig) -> None:
    """Refuse options that no class takes, or whose values cannot be meant.

    Raises:
        UserError: one line for each.
    """
    if wrong := wrong_options(config):
        raise UserError("\n".join(wrong))


def unknown(path: str, known: set[str]) -> str:
    """A line about an option (`path`), or the value of one (`path=value`), that does not exist."""
    key = path.rpartition(".")[2]
    near = get_close_matches(key.partition("=")[2] or key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{path}: no such option{hint} (known here: {', '.join(sorted(known))})"


class _Comparison:
    def __init__(self, root: DictConfig, classes: bool) -> None:
        self.root = root
        self.classes = classes
        self.postponed: list[tuple[Any, Any, str]] = []

    def stand_ins(self) -> Iterator[str]:
        """Lines about options that stand for others, of which nothing was to be said."""
        for value, hint, path in self.postponed:
            if not (isinstance(value, DictConfig) and _is_node(hint)):
                yield from self.option(value, hint, path)

    def section(self, node: DictConfig, section: Any, path: str) -> Iterator[str]:
        """Lines about a node that names no class."""
        hints = options_of_section(section)
        for name in sorted(section.__required_keys__ - set(node)):
            yield f"{_at(path, name)}: is missing, and cannot be left out"
        yield from self.named(node, hints, path)

    def named(self, node: DictConfig, hints: Mapping[str, Any], path: str) -> Iterator[str]:
        """Lines about the options of a node, of which these are the types."""
        hints = {name: bare(hint) for name, hint in hints.items()}
        known = {name for name, hint in hints.items() if hint is not Never}
        for key in (key for key in node if key not in HYDRAS):
            at = _at(path, str(key))
            if key not in known:
                set_elsewhere = "" if key not in hints else f"{at}: set by other code; "
                yield set_elsewhere + unknown(at, known)
                continue
            if OmegaConf.is_interpolation(node, key):
                self.postponed.append((node[key], hints[key], at))
            else:
                yield from self.option(node[key], hints[key], at)

    def option(self, value: Any, hint: Any, path: str) -> Iterator[str]:
        """Lines about an option of this type."""
        part = part_of(hint)
        if isinstance(value, DictConfig) and is_typeddict(hint):
            yield from self.section(value, hint, path)
        elif isinstance(value, DictConfig) and part is not None:
            yield from self.part(value, part, path)
        elif isinstance(value, DictConfig) and _is_node(element := element_of(hint, Mapping)):
            yield from self.parts(value, hint, element, path)
        elif told := problem(_plain(value), hint):
            yield f"{path}={as_typed(_plain(value))}: {told}"
        elif isinstance(value, ListConfig) and _is_node(element := element_of(hint, Sequence)):
            for number, each in enumerate(value):
                yield from self.option(each, element, f"{path}[{number}]")

    def parts(self, node: DictConfig, hint: Any, element: Any, path: str) -> Iterator[str]:
        """Lines about parts that are told apart by names."""
        of_names = get_args(hint)[0] if get_origin(hint) is not None else str
        wrong = {key: told for key in node if (told := problem(key, of_names))}
        for key, told in wrong.items():
            yield f"{_at(path, as_typed(key))}: {told}, as its name"
        if not wrong:
            yield from self.named(node, dict.fromkeys(map(str, node), element), path)

    def part(self, node: DictConfig, part: Part, path: str) -> Iterator[str]:
        """Lines about a node that a class is built from."""
        target, factory = node.get("_target_"), node.get("_partial_", False)
        if not part.named:
            yield from self.named(node, options_of(str(part.makes)), path)
        elif not isinstance(target, str):
            yield f"{path}._target_={as_typed(_plain(target))}: expected the name of a class"
        elif not isinstance(factory, bool):
            yield f"{path}._partial_={as_typed(_plain(factory))}: expected true or false"
        elif part.factory is not None and factory is not part.factory:
            yield f"{path}._partial_={as_typed(factory)}: expected {as_typed(part.factory)}"
        elif self.classes:
            try:
                options, fits = options_of(target), part.is_made_by(target)
            except Exception as error:  # importing a module runs it, and raises whatever it does
                yield f"{path}._target_={as_typed(target)}: no such class ({in_one_line(error)})"
                return
            if fits:
                yield from self.built(node, options, part, path)
            else:
                yield f"{path}._target_={target}: expected {part}"

    def built(self, node: DictConfig, options: Options, part: Part, path: str) -> Iterator[str]:
        """Lines about the options of a node that a class is built from."""
        keys = {str(key) for key in node} - HYDRAS
        needed = {x for x in options.needed if part.factory is False or _is_plain(options[x])}
        for name in sorted(needed - keys):
            yield f"{_at(path, name)}: is missing, and cannot be left out"
        hints = dict.fromkeys(keys, Any) if options.takes_others else {}
        yield from self.named(node, hints | options, path)
        shared = [(x, mark) for x in sorted(keys & set(options)) for mark in marks_of(options[x])]
        for name, mark in shared:
            if isinstance(mark, SaidBy) and (at := _at(path, name)) != mark.option:
                own, all_others = node[name], OmegaConf.select(self.root, mark.option)
                if isinstance(own, int) and own != all_others:
                    yield f"{at}={own}: is what {mark.option} says; set that alone"


def _unresolved(node: Any, path: str) -> Iterator[tuple[bool, str]]:
    """Lines about interpolations that stand for nothing, after those that say so themselves."""
    keys: Any = node if isinstance(node, DictConfig) else range(len(node))
    plain: Any = OmegaConf.to_container(node, resolve=False)
    for key in keys:
        at = _at(path, str(key))
        try:
            value = node[key]
        except OmegaConfBaseException as error:
            if (mendable := user_error(error)) is not None:  # of what it stands for
                yield True, str(mendable)
                continue
            raw, reason = plain[key], in_one_line(error).partition(" full_key")[0]
            stands_for_it = not any(name in raw for name in reason.split("'")[1::2])
            yield stands_for_it, f"{at}={raw}: {reason}; a dollar sign that is meant is written \\$"
            continue
        if OmegaConf.is_config(value) and not OmegaConf.is_interpolation(node, key):
            yield from _unresolved(value, at)


def _is_plain(hint: Any) -> bool:
    """Whether an option of this type is no object, nor several that other code can hand over."""
    return part_of(hint) is None and not _is_node(element_of(hint, Mapping))


def _is_node(hint: Any) -> bool:
    return hint is not None and (is_typeddict(hint) or part_of(hint) is not None)


def _plain(value: Any) -> Any:
    # What stands for another option within a list is judged as a part of it.
    lists = isinstance(value, ListConfig)
    return OmegaConf.to_container(value, resolve=lists) if OmegaConf.is_config(value) else value


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
