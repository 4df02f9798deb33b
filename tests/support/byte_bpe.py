"""A small byte-level BPE encoder for vocabularies of the `smollm` kind: single digits, then the
GPT-2 pattern.

Independent of the program under test. Python's `re` has no \\p{L}; its letters here are word
characters that are neither decimal digits nor underscores, which is the same for the texts that the
tests use.
"""

import re
from functools import lru_cache

_LETTER = r"[^\W\d_]"
_PATTERN = re.compile(
    rf"'(?:[sdmt]|ll|ve|re)| ?{_LETTER}+| ?(?:(?!{_LETTER}|\d)\S)+|\d|\s+(?!\S)|\s+"
)


def _byte_alphabet():
    """GPT-2's printable stand-in for every byte."""
    direct = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, spare = {}, 256
    for byte in range(256):
        if byte in direct:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(spare)
            spare += 1
    return table


class ByteBpe:
    def __init__(self, gguf):
        if gguf.metadata["tokenizer.ggml.pre"] != "smollm":
            raise ValueError("this encoder knows the pre-tokenizer smollm alone")
        self.ids = {token: i for i, token in enumerate(gguf.metadata["tokenizer.ggml.tokens"][1])}
        merges = gguf.metadata["tokenizer.ggml.merges"][1]
        self.rank = {tuple(merge.split(" ")): i for i, merge in enumerate(merges)}
        self.alphabet = _byte_alphabet()
        self.encode_word = lru_cache(maxsize=65536)(self._encode_word)

    def encode(self, text):
        """Ids of plain text; special tokens are not looked for. Digits part first: `1 2` of ` 12`
        is ` `, `1`, `2`.
        """
        ids = []
        for run in re.split(r"(\d)", text):
            for word in _PATTERN.findall(run):
                ids += self.encode_word(word)
        return ids

    def _encode_word(self, word):
        parts = [self.alphabet[b] for b in word.encode()]
        while len(parts) > 1:
            pairs = [(self.rank.get(pair), i) for i, pair in enumerate(zip(parts, parts[1:]))]
            known = [(rank, i) for rank, i in pairs if rank is not None]
            if not known:
                break
            _, i = min(known)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return tuple(self.ids[p] for p in parts)
