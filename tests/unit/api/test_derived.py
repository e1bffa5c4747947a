"""Schemas that are derived from the types of documents."""

from typing import Annotated, TypedDict

from msgspec import Meta

from services.api.openapi.derived import schemas_of


class Wheel(TypedDict):
    """A wheel."""

    size: Annotated[int, Meta(ge=1, description="In inches.")]


class Cart(TypedDict):
    """A cart.

    What follows is for who reads the code.
    """

    wheels: list[Wheel]
    name: str | None


WHEEL = {
    "type": "object",
    "description": "A wheel.",
    "properties": {"size": {"type": "integer", "minimum": 1, "description": "In inches."}},
    "required": ["size"],
}


def test_a_schema_has_all_fields_in_their_order():
    """All are required, and a type that has no name in the document stands in place."""
    (cart,) = schemas_of(Cart=Cart).values()

    assert cart["description"] == "A cart."
    assert list(cart["properties"]) == cart["required"] == ["wheels", "name"]
    assert cart["properties"]["wheels"] == {"type": "array", "items": WHEEL}
    assert cart["properties"]["name"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_a_type_with_a_name_is_referred_to():
    """By the name of its schema."""
    made = schemas_of(Vehicle=Cart, Round=Wheel)

    assert made["Round"] == WHEEL
    assert made["Vehicle"]["properties"]["wheels"]["items"] == {
        "$ref": "#/components/schemas/Round"
    }
