"""The same scenario with other numbers of people."""

from msgspec.structs import replace

from telerelay_loadtest.scenario.file import Organisation, Scenario


def scaled(scenario: Scenario, staff: int) -> Scenario:
    """So many people in all: the organisations over and over, or, where one has too many, all in proportion.

    An organisation that comes again has another name, and so a morning of its own.
    """
    whole = sum(organisation.staff for organisation in scenario.organisations.values())
    copies = max(1, round(staff / whole))
    organisations: dict[str, Organisation] = {}
    for number in range(copies):
        for name, organisation in scenario.organisations.items():
            people = max(1, round(organisation.staff * staff / (whole * copies)))
            organisations[f"{name}-{number}" if number else name] = replace(organisation, staff=people)
    return replace(scenario, organisations=organisations)
