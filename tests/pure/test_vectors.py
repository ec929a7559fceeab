"""The vectors hold for the independent decoder and for the core; of other bytes both say the same."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import telerelay_sim
from tests.kit import vectors
from tests.kit.decoder import frames, ids, records
from tests.kit.decoder.items import BrokenError

LAYERS = ("outer", "inner")
Read = Callable[[str, bytes], tuple[list[dict[str, Any]], int]]


def read_independently(layer: str, stream: bytes) -> tuple[list[dict[str, Any]], int]:
    """As `telerelay_sim.read_outer`, by the independent decoder."""
    read, left = frames.read(layer, stream)
    return [{"frame": frame.name, "fields": frame.fields} for frame in read], left


def read_by_core(layer: str, stream: bytes) -> tuple[list[dict[str, Any]], int]:
    """As `telerelay_sim.read_outer`; a broken stream raises the decoder's BrokenError."""
    return _core(layer, [stream])


def read_by_core_in_bytes(layer: str, stream: bytes) -> tuple[list[dict[str, Any]], int]:
    """As `read_by_core`, one byte after the other."""
    return _core(layer, [bytes([byte]) for byte in stream])


def _core(layer: str, pieces: list[bytes]) -> tuple[list[dict[str, Any]], int]:
    read = telerelay_sim.read_outer if layer == "outer" else telerelay_sim.read_inner
    try:
        read_frames, held = read(pieces)
    except telerelay_sim.BrokenError as error:
        raise BrokenError(*error.args) from None
    return [dict(frame) for frame in read_frames], held


readers = pytest.mark.parametrize("read", [read_independently, read_by_core, read_by_core_in_bytes])
layers = pytest.mark.parametrize("layer", LAYERS)


def outcome(read: Read, layer: str, stream: bytes) -> tuple[list[dict[str, Any]], int] | str:
    """What was read, or the rule that the bytes break."""
    try:
        return read(layer, stream)
    except BrokenError as error:
        return str(error)


def each(layer: str, file: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for vector in vectors.load(vectors.VECTORS / layer / file)["vectors"]:
        yield bytes.fromhex(vector["hex"]), vector


STREAMS = {
    layer: [stream for _, stream in vectors.vectors(layer)]
    + [stream for file in ("refused.json", "tolerated.json") for stream, _ in each(layer, file)]
    for layer in LAYERS
}


@layers
@readers
def test_frames_are_read_as_their_fields(read: Read, layer: str) -> None:
    assert set(vectors.frame_files(layer)) == set(frames.LAYERS[layer])
    for frame, data in vectors.vectors(layer):
        assert read(layer, data) == ([{"frame": frame.name, "fields": frame.fields}], 0), data.hex()


@layers
def test_fields_are_written_as_their_bytes(layer: str) -> None:
    encode = telerelay_sim.encode_outer if layer == "outer" else telerelay_sim.encode_inner
    decode = telerelay_sim.decode_outer if layer == "outer" else telerelay_sim.decode_inner
    for frame, data in vectors.vectors(layer):
        assert frames.write(layer, frame) == data
        assert encode({"frame": frame.name, "fields": frame.fields}) == data
        assert decode(data) == {"frame": frame.name, "fields": frame.fields}


@layers
@readers
def test_each_way_to_break_a_frame_is_refused(read: Read, layer: str) -> None:
    for data, vector in each(layer, "refused.json"):
        assert outcome(read, layer, data) == vector["error"], vector["name"]


@layers
@readers
def test_what_a_later_version_may_send_is_read(read: Read, layer: str) -> None:
    for data, vector in each(layer, "tolerated.json"):
        assert read(layer, data) == (vector["frames"], vector["left"]), vector["name"]


@layers
@pytest.mark.parametrize("read", [read_independently, read_by_core])
def test_one_flipped_byte_makes_another_frame_or_none(read: Read, layer: str) -> None:
    for frame, data in vectors.vectors(layer):
        same = [{"frame": frame.name, "fields": frame.fields}], 0
        for position in range(len(data)):
            flipped = data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]
            assert outcome(read, layer, flipped) != same, f"{frame.name}, byte {position}"


@layers
@given(data=st.data())
def test_decoder_and_core_say_the_same_of_damaged_frames(layer: str, data: st.DataObject) -> None:
    stream = bytearray(data.draw(st.sampled_from(STREAMS[layer])))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(read_independently, layer, bytes(stream)) == outcome(read_by_core, layer, bytes(stream))


def test_annotated_digits_are_the_bytes_and_files_are_what_the_writer_writes() -> None:
    for layer in (*LAYERS, "records"):
        for path in (vectors.VECTORS / layer).glob("*.json"):
            content = vectors.load(path)
            assert vectors.derive(layer, content) == content, path
            for vector in content["vectors"]:
                assert vectors.digits(vector["annotated"]) == vector["hex"], f"{path}: {vector['name']}"


def test_records_are_cut_exactly() -> None:
    for data, vector in each("records", "records.json"):
        if "error" in vector:
            with pytest.raises(BrokenError, match=vector["error"]):
                records.scan(data)
            with pytest.raises(telerelay_sim.BrokenError, match=vector["error"]):
                telerelay_sim.scan_records(data)
        else:
            expected = [(record["content"], record["start"], record["end"]) for record in vector["records"]]
            assert [(record.content, record.start, record.end) for record in records.scan(data)] == expected
            assert telerelay_sim.scan_records(data) == expected


PARSERS = {
    "computer": (ids.read_computer, telerelay_sim.parse_computer_id),
    "attempt": (ids.read_attempt, telerelay_sim.parse_attempt_id),
}
FORMATTERS = {
    "computer": (ids.show_computer, telerelay_sim.format_computer_id),
    "attempt": (ids.show_attempt, telerelay_sim.format_attempt_id),
}


@pytest.mark.parametrize("kind", ["computer", "attempt"])
def test_ids_are_shown_corrected_and_refused(kind: str) -> None:
    content = vectors.load(vectors.VECTORS / "ids" / f"{kind}.json")
    for vector in content["shown"]:
        for show in FORMATTERS[kind]:
            assert show(bytes.fromhex(vector["bytes"])) == vector["text"]
        for parse in PARSERS[kind]:
            assert parse(vector["text"]) == bytes.fromhex(vector["bytes"])
    for vector in content["corrected"]:
        for parse in PARSERS[kind]:
            assert parse(vector["typed"]) == bytes.fromhex(vector["bytes"]), vector["name"]
    details = ("error", "position", "character", "found")
    for vector in content["refused"]:
        expected = tuple(vector[detail] for detail in details if detail in vector)
        for parse in PARSERS[kind]:
            with pytest.raises((ids.MistypedError, telerelay_sim.MistypedError)) as caught:
                parse(vector["typed"])
            assert caught.value.args == expected, vector["name"]


@given(st.binary(min_size=10, max_size=10), st.text(max_size=20))
def test_decoder_and_core_say_the_same_of_any_id(identity: bytes, typed: str) -> None:
    shown = ids.show_computer(identity)
    assert telerelay_sim.format_computer_id(identity) == shown
    assert telerelay_sim.parse_computer_id(shown) == identity
    said: list[str | tuple[Any, ...]] = []
    for parse in PARSERS["computer"]:
        try:
            said.append(parse(typed).hex())
        except (ids.MistypedError, telerelay_sim.MistypedError) as error:
            said.append(error.args)
    assert said[0] == said[1]
