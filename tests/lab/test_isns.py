# SPDX-License-Identifier: BSD-3-Clause
"""Two controllers and two of Debian's iSNS servers (open-isns) at the initiator host."""

import re
import shutil
import subprocess

import config
from lab import TARGET, wait_for
from layout import HOST_ID, HOST_NETWORKS, NODES, address
from runner import Skip, check

SERVERS = [address(net, HOST_ID) for net in HOST_NETWORKS]
SETTINGS = {"isns": {"servers": f"[{', '.join(SERVERS)}]", "entity": "lab-array",
                     "registration_period": "10s", "status_inquiry": "2s"}}
SOURCE = "iqn.2026-01.org.example:admin"
RUNNING = {}


def place(lab, server):
    return lab.layout.dir / f"isns-{server}"


def isns_start(lab, server, forget=False):
    """isnsd at an address of the host; with `forget` on an empty database."""
    if not shutil.which("isnsd") or not shutil.which("isnsadm"):
        raise Skip("isnsd and isnsadm are missing: apt-get install open-isns-server open-isns-utils")
    where = place(lab, server)
    if forget:
        shutil.rmtree(where, ignore_errors=True)
    where.mkdir(exist_ok=True)
    (where / "isnsd.conf").write_text(
        f"SourceName = {SOURCE}\nBindAddress = {server}\nDatabase = {where}/db\nPIDFile = {where}/pid\n"
        f"ControlSocket = {where}/control\nSecurity = 0\nDefaultDiscoveryDomain = 1\n"
        "RegistrationPeriod = 10s\nESIMinInterval = 2s\nESIMaxInterval = 4s\nESIRetries = 3\n",
        encoding="utf-8")
    (where / "isnsadm.conf").write_text(
        f"SourceName = {SOURCE}\nServerAddress = {server}\nSecurity = 0\n", encoding="utf-8")
    with open(where / "log", "ab") as log:
        RUNNING[server] = lab.host_start(["isnsd", "-c", where / "isnsd.conf", "-f", "-d", "esi"],
                                         stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def isns_stop(server):
    process = RUNNING.pop(server)
    process.kill()
    process.wait()


def serve(lab):
    """Both servers run."""
    for server in SERVERS:
        if server not in RUNNING or RUNNING[server].poll() is not None:
            isns_start(lab, server)


def listed(lab, server, what):
    """What a server tells an administrator: the text of isnsadm."""
    done = lab.host_run(["isnsadm", "-c", place(lab, server) / "isnsadm.conf", "--list", what],
                        check=False)
    return done.stdout + done.stderr


def addresses(lab, server):
    return set(re.findall(r"Portal IP address = (\S+)", listed(lab, server, "portals")))


def own(node):
    return {address(net, NODES[node]) for net in HOST_NETWORKS}


def state(lab, node):
    """{server: its entry in the status}"""
    return {entry["server"].rpartition(":")[0]: entry
            for entry in lab[node].yokectl("status")["isns"]}


def registered(lab):
    return all(entry["state"] == "registered" for node in NODES for entry in state(lab, node).values())


def whole(lab):
    """All portals of both controllers are known at both servers, and the daemons know that."""
    serve(lab)
    wait_for(lambda: registered(lab) and
             all(addresses(lab, server) == own("a") | own("b") for server in SERVERS),
             90, "both controllers are registered at both servers")


def test_servers_that_are_down(lab):
    """Nobody is there: the status says so, and nothing else is different."""
    wait_for(lambda: all(entry["state"] == "failed" for node in NODES
                         for entry in state(lab, node).values()), 20, "the status says failed")
    for node in NODES:
        status = lab[node].yokectl("status")
        check(status["health"] == "ok", f"{node}: {status['health']}: {status['problems']}")
        check("iSNS" in lab[node].run(["yokectl", "status"]).stdout, "yokectl does not show it")
    found = lab.host_run(["iscsi-ls", f"iscsi://{lab['a'].portals()[0]}"]).stdout
    check(TARGET in found, f"the target is not served:\n{found}")


def test_registers(lab):
    """Both servers know target, alias, portals and groups; each controller's portals have its tag."""
    whole(lab)
    for server in SERVERS:
        nodes = listed(lab, server, "nodes")
        check(f'"{TARGET}"' in nodes and "Target" in nodes and '"array1"' in nodes,
              f"{server} does not know the target:\n{nodes}")
        check('"lab-array"' in listed(lab, server, "entities"), "the entity has another name")
        groups = listed(lab, server, "portal-groups")
        tags = {found[0]: int(found[1]) for found in re.findall(
            r"group address = (\S+)\s.*?group tag = (\d+)", groups, re.S)}
        check(tags == {where: NODES[node] for node in NODES for where in own(node)},
              f"{server}: portal group tags {tags}:\n{groups}")


def test_answers_inquiries(lab):
    """Status inquiries are answered, and the registration outlives its period many times."""
    whole(lab)
    before = {node: state(lab, node) for node in NODES}
    for node in NODES:
        for server, entry in before[node].items():
            check(entry["status_inquiry_s"] > 0, f"{node}: {server} does not inquire: {entry}")

    def answered():
        return all(state(lab, node)[server]["inquiries"] >= before[node][server]["inquiries"] + 8
                   for node in NODES for server in SERVERS)
    wait_for(answered, 60, "eight inquiries at every server")
    for node in NODES:
        for server, entry in state(lab, node).items():
            check(entry["registrations"] == before[node][server]["registrations"],
                  f"{node} had to register again at {server}: {entry}")
    for server in SERVERS:
        check(addresses(lab, server) == own("a") | own("b"), f"{server} has lost portals")


def test_server_that_forgets(lab):
    """A server that comes back with an empty database is told everything again; the other is not."""
    whole(lab)
    before = {node: state(lab, node) for node in NODES}
    isns_stop(SERVERS[0])
    isns_start(lab, SERVERS[0], forget=True)
    wait_for(lambda: addresses(lab, SERVERS[0]) == own("a") | own("b"), 90,
             "the server that forgot knows all portals again")
    wait_for(lambda: all(state(lab, node)[SERVERS[0]]["registrations"] >
                         before[node][SERVERS[0]]["registrations"] for node in NODES), 30,
             "both daemons say that they registered again")
    for node in NODES:
        check(state(lab, node)[SERVERS[1]]["registrations"] ==
              before[node][SERVERS[1]]["registrations"], f"{node} disturbed the other server")


def reload(lab, text):
    for node in NODES:
        (lab.layout.node(node) / "yoke" / "yoke.yaml").write_text(text, encoding="utf-8")
    lab["b"].run(["yokectl", "config", "reload"])


def nodes_known(lab, server):
    """{target: its alias or ""} as the server lists its storage nodes."""
    known, name = {}, None
    for line in listed(lab, server, "nodes").splitlines():
        found = re.search(r'iSCSI (name|alias) = "([^"]*)"', line)
        if found and found[1] == "name":
            name = found[2]
            known[name] = ""
        elif found:
            known[name] = found[2]
    return {name: alias for name, alias in known.items() if name != SOURCE}


def groups_known(lab, server):
    """{(target, portal's address)}"""
    return set(re.findall(r'Portal group name = "([^"]+)"\s.*?Portal group address = (\S+)',
                          listed(lab, server, "portal-groups"), re.S))


def test_targets_that_come_and_go(lab):
    """A reload is told to both servers at once: a target comes, an alias changes and goes, the first
    target goes; the portals of both controllers stay all the time."""
    whole(lab)
    original = config.yoke_yaml(lab.settings)
    new = TARGET + "-new"
    added = original.replace("targets:\n", f"targets:\n  - name: {new}\n    alias: fresh\n    luns:\n"
                             "      - lun: 0\n        extent: disk0\n").replace("alias: array1", "alias: other")
    without_alias = original.replace("    alias: array1\n", "")
    only_new = re.sub(rf"  - name: {re.escape(TARGET)}\n    alias: array1\n", f"  - name: {new}\n", original)
    for text, wanted in ((added, {TARGET: "other", new: "fresh"}), (without_alias, {TARGET: ""}),
                         (only_new, {new: ""}), (original, {TARGET: "array1"})):
        reload(lab, text)
        for server in SERVERS:
            wait_for(lambda where=server, want=wanted: nodes_known(lab, where) == want, 20,
                     f"{server} knows {wanted}; it lists:\n{listed(lab, server, 'nodes')}")
            check(addresses(lab, server) == own("a") | own("b"), f"{server} has lost portals")
        wait_for(lambda: registered(lab), 20, "both controllers say that they are registered")
        for server in SERVERS:
            want = {(name, where) for name in wanted for where in own("a") | own("b")}
            wait_for(lambda where=server, all_of=want: groups_known(lab, where) == all_of, 20,
                     f"{server}: the portal groups of {sorted(wanted)}:\n"
                     f"{listed(lab, server, 'portal-groups')}")


def test_dead_daemon(lab):
    """A daemon that is killed does not answer inquiries: its portals go, the other's stay."""
    whole(lab)
    lab["b"].power_off()
    for server in SERVERS:
        wait_for(lambda where=server: addresses(lab, where) == own("a"), 60,
                 f"{server} has only a's portals")
    lab["b"].power_on()
    lab.heal(120)
    whole(lab)


def test_stop(lab):
    """A stop in good order takes out the controller's own portals; the last one the entity."""
    whole(lab)
    lab["b"].stop_cluster()
    for server in SERVERS:
        check(addresses(lab, server) == own("a"), f"{server}: {addresses(lab, server)}")
    lab["a"].stop_cluster()
    for server in SERVERS:
        check(not addresses(lab, server), f"{server}: {addresses(lab, server)}")
        check("lab-array" not in listed(lab, server, "entities"), f"{server} keeps the entity")
        check(TARGET not in listed(lab, server, "nodes"), f"{server} keeps the target")
    for node in NODES:  # nothing runs in them: the lab switches them on again
        lab[node].power_off()
