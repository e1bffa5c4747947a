"""Which arguments are secret, and what is shown in their place.

A parameter is secret where its JSON Schema has `writeOnly` anywhere: that of `Secret[…]` and of pydantic's
`SecretStr` does. A task's description in the catalogue names them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

#: What is shown in place of a secret.
HIDDEN = "***"
#: Shorter texts are left in errors: they are in too many words.
MIN_SCRUBBED_CHARS = 4

T = TypeVar("T")
#: The name of a parameter, or its place among those that have none.
_Place = str | tuple[str, int | str]


class _Mark:
    """Marks a type hint for pydantic."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> Any:
        return {**handler(core_schema), "writeOnly": True}


#: A parameter that is shown to nobody: `def charge(card: Secret[str])`. The task gets a plain value.
Secret = Annotated[T, _Mark()]


def is_secret(part: Any, definitions: Mapping[str, Any]) -> bool:
    """Return whether a part of a JSON Schema, or anything in it, is marked."""
    seen: set[str] = set()

    def look(value: Any) -> bool:
        if isinstance(value, dict):
            if value.get("writeOnly") is True:
                return True
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name in definitions and name not in seen:
                seen.add(name)
                if look(definitions[name]):
                    return True
            return any(look(each) for key, each in value.items() if key != "$defs")
        return isinstance(value, list) and any(map(look, value))

    return look(part)


def hides(description: Mapping[str, Any], name: str) -> bool:
    """Return whether the value of a parameter is hidden; `*` and `**` are those without a name.

    Of a task with secrets, what belongs to no parameter is hidden too: it may be one that is misplaced.
    """
    secret = description.get("secret")
    if not secret:
        return False
    return name in secret or name not in _parameter_names(description)


def redacted(
    description: Mapping[str, Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return a call's arguments as they may be shown; where nothing is known of the task, none may be."""
    if description is None:
        return [HIDDEN] * len(args), dict.fromkeys(kwargs, HIDDEN)
    if not description.get("secret"):
        return list(args), dict(kwargs)
    places = _places(description, args)
    return (
        [
            HIDDEN if hides(description, _name(place)) else value
            for place, value in zip(places, args, strict=True)
        ],
        {
            key: HIDDEN if hides(description, _name(_place(description, key))) else value
            for key, value in kwargs.items()
        },
    )


def restored(
    description: Mapping[str, Any],
    new: tuple[Sequence[Any], Mapping[str, Any]],
    old: tuple[Sequence[Any], Mapping[str, Any]],
) -> tuple[list[Any], dict[str, Any]]:
    """Return new arguments of a job, where a secret that was sent back as it was shown is what it was."""
    kept = dict(zip(_places(description, old[0]), old[0], strict=True))
    kept |= {_place(description, key): value for key, value in old[1].items()}

    def value_of(place: _Place, value: Any) -> Any:
        if value == HIDDEN and hides(description, _name(place)):
            return kept.get(place, value)
        return value

    args = [
        value_of(place, value)
        for place, value in zip(_places(description, new[0]), new[0], strict=True)
    ]
    return args, {key: value_of(_place(description, key), v) for key, v in new[1].items()}


def scrubbed(
    text: str, description: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str:
    """Return a text with the values of secret arguments taken out of it."""
    hidden = [
        value
        for place, value in zip(_places(description, args), args, strict=True)
        if hides(description, _name(place))
    ]
    hidden += [
        v for key, v in kwargs.items() if hides(description, _name(_place(description, key)))
    ]
    texts = {each for value in hidden for each in _texts(value)}
    for each in sorted(texts, key=len, reverse=True):
        if len(each) >= MIN_SCRUBBED_CHARS:
            text = text.replace(each, HIDDEN)
    return text


def _parameter_names(description: Mapping[str, Any]) -> set[str]:
    names = {*description["positional"], *description["keyword"]}
    if description["var_positional"] is not None:
        names.add("*")
    if description["var_keyword"] is not None:
        names.add("**")
    return names


def _places(description: Mapping[str, Any], args: Sequence[Any]) -> list[_Place]:
    names = description["positional"]
    return [names[i] if i < len(names) else ("*", i) for i in range(len(args))]


def _place(description: Mapping[str, Any], key: str) -> _Place:
    return key if key in description["keyword"] else ("**", key)


def _name(place: _Place) -> str:
    return place if isinstance(place, str) else place[0]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str) or (isinstance(value, (int, float)) and value is not True):
        yield str(value)
