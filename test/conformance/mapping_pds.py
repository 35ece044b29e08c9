# SPDX-License-Identifier: BSD-3-Clause
"""As mapping.py, for drivers/common/pds: the kernel's side are headers of its drivers.

include/linux/pds and ionic_if.h come with Debian's linux-source; linux-headers packages have the
first only.
"""

from __future__ import annotations

PDS = "drivers/common/pds/"
PROGRAM = "compare_pds.c"
OUR_INCLUDE_DIRS = ("drivers/common", PDS)

HEADERS = (PDS + "pds_if.h", PDS + "pds_aq_if.h", PDS + "pds_eth_if.h", PDS + "pds_ring_if.h",
           PDS + "pds_stats_if.h")
EXCERPTS: dict[str, str] = {}

# In the source tree; the last is made for the comparison, see test_pds_headers.py.
KERNEL_FILES = (
    "include/linux/pds/pds_common.h", "include/linux/pds/pds_core_if.h",
    "include/linux/pds/pds_adminq.h", "include/linux/pds/pds_intr.h",
    "drivers/net/ethernet/pensando/ionic/ionic_if.h",
    "drivers/net/ethernet/pensando/ionic/ionic_regs.h",
)
KERNEL_INCLUDES = (
    "linux/version.h", "linux/types.h", "lm_kernel_words.h", "linux/pds/pds_common.h",
    "linux/pds/pds_core_if.h", "linux/pds/pds_adminq.h", "linux/pds/pds_intr.h",
    "ionic_if.h", "ionic_regs.h",
)

RULES = ((r"(?:LM|lm)_(\w+)", r"\1"),)

CONSTANTS = {
    "LM_PDS_DEVCMD_BYTES": "sizeof(union pds_core_dev_cmd)",
    "LM_PDS_COMP_BYTES": "sizeof(union pds_core_dev_comp)",
    "LM_PDS_DEVCMD_DATA_BYTES": "sizeof(union ionic_dev_identity)",
    "LM_PDS_AQ_ENTRY_BYTES": "sizeof(union pds_core_adminq_cmd)",
    "LM_PDS_NQ_ENTRY_BYTES": "sizeof(union pds_core_notifyq_comp)",
    "LM_PDS_CLIENT_CMD_BYTES": "sizeof(struct pds_lm_cmd)",
    "LM_PDS_DBELL_PAGE_BYTES": "PDS_PAGE_SIZE",
    "LM_PDS_DBELL_INDEX_MASK": "IONIC_DBELL_INDEX_MASK",
    "LM_PDS_DBELL_QID_SHIFT": "IONIC_DBELL_QID_SHIFT",
    "LM_PDS_DBELL_QID_MASK": "IONIC_DBELL_QID_MASK",
}
STRUCTS: dict[str, tuple[str, str]] = {
    "lm_ionic_port_info": ("ionic_port_info", "sprom_epage"),
}
UNIONS = ("ionic_dev_identity", "ionic_lif_config", "ionic_lif_identity", "ionic_q_identity",
          "ionic_port_config", "ionic_port_identity")
FIELDS = {
    "lm_ionic_lif_identity.capabilities": ("capabilities",),
    "lm_ionic_lif_identity.rdma": ("rdma",),
    "lm_ionic_lif_setattr_cmd.value": ("rsvd",),
    "lm_ionic_rx_filter_add_cmd.value": ("rsvd",),
    "lm_ionic_port_setattr_cmd.value": ("rsvd2",),
    "lm_pds_core_dev_info_regs.hwstamp": ("hwstamp",),
}
FIELD_PREFIX = {"lm_ionic_lif_identity": "eth."}
FUNCTIONS: dict[str, tuple[str, str]] = {}

NEWER = "the kernel has it not yet"
WITHOUT: dict[str, tuple[str, ...]] = {
    NEWER: (),
    "room that the kernel leaves to padding, to a union's words or to reserved counters": (
        "lm_pds_core_dev_init_data_out.lm_pad", "lm_pds_lm_suspend_cmd.lm_pad",
        "lm_pds_lm_state_size_comp.lm_pad", "lm_ionic_dev_identity.lm_pad",
        "lm_ionic_lif_config.lm_pad", "lm_ionic_lif_identity.lm_pad", "lm_ionic_q_identity.lm_pad",
        "lm_ionic_port_config.lm_pad", "lm_ionic_port_identity.lm_pad",
        *(f"lm_ionic_lif_stats.lm_pad{i}" for i in range(1, 7)),
    ),
    "a structure without a name in the kernel; the model's tests with Linux's trace have it": (
        "struct lm_ionic_lif_setattr_rss",
    ),
    "known from the drivers' code only": (
        "LM_PDS_DBELL_TYPES", "LM_PDS_QSIZE_MAX_LG2", "LM_IONIC_QINIT_NO_INTR",
    ),
}
