"""The node's certificate is made anew while everybody is connected: nobody notices, whoever comes sees it."""

import asyncio
import ssl
import time
from pathlib import Path

from cryptography import x509

from telerelay.authority.profile import certify_node
from telerelay_core import SessionOpened
from telerelay_endpoint.certificates import Role, format_chain
from telerelay_endpoint.keys import load_key_file, make_key
from tests.kit.beside import beside, counting, newcomer
from tests.kit.condition import INTERVAL, eventually
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.outer_leg import OuterLeg

ROTATIONS = 5
AT_A_TIME = 4
REFUSED = "the node's certificate stays as it was"


async def _shown(node: NodeProcess) -> int:
    """The serial number of the certificate that a stranger is shown."""
    host, _, port = node.address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(shown).serial_number


async def test_certificates_change_under_load_and_nobody_notices(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        tenant = newcomer(node)
        files = tenant.files(node.folder, Role.CLIENT)
        seen = [await _shown(node)]
        logged_in = 0
        async with beside(node) as session, counting(node, {"ended.DONE": 1}):
            rotating = True

            async def log_in() -> None:
                nonlocal logged_in
                while rotating:
                    leg = await OuterLeg.dial(node.address, files)
                    assert (await leg.hello("client")).name == "WELCOME"
                    leg.close()
                    logged_in += 1

            crowd = [asyncio.create_task(log_in()) for _ in range(AT_A_TIME)]
            for _ in range(ROTATIONS):
                (node.data / "cluster" / "node.pem").unlink()
                node.hang_up()
                async with asyncio.timeout(10):
                    while (serial := await _shown(node)) == seen[-1]:
                        await asyncio.sleep(INTERVAL)
                seen.append(serial)
                await session.runs()
            rotating = False
            await asyncio.gather(*crowd)
            # Its own pins hold for the new one.
            async with agent_of(node, tenant), client_of(node, tenant) as client:
                await client.wait(SessionOpened)
        assert len(set(seen)) == ROTATIONS + 1
        assert logged_in > ROTATIONS * AT_A_TIME


async def test_what_cannot_be_used_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        (tenant, cluster) = newcomer(node), node.data / "cluster"
        before = await _shown(node)
        key = load_key_file(cluster / "node.key").public_key()
        (ca,) = x509.load_pem_x509_certificates((cluster / "ca.pem").read_bytes())
        name = x509.load_pem_x509_certificates((cluster / "node.pem").read_bytes())[0]
        forged = certify_node(key, _name(name), ca, make_key(), int(time.time()))
        async with beside(node) as session:
            for number, content in enumerate((b"no certificate", format_chain([forged, ca])), start=1):
                (cluster / "node.pem").write_bytes(content)
                node.hang_up()
                await _refused(node, number)
                assert await _shown(node) == before
                await session.runs()
        (await OuterLeg.dial(node.address, tenant.files(node.folder, Role.CLIENT))).close()


async def _refused(node: NodeProcess, times: int) -> None:
    await eventually(lambda: node.log.read_text().count(REFUSED) == times)


def _name(certificate: x509.Certificate) -> str:
    """The node's name, as its certificate has it."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)[0]
