"""plant_bugs.py TABLE SOURCE_ROOT OUT SOURCES...: copies sources to OUT with the bugs of the table in
them, each behind `planted_bug == its number`, and writes OUT/planted_bugs.cc with their names.

The sources that are shipped have no trace of this. A bug whose right text is no longer where the
table says ends the build: change the table with the code.
"""
import sys
import tomllib
from pathlib import Path

DECLARATION = "namespace lockstep::simulation {\nextern int planted_bug;\n}\n"


def planted(number, bug):
    condition = f"::lockstep::simulation::planted_bug == {number}"
    if bug["right"].endswith(";"):
        return f"if ({condition}) {{ {bug['wrong']} }} else {{ {bug['right']} }}"
    return f"({condition} ? ({bug['wrong']}) : ({bug['right']}))"


def plant(text, number, bug):
    """`text` with one bug planted: in the first place behind bug["behind"]."""
    if "\n" in bug["right"]:
        sys.exit(f"planted bug {bug['name']}: a bug is one line")
    begin = text.find(bug["behind"])
    at = text.find(bug["right"], begin) if begin >= 0 else -1
    if at < 0:
        sys.exit(f"planted bug {bug['name']}: {bug['file']} has no {bug['right']!r} behind {bug['behind']!r}")
    return text[:at] + planted(number, bug) + text[at + len(bug["right"]):]


def write(path, text):
    """Leaves a file alone that is as it should be, so that nothing is compiled again for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main(table, root, out, *sources):
    bugs = tomllib.loads(Path(table).read_text(encoding="utf-8"))["bug"]
    unknown = {bug["file"] for bug in bugs} - set(sources)
    if unknown:
        sys.exit(f"planted bugs in files that are not simulated: {sorted(unknown)}")
    for source in sources:
        text = Path(root, source).read_text(encoding="utf-8")
        for number, bug in enumerate(bugs, start=1):
            if bug["file"] == source:
                text = plant(text, number, bug)
        write(Path(out, source), f'{DECLARATION}#line 1 "{source}"\n{text}')
    names = "".join(f'      "{bug["name"]}",\n' for bug in bugs)
    write(
        Path(out, "planted_bugs.cc"),
        '#include "tests/simulation/planted_bugs.h"\n\nnamespace lockstep::simulation {\n\n'
        "int planted_bug = 0;\n\nconst std::vector<std::string>& planted_bugs() {\n"
        f"  static const std::vector<std::string> names = {{\n{names}  }};\n  return names;\n}}\n\n"
        "}  // namespace lockstep::simulation\n")


main(*sys.argv[1:])
