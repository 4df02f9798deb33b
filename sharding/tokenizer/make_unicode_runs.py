"""Writes unicode_runs.inc: the character classes of unicode.h as runs of code points.

    pip install unicodedata2==16.0.0 && python3 sharding/tokenizer/make_unicode_runs.py

Unicode 16.0 is what the PyPI package `tokenizers` 0.23 asks in its patterns. The classes are a file
of this repository, not a library's, so that two machines never cut the same text differently.
"""

import pathlib

import unicodedata2

WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
               0x2028, 0x2029, 0x202F, 0x205F, 0x3000}  # PropList.txt, White_Space
CLASSES = {"L": 1, "N": 2, "P": 3}  # CharClass; 0 is kOther, 4 kSpace
WORDS_PER_LINE = 10


def class_of(code_point: int) -> int:
    if code_point in WHITE_SPACE:
        return 4
    return CLASSES.get(unicodedata2.category(chr(code_point))[0], 0)


def main() -> None:
    assert unicodedata2.unidata_version == "16.0.0", unicodedata2.unidata_version
    runs = []
    for code_point in range(0x110000):
        char_class = class_of(code_point)
        if not runs or runs[-1] & 7 != char_class:
            runs.append(code_point << 3 | char_class)
    lines = [", ".join(f"0x{run:x}" for run in runs[i:i + WORDS_PER_LINE]) + ","
             for i in range(0, len(runs), WORDS_PER_LINE)]
    text = ("// Written by make_unicode_runs.py from Unicode 16.0: first code point << 3 | CharClass, "
            "ascending.\n" + "\n".join(lines) + "\n")
    pathlib.Path(__file__).with_name("unicode_runs.inc").write_text(text)


if __name__ == "__main__":
    main()
