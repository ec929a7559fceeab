"""*security*: who is turned away and why, who knocks, and what expires."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.dashboards.panels import Marks, Row, board, each, lines, number, per_minute, rate, total
from grafana.dashboards.recurring import counted
from grafana.objectives import DAY_S

_WHO = 'code=~"DENIED|REVOKED|SUSPENDED|IDENTITY|CERTIFICATE|WRONG_ROLE|WRONG_SIDE|ID_TAKEN|ID_IN_USE|INVITE"'
_RULES = 'code=~"POLICY_.*"'
_BROKEN = 'code=~"BAD_FRAME|SESSION_PROTOCOL|PATH_UNKNOWN|VERSION|UNSUPPORTED|REQUEST|DOCUMENT"'


def security(runbooks: str) -> Dashboard:
    """What a node tells of strangers and of those who may not; nobody is named: the audit does that."""
    return board(
        "security",
        "Who is turned away and why; who knocks; what expires. Nobody is named here: telerelay audit search does that.",
        [_now(), _strangers(), _refused(), _room()],
        runbooks,
        since="24h",
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            number(
                "Failed handshakes a second",
                "Strangers, scanners, broken lines. Above 20 at one node: runbook HandshakeFlood.",
                rate("handshakes_failed_total"),
                "cps",
                Marks(5, 20),
            ),
            number(
                "Guests",
                "Share of the descriptors that connections of nobody known hold; at a quarter the least "
                "progressed goes.",
                f"max({each('guests')} / {each('descriptors_limit')})",
                "percentunit",
                Marks(0.1, 0.2),
            ),
            number(
                "Node certificate",
                "Days until the first expires. It renews itself at 90. Runbook: CertificateExpires.",
                _days("node"),
                "d",
                Marks(90, 60, falling=True),
            ),
            number(
                "Cluster's CA",
                "Days until it expires. The successor takes a year to reach everybody. Runbook: CertificateExpires.",
                _days("ca"),
                "d",
                Marks(730, 365, falling=True),
            ),
            number(
                "Computers without a stamp",
                "Nobody is let in there: a keeper does not run. Runbook: StampsStale.",
                f"max({each('stamps_stale')})",
                "short",
                Marks(1, 10),
            ),
            number(
                "Documents that have expired",
                "Computers whose organisation must publish them anew: telerelay org list.",
                f"max({each('documents_expired')})",
                "short",
                Marks(1, 10),
            ),
        ],
    )


def _strangers() -> Row:
    return Row(
        "Who knocks",
        [
            lines(
                "Failed handshakes a second, by reason",
                "not_tls: scanners. hello_late, handshake_late: who holds places and says nothing. tls: foreign or "
                "expired certificates. busy: one too many at once.",
                {"{{reason}}": f"{rate('handshakes_failed_total', by='reason')} > 0"},
                "cps",
                limit=20,
                nothing="none failed",
            ),
            lines(
                "Connections of nobody known",
                "Guests; those in their handshake; those who wait for it. The line for handshakes is a second long.",
                {
                    "guests": total("guests"),
                    "in their handshake": total("handshaking"),
                    "wait": total("handshakes_waiting"),
                },
                "short",
            ),
            lines(
                "Connections a second",
                "Accepted, and what came of them.",
                {
                    "accepted": rate("connections_accepted_total"),
                    "handshakes that ended well": rate("handshakes_total"),
                },
                "cps",
            ),
        ],
    )


def _refused() -> Row:
    return Row(
        "Who is turned away",
        [
            counted(
                "Who they are",
                "Not granted, withdrawn, suspended, another key for a known computer ID.",
                "refusals_total",
                "code",
                _WHO,
                nothing="nobody",
            ),
            counted(
                "Rules",
                "Hours, networks, versions and what else an organisation decided; POLICY_STALE is a keeper that is "
                "silent.",
                "refusals_total",
                "code",
                _RULES,
            ),
            counted(
                "What breaks the protocol",
                "Damaged or hostile programs. Each ends its own connection and nothing else.",
                "refusals_total",
                "code",
                _BROKEN,
            ),
            counted(
                "Too often or one too many",
                "By the rule of docs/LIMITS.md. connects_per_minute: a device that guesses computers, runbook "
                "ComputersGuessed.",
                "throttled_total",
                "rule",
            ),
            counted(
                "Refusals of the API",
                "Enrolment, documents, the operator's own too.",
                "api_refusals_total",
                "code",
                nothing="nobody was refused",
            ),
            lines(
                "Connections of the API",
                "anonymous: machines that enrol, and strangers who try.",
                {"{{caller}}": total("api_connections", by="caller")},
                "short",
            ),
        ],
    )


def _room() -> Row:
    return Row(
        "What defends itself, and what is kept on record",
        [
            lines(
                "Defences, a minute",
                "Accepting paused; connections let go for want of memory.",
                {
                    "accepting paused": per_minute("accept_pauses_total"),
                    "let go: {{step}}": per_minute("memory_shed_total", by="step"),
                },
                "cpm",
            ),
            lines(
                "Audit records a second",
                "Every attempt of somebody known has its record, durable before anybody is let in.",
                {"records": rate("audit_records_total")},
                "cps",
            ),
            lines(
                "Organisations and computers",
                "Admitted ones that are not suspended, throw-away ones of load tests apart; computers with a document.",
                {
                    "organisations ({{traffic}})": f"max by (traffic) ({each('organisations')})",
                    "computers": f"max({each('computers')})",
                },
                "short",
            ),
        ],
    )


def _days(certificate: str) -> str:
    expires = each("certificate_expires_timestamp_seconds", f'certificate="{certificate}"')
    return f"(min({expires}) - time()) / {DAY_S}"
