"""Text as lines: one at a time, or many at once as a segment that COPY takes as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from saas_analytics.landing.records import MAX_ORIGINAL, MAX_RECORD, Overlong, without_end

_MARKS = re.compile(rb'["\r\n]')
_LINE_END = re.compile(rb"\r\n?|\n")


class Lines:
    """The lines of a stream, with their ends.

    As in PostgreSQL's COPY, which reads the segments: if the first line ends in a lone CR, a CR
    ends lines too. `quoted`: a line end between quotes does not end a record, nor the first line.
    A line longer than MAX_RECORD is returned as Overlong, which has only its beginning.
    """

    def __init__(self, blocks: Iterator[bytes], *, quoted: bool) -> None:
        self._blocks = blocks
        self._quoted = quoted
        self._text = b""  # the bytes in memory; those before _at are taken
        self._at = 0
        self._ended = False
        self.taken = 0  # bytes
        while (
            (end := _first_end(self._text, quoted)) is None
            and len(self._text) <= MAX_RECORD
            and not self._ended
        ):
            self.read_ahead(len(self._text) + 1)
        self._mark = end or b"\n"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        end = self._end_of_line(self._at)
        while end < 0:
            unread = len(self._text) - self._at
            if unread > MAX_RECORD:
                return self._overlong()
            self.read_ahead(unread + 1)
            end = self._end_of_line(
                self._at + max(unread - 1, 0)
            )  # a CR may be followed by its LF now
        if end == self._at:
            raise StopIteration
        line = self._text[self._at : end]
        self.skip(len(line))
        size = len(without_end(line))
        return _overlong(line, size) if size > MAX_RECORD else line

    def __bool__(self) -> bool:
        """Whether there are more lines."""
        self.read_ahead(1)
        return self._at < len(self._text)

    def read_ahead(self, size: int) -> None:
        """Read until `size` bytes that are not taken are in memory, or the stream ends."""
        unread = len(self._text) - self._at
        if unread >= size or self._ended:
            return
        parts = [self._text[self._at :]]
        while unread < size:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                break
            parts.append(block)
            unread += len(block)
        self._text, self._at = b"".join(parts), 0

    def skip(self, size: int) -> None:
        """Take `size` bytes, which are in memory, without returning them."""
        self._at += size
        self.taken += size

    def segment(self, size: int) -> bytes:
        """The next lines, at most `size` bytes, without taking them.

        Quotes that open in a segment close in it. Empty if that needs more bytes.
        """
        self.read_ahead(size + 1)  # with the byte after a CR
        end = self._at + size
        if end < len(self._text):
            end = self._text.rfind(self._mark, self._at, end) + 1
            if self._text[end : end + 1] == b"\n":
                return b""  # the CR before it is half of a line end
        else:
            end = len(self._text)
        if self._quoted and end > self._at:
            is_open = self._text.count(b'"', self._at, end) % 2
            while is_open:
                start = self._text.rfind(self._mark, self._at, end - 1) + 1
                if start <= self._at:
                    return b""
                is_open ^= self._text.count(b'"', start, end) % 2
                end = start
        return self._text[self._at : end]

    def are_uniform(self, segment: bytes) -> bool:
        """Whether all lines of this segment end as the first line does: COPY needs that."""
        if self._mark == b"\r":
            return b"\n" not in segment
        return b"\r" not in segment or segment.count(b"\r") == segment.count(b"\r\n")

    def peek(self) -> bytes:
        """The next line, without taking it; empty if it is not in memory."""
        end = self._end_of_line(self._at)
        return self._text[self._at : end] if end > 0 else b""

    def until_closed(self, size: int) -> bytes | None:
        """The lines up to the one that closes a quote of the `size` bytes before; not taken.

        None if it does not close, or if the record would be longer than MAX_RECORD.
        """
        searched = self._at
        is_open = True
        while is_open:
            quote = self._text.find(b'"', searched)
            end = self._end_of_line(quote) if quote >= 0 else -1
            if end < 0:
                unread = len(self._text) - self._at
                if size + unread > MAX_RECORD or self._ended:
                    return None
                searched -= self._at  # reading moves the text
                self.read_ahead(2 * unread + 1)
                searched += self._at
                continue
            is_open = self._text.count(b'"', quote, end) % 2 == 0
            searched = end
        return self._text[self._at : searched] if size + searched - self._at <= MAX_RECORD else None

    def _end_of_line(self, start: int) -> int:
        """The end of the line that continues at `start`; -1 if it has not been read yet."""
        if self._mark == b"\n":
            end = self._text.find(b"\n", start) + 1
        else:
            match = _LINE_END.search(self._text, start)
            end = match.end() if match else 0
            if end == len(self._text) and match and match[0] == b"\r" and not self._ended:
                return -1
        return end or (len(self._text) if self._ended else -1)

    def _overlong(self) -> Overlong:
        """Take a line, and keep only its beginning in memory."""
        start = self._text[self._at : self._at + MAX_ORIGINAL]
        before = self.taken
        while (end := self._end_of_line(self._at)) < 0:
            self.skip(len(self._text) - self._at - 1)  # the last byte may be half of a line end
            self.read_ahead(2)
        has_end = self._text[end - 1 : end] in (b"\n", b"\r")
        self.skip(end - self._at)
        return _overlong(start, self.taken - before - has_end)


def _overlong(start: bytes, size: int) -> Overlong:
    line = Overlong(start[:MAX_ORIGINAL])
    line.size = size
    return line


def _first_end(text: bytes, quoted: bool) -> bytes | None:
    """The end of the first line: b"\\n" (also for CR LF) or b"\\r"; None if it is not here."""
    inside = False
    for mark in _MARKS.finditer(text):
        if mark[0] == b'"':
            inside = quoted and not inside
        elif not inside:
            after = text[mark.end() : mark.end() + 1]
            if mark[0] == b"\n" or after == b"\n":
                return b"\n"
            return b"\r" if after else None
    return None
