"""What a node and an agent do with each document that comes."""

from pytest_benchmark.fixture import BenchmarkFixture

from telerelay_endpoint.documents import verify_computer_document
from tests.kit.tenant import Tenant


def bench_document_verification(benchmark: BenchmarkFixture) -> None:
    tenant = Tenant()
    encoded = tenant.document()
    benchmark.extra_info["title"] = "verification of a computer document"
    signed = benchmark(verify_computer_document, encoded, tenant.root, tenant.now)
    assert signed.document.computer == tenant.computer
