# SPDX-License-Identifier: BSD-3-Clause
"""A real BMC for each controller: ipmi_sim in the management network, fenced by fence_ipmilan.

ipmi_sim speaks RMCP+ on UDP port 623 and calls `chassis`, which asks the lab's power supply.
"""

import subprocess

import proc
from layout import BMC_ID, BMC_NETWORK, BMC_PASSWORD, BMC_USER, HERE, NODES, address

LAN = """\
# SPDX-License-Identifier: BSD-3-Clause
name "bmc-{node}"
set_working_mc 0x20
  startlan 1
    addr {address} 623
    priv_limit admin
    allowed_auths_user md5
    allowed_auths_operator md5
    allowed_auths_admin md5
    guid a123456789abcdefa123456789abcde{ident}
  endlan
  chassis_control "{chassis} {socket} {node}"
  user 1 false "" "" user 1 md5
  user 2 true "{user}" "{password}" admin 10 md5
"""

EMULATION = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
sel_enable 0x20 100 0x0a
mc_enable 0x20
"""


def machine(node):
    """The control group of a controller's BMC; frozen, it is a BMC that answers nothing."""
    return f"bmc-{node}"


def bmc_address(node):
    return address(BMC_NETWORK, BMC_ID + NODES[node])


def start(layout, tree, node):
    """Starts the BMC of a controller; returns its process."""
    home = layout.dir / machine(node)
    home.mkdir()
    (home / "lan.conf").write_text(LAN.format(
        node=node, ident=NODES[node], address=bmc_address(node), socket=layout.socket,
        chassis=HERE / "chassis", user=BMC_USER, password=BMC_PASSWORD), encoding="ascii")
    (home / "sim.emu").write_text(EMULATION, encoding="ascii")
    (home / "state").mkdir()
    command = ["nsenter", f"--net={layout.netns_path('bmc')}", "ipmi_sim", "-n",
               "-c", home / "lan.conf", "-f", home / "sim.emu", "-s", home / "state"]
    with open(layout.log(machine(node)), "ab") as log:
        process = subprocess.Popen(tree.enter(machine(node), command), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)

    def listening():
        if process.poll() is not None:
            raise proc.LabError(f"ipmi_sim for {node} ended:\n"
                                + proc.tail(layout.log(machine(node))))
        with open(f"/proc/{process.pid}/net/udp", encoding="ascii") as file:
            ours = "".join(f"{int(part):02X}" for part in reversed(bmc_address(node).split(".")))
            return f"{ours}:026F" in file.read()
    proc.wait_for(listening, 10, f"the BMC of {node} listens", 0.01)
    return process
