"""`telerelay org policy check`: everything that is wrong with a policy, before it is signed."""

from telerelay.cli.org_options import OrgOption, PolicyArgument, policy_file
from telerelay.org.policy.file import read_policy
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.settings import SettingsError


def org_policy_check(
    file: PolicyArgument = None, org: OrgOption = None, json: JsonOption = False, lang: LangOption = None
) -> None:
    """Tell everything that is wrong with a policy, with its place; exit 2 when something is.

    Needs neither node nor keys. Whether the computers that it names exist, publish tells.

    Examples:

      telerelay org policy check

      telerelay org policy check draft.toml --json
    """
    console = Console(json=json, lang=lang)
    path = policy_file(file, org)
    try:
        policy = read_policy(path)
    except SettingsError as error:
        record = {"file": str(path), "problems": [problem.record() for problem in error.problems]}
        console.data("org-policy-check", record, "\n".join(problem.line() for problem in error.problems))
        raise
    counts = {"groups": len(policy.groups), "computers": len(policy.computers), "own": len(policy.own)}
    console.data(
        "org-policy-check",
        {"file": str(path), "problems": [], **counts},
        console.text(
            f"nothing is wrong ({path}: groups {counts['groups']}, computers {counts['computers']},"
            f" own devices {counts['own']})",
            f"問題はありません ({path}: グループ {counts['groups']}、コンピューター {counts['computers']}、"
            f"私物端末 {counts['own']})",
        ),
    )
