# SPDX-License-Identifier: BSD-3-Clause
"""The house rules as tests: formatting, licences, forbidden functions, the include graph, agents."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from report import Failed, Skipped, command

C_FILES = ("*.c", "*.h")
LINES_MAX = 1000
FUNCTION_LINES_MAX = 100
TOP_NAMES = {"Makefile.am", "configure.ac", "daemon", "ha", "include", "README", "agents", "tests",
             "docs"}
FORBIDDEN = ("sprintf", "vsprintf", "strcpy", "strcat", "strncpy", "strtok", "atoi", "atol", "alloca",
             "gets")
FORBIDDEN_IN_DAEMON = ("sleep", "usleep", "system")
NO_SPDX = ("README", "docs/LICENSE", ".gitignore")

# Who may include whom: component -> components. include/yoke is open to all.
ARROWS = {
    "daemon/base": set(),
    "daemon/store": {"daemon/base"},
    "daemon/conf": {"daemon/base"},
    "daemon/scsi": {"daemon/store", "daemon/base"},
    "daemon/portal": {"daemon/base"},
    "daemon/iscsi": {"daemon/scsi", "daemon/store", "daemon/base"},
    "daemon/isns": {"daemon/conf", "daemon/base"},
    "daemon/control": {"daemon/conf", "daemon/base"},
    "daemon/cli": {"daemon/conf", "daemon/base"},
    "ha": {"daemon/base"},
}


class Tree:
    """The files under version control (or, without git, all that are not made by a build)."""

    def __init__(self, top):
        self.top = Path(top)
        done = subprocess.run(["git", "-C", top, "ls-files", "-co", "--exclude-standard"],
                              capture_output=True, text=True, check=False)
        names = done.stdout.splitlines()
        if done.returncode:
            names = [str(p.relative_to(top)) for p in self.top.rglob("*")
                     if p.is_file() and "build" not in p.relative_to(top).parts]
        self.names = [n for n in names if (self.top / n).is_file()]

    def matching(self, *patterns):
        return [n for n in self.names if any(Path(n).match(p) for p in patterns)]

    def text(self, name):
        return (self.top / name).read_text(encoding="utf-8", errors="replace")


def fail_on(complaints):
    if complaints:
        raise Failed("\n".join(complaints))


def top_level(tree):
    """Nothing but the nine names and dot files at the top."""
    names = {n.split("/")[0] for n in tree.names}
    fail_on([f"{n}: not one of {' '.join(sorted(TOP_NAMES))}" for n in sorted(names - TOP_NAMES)
             if not n.startswith(".") and (tree.top / ".git").exists()])


def clang_format(tree):
    tool = shutil.which("clang-format") or shutil.which("clang-format-14")
    if not tool:
        raise Skipped("clang-format is missing; install it with: apt-get install clang-format")
    command([tool, "--dry-run", "--Werror", *tree.matching(*C_FILES)], cwd=tree.top)


def shell_scripts(tree):
    return [n for n in tree.names if n.endswith(".sh") or n.startswith("agents/") and n.endswith(".in")
            and "#!/bin/sh" in tree.text(n)[:20] or re.match(r"#!/bin/(ba)?sh", tree.text(n)[:20])]


def shellcheck(tree):
    if not shutil.which("shellcheck"):
        raise Skipped("shellcheck is missing; install it with: apt-get install shellcheck")
    command(["shellcheck", "-x", "-P", "SCRIPTDIR", *shell_scripts(tree)], cwd=tree.top)


def python_compiles(tree):
    """Every Python file is at least one; nothing is written beside it."""
    complaints = []
    for name in tree.names:
        text = tree.text(name)
        if name.endswith(".py") or text.startswith("#!/usr/bin/python3"):
            try:
                compile(text, name, "exec")
            except SyntaxError as error:
                complaints.append(str(error))
    fail_on(complaints)


def spdx(tree):
    """The licence in the first lines of every file that can carry a comment."""
    complaints = []
    for name in tree.names:
        if name in NO_SPDX or name.endswith((".keep", ".json", ".img")) or "/corpus" in name:
            continue
        if "SPDX-License-Identifier: BSD-3-Clause" not in "".join(
                tree.text(name).splitlines(True)[:3]):
            complaints.append(f"{name}: no SPDX-License-Identifier in its first three lines")
    fail_on(complaints)


def forbidden(tree):
    complaints = []
    for name in tree.matching(*C_FILES):
        words = FORBIDDEN + (FORBIDDEN_IN_DAEMON if name.startswith(("daemon/", "ha/")) else ())
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(words) + r")\s*\(")
        code = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"',
                      lambda m: "\n" * m[0].count("\n"), tree.text(name), flags=re.S)
        for number, line in enumerate(code.splitlines(), 1):
            found = pattern.search(line)
            if found:
                complaints.append(f"{name}:{number}: {found[1]}() is forbidden (docs/architecture.md)")
    fail_on(complaints)


def lengths(tree):
    """Files of at most 1,000 lines, functions of at most 100."""
    complaints = []
    for name in tree.matching("*.c", "*.h", "*.py", "*.sh", "*.in"):
        lines = tree.text(name).splitlines()
        if len(lines) > LINES_MAX:
            complaints.append(f"{name}: {len(lines)} lines, the limit is {LINES_MAX}")
        if not name.endswith(".c"):
            continue
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                if number - start - 1 > FUNCTION_LINES_MAX:
                    complaints.append(f"{name}:{start}: a function of {number - start - 1} lines, "
                                      f"the limit is {FUNCTION_LINES_MAX}")
                start = None
    fail_on(complaints)


def component(name):
    for part in sorted(ARROWS, key=len, reverse=True):
        if name.startswith(part + "/"):
            return part
    return None


def include_graph(tree):
    """Includes point one way only."""
    complaints = []
    known = set(tree.names)
    for name in tree.matching("daemon/*.[ch]", "daemon/*/*.[ch]", "ha/*.[ch]", "include/yoke/*.h"):
        mine = component(name)
        for match in re.finditer(r'^#\s*include\s+"([^"]+)"', tree.text(name), re.M):
            target = next((t for t in (str(Path(name).parent / match[1]), match[1])
                           if t in known), None)
            other = component(target) if target else None
            if other is None or other == mine:
                continue
            if name.startswith("include/") or mine and other not in ARROWS[mine]:
                complaints.append(f"{name} includes {match[1]}: {mine or 'include'} may not use "
                                  f"{other}")
    fail_on(complaints)


def roadmap(tree):
    """docs/architecture.md has every file below the heading of its folder, and no other."""
    named, folder = {}, None
    for line in tree.text("docs/architecture.md").splitlines():
        heading = re.match(r"### ([\w/]+)", line)
        if heading:
            folder = heading[1]
        elif folder and line.startswith("| `"):
            named.setdefault(folder, set()).update(re.findall(r"`([^`]+)`", line.split("|")[1]))
    complaints, used = [], set()
    for name in tree.names:
        path = Path(name)
        place = str(path.parent)
        if len(path.parts) < 2 or place.startswith(".") or "corpus" in path.parts or \
                path.suffix in (".mk", ".m4") or path.parent.name == "build-aux" or \
                path.name in ("LICENSE", ".keep"):
            continue
        words = {path.name} | ({path.stem} if path.suffix in (".c", ".h") else set())
        found = words & named.get(place, set())
        used |= {(place, word) for word in found}
        if not found:
            complaints.append(f"{name}: not below \"### {place}\" in docs/architecture.md")
    complaints += [f"docs/architecture.md, {place}: there is no {word}"
                   for place, words in named.items() for word in sorted(words)
                   if (place, word) not in used]
    fail_on(complaints)


def headers_alone(tree, source, flags):
    """Every header compiles by itself."""
    complaints = []
    for name in tree.matching("*.h"):
        done = subprocess.run(
            ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
             "-Wno-unused-parameter", "-DYOKE_SYSCONFDIR=\"/etc\"", "-DYOKE_STATEDIR=\"/var\"",
             "-DYOKE_RUNDIR=\"/run\"", f"-I{source}/include", f"-I{source}",
             f"-I{(tree.top / name).parent}", *flags, "-include", tree.top / name, "-x", "c",
             "/dev/null"],
            capture_output=True, text=True, check=False)
        if done.returncode:
            complaints.append(f"{name}:\n{done.stderr}")
    fail_on(complaints)


def pkg_config_flags():
    names = ["libqb", "libcpg", "libquorum", "libcmap", "openssl", "libisal", "liburing", "jansson",
             "libmicrohttpd", "libnl-route-3.0", "yaml-0.1", "libcurl", "cmocka", "libiscsi"]
    return command(["pkg-config", "--cflags", *names]).split()


def agents(stage):
    """The OCF agents' metadata: well formed, complete, with the actions that Pacemaker calls."""
    place = Path(stage) / "usr/lib/ocf/resource.d/yoke"
    needed = {"controller": {"start", "stop", "monitor", "meta-data", "validate-all"},
              "group": {"start", "stop", "monitor", "promote", "demote", "meta-data", "validate-all"}}
    complaints = []
    for name, actions in needed.items():
        root = ET.fromstring(command([place / name, "meta-data"]))
        if root.tag != "resource-agent" or root.get("name") != name:
            complaints.append(f"{name}: is <{root.tag} name={root.get('name')}>")
        if root.findtext("version") != "1.1":
            complaints.append(f"{name}: OCF version {root.findtext('version')}, not 1.1")
        listed = {a.get("name"): a for a in root.findall("actions/action")}
        complaints += [f"{name}: action {a} is missing" for a in sorted(actions - set(listed))]
        complaints += [f"{name}: action {a} has no timeout" for a, e in listed.items()
                       if not e.get("timeout")]
        for element in [root, *root.findall("parameters/parameter")]:
            for text in ("longdesc", "shortdesc"):
                if not (element.findtext(text) or "").strip():
                    complaints.append(f"{name}: {element.get('name')}: no {text}")
        roles = {(a.get("role"), a.get("interval")) for a in root.findall("actions/action")
                 if a.get("name") == "monitor"}
        if name == "group" and len({i for _, i in roles}) < 2:
            complaints.append("group: the monitors of both roles need different intervals")
    fail_on(complaints)


def man_pages(stage):
    """Every man page formats without a complaint."""
    complaints = []
    for page in sorted((Path(stage) / "usr/share/man").rglob("*.[1-8]")):
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)],
                              capture_output=True, text=True, check=False)
        if done.returncode or done.stderr.strip():
            complaints.append(f"{page.name}: {done.stderr.strip() or done.returncode}")
    fail_on(complaints)


RULES = {
    "top-level": top_level, "clang-format": clang_format, "shellcheck": shellcheck,
    "python": python_compiles, "spdx": spdx, "forbidden-functions": forbidden, "lengths": lengths,
    "include-graph": include_graph, "roadmap": roadmap,
}


def run(report, top, source):
    """All rules that need no build."""
    tree = Tree(top)
    for name, rule in RULES.items():
        with report.test(f"style/{name}"):
            rule(tree)
    with report.test("style/headers-alone"):
        headers_alone(tree, source, pkg_config_flags())


def run_installed(report, stage):
    """Rules for what is installed."""
    with report.test("style/agents-metadata"):
        agents(stage)
    with report.test("style/man-pages"):
        man_pages(stage)
