"""The requirements S1 to S40 of telework into LGWAN, and why those without a try are not tested here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telerelay.prove.verdicts import Said

_OTHER_SIDE: Final = Said(
    "A client cannot see it: it lies with the organisation or the relay.",
    "団体側または中継側の事項であり、クライアントからは確認できない。",
)
_LATER: Final = Said("This version does not do it yet.", "この版では未対応。")
_BY_HAND: Final = Said(
    "A matter of people and procedures: to be looked at by hand.",
    "運用上の事項であり、人による確認を要する。",
)
_OWN_MACHINE: Final = Said(
    "It concerns the machine at home, which a hostile person controls: a courtesy, no protection.",
    "自宅側の端末に関する事項であり、攻撃者の支配下では保護とならない。",
)
_BY_TESTS: Final = Said(
    "Shown by the program's own tests, not by a client's tries.",
    "製品の試験で確認する事項であり、この検査の対象外。",
)


@dataclass(frozen=True)
class Requirement:
    """`untested`: why it is not tested here where no try is about it."""

    title: Said
    untested: Said


def _row(en: str, ja: str, untested: Said) -> Requirement:
    return Requirement(Said(en, ja), untested)


REQUIREMENTS: Final[Mapping[int, Requirement]] = {
    1: _row("Screen only; nothing is stored at home", "画面転送のみ。自宅側に何も保存しない", _BY_TESTS),
    2: _row("No clipboard", "クリップボード共有の禁止", _BY_TESTS),
    3: _row("No printing at home", "自宅での印刷の禁止", _BY_TESTS),
    4: _row("No USB or other storage", "USB 等の外部記憶の禁止", _BY_TESTS),
    5: _row("Users authenticated, password rules", "利用者認証とパスワード規則", _LATER),
    6: _row("Permitted devices only", "許可された端末のみ", _BY_TESTS),
    7: _row("The whole way encrypted, end to end", "全区間・端末間の暗号化", _BY_TESTS),
    8: _row("State of the device checked", "端末の状態の確認", _LATER),
    9: _row("Every device known", "端末の資産管理", _OTHER_SIDE),
    10: _row("Central rules by user", "利用者ごとの集中管理", _BY_TESTS),
    11: _row("One service, few addresses, one port", "限られた宛先とポートのみ", _OTHER_SIDE),
    12: _row("The PC at the office is patched", "職場側 PC の更新", _OTHER_SIDE),
    13: _row("Shoulder surfing", "のぞき見の防止", _BY_HAND),
    14: _row("Secret, complex computer IDs", "推測できないコンピューター ID", _BY_TESTS),
    15: _row("The relay records no content", "中継は内容を記録しない", _BY_TESTS),
    16: _row("An impostor's server does not succeed", "なりすましサーバーの排除", _BY_TESTS),
    17: _row("Access of lost devices ends at once", "紛失端末の即時停止", _OTHER_SIDE),
    18: _row("Installed with consent, without administrator rights", "同意と一般権限による導入", _BY_HAND),
    19: _row("Little personal data, logs for lawful requests", "個人情報の最小化と記録の提供", _OTHER_SIDE),
    20: _row("Maintenance does not hurt", "保守時の継続", _BY_TESTS),
    21: _row("Several ways to log in", "各種の認証方式", _LATER),
    22: _row("Unexpected growth", "利用の急増", _BY_TESTS),
    23: _row("No public wireless networks", "公衆無線 LAN の禁止", _OWN_MACHINE),
    24: _row("Permitted destinations only", "許可された接続先のみ", _OWN_MACHINE),
    25: _row("Own devices only by exception", "私物端末は例外のみ", _OTHER_SIDE),
    26: _row("A PC taken out is wiped before", "持ち出し前のデータ消去", _BY_HAND),
    27: _row("The office side is protected meanwhile", "利用中の職場側画面の保護", _LATER),
    28: _row("The PC is changed only as announced", "告知した範囲の変更のみ", _OTHER_SIDE),
    29: _row("Terms accepted at installation", "導入時の規約への同意", _BY_HAND),
    30: _row("Changes announced seven days ahead", "変更の 7 日前の告知", _BY_HAND),
    31: _row("Where to get help and programs", "問い合わせ先と入手先", _BY_HAND),
    32: _row("Misuse stopped at once", "不正利用の即時停止", _OTHER_SIDE),
    33: _row("Logs on lawful demand", "適法な請求への記録提供", _OTHER_SIDE),
    34: _row("Rules for addresses", "接続元アドレスの規則", _OTHER_SIDE),
    35: _row("Low privilege", "最小の権限", _BY_TESTS),
    36: _row("Sides are not mixed up", "内側と外側の区別", _BY_TESTS),
    37: _row("Flaws and updates", "脆弱性と更新", _BY_HAND),
    38: _row("Licences of parts", "部品のライセンス", _BY_HAND),
    39: _row("The service may end, lines may be metered", "終了時の持ち出しと通信量", _BY_HAND),
    40: _row("Growth beyond the plan", "計画を超える利用", _BY_TESTS),
}
"""By S-number."""
