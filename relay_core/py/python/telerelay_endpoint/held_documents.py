"""The newest documents that somebody saw or signed, as files: showing older ones cannot take them back."""

from collections.abc import Callable
from pathlib import Path

from telerelay_core import CoreError, format_computer_id, parse_computer_id
from telerelay_endpoint import cose, files
from telerelay_endpoint.documents import Document, Kind, Signed
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.payloads import ComputerDocument, NodeList, RevocationList, Stamp
from telerelay_endpoint.strict_cbor import FormRefusedError

_SUFFIX = ".cose"


class HeldDocuments:
    """A folder of verified documents. What is read from it was verified when it was put there.

    Raises TelerelayError(DOCUMENT) when a file is damaged, OSError when the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def computer(self, computer: bytes) -> Signed[ComputerDocument] | None:
        """The computer document of a computer (ID of 10 bytes)."""
        return self._load(self._path(Kind.COMPUTER, computer), ComputerDocument.decode)

    def stamp(self, computer: bytes) -> Signed[Stamp] | None:
        """The stamp of a computer (ID of 10 bytes)."""
        return self._load(self._path(Kind.STAMP, computer), Stamp.decode)

    def revocations(self) -> Signed[RevocationList] | None:
        """The organisation's revocation list."""
        return self._load(self._path(Kind.REVOCATIONS, None), RevocationList.decode)

    def nodes(self) -> Signed[NodeList] | None:
        """The cluster's node list."""
        return self._load(self._path(Kind.NODES, None), NodeList.decode)

    def computers(self) -> list[bytes]:
        """The IDs of all computers with a document here."""
        try:
            names = [
                path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"{Kind.COMPUTER}-*{_SUFFIX}")
            ]
            return sorted(parse_computer_id(name.removeprefix(f"{Kind.COMPUTER}-")) for name in names)
        except CoreError as error:
            raise TelerelayError("DOCUMENT", f"{self._folder} holds a file of a strange name") from error

    def keep(
        self, signed: "Signed[ComputerDocument] | Signed[Stamp] | Signed[RevocationList] | Signed[NodeList]"
    ) -> None:
        """Put a verified document in the place of the one before."""
        files.make_private_folder(self._folder)
        files.replace(self._path_of(signed.document), signed.encoded)

    def _path_of(self, document: ComputerDocument | Stamp | RevocationList | NodeList) -> Path:
        match document:
            case ComputerDocument(computer=computer):
                return self._path(Kind.COMPUTER, computer)
            case Stamp(computer=computer):
                return self._path(Kind.STAMP, computer)
            case RevocationList():
                return self._path(Kind.REVOCATIONS, None)
            case NodeList():
                return self._path(Kind.NODES, None)

    def _path(self, kind: Kind, computer: bytes | None) -> Path:
        name = kind if computer is None else f"{kind}-{format_computer_id(computer)}"
        return self._folder / f"{name}{_SUFFIX}"

    @staticmethod
    def _load(path: Path, decode: Callable[[bytes], Document]) -> Signed[Document] | None:
        try:
            encoded = path.read_bytes()
            return Signed(decode(cose.take_apart(encoded).payload), encoded)
        except FileNotFoundError:
            return None
        except FormRefusedError as error:
            raise TelerelayError("DOCUMENT", f"{path}: {error}") from error
