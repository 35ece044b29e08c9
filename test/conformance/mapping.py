# SPDX-License-Identifier: BSD-3-Clause
"""Which of our names means which of the kernel's; and which have no counterpart, and why.

A constant goes by CONSTANTS, else by the first of RULES whose outcome the kernel's headers have.
A structure goes by STRUCTS, else by RULES; a field by FIELDS, else by its own name.
"""

from __future__ import annotations

VIRTIO = "drivers/common/virtio/"
VFIO_USER = "lib/vfio_user/"
MIGRATION = "lib/migration/"
PCIACCESS = "lib/pciaccess/"
UML = "test/uml/"

PROGRAM = "compare.c"
OUR_INCLUDE_DIRS = ("drivers/common", VIRTIO, VFIO_USER, MIGRATION, PCIACCESS, UML)

# Compared whole: every name in them has a counterpart or a reason.
HEADERS = (
    VIRTIO + "virtio_pci_if.h",
    VIRTIO + "virtio_ring_if.h",
    VIRTIO + "virtio_net_if.h",
    VFIO_USER + "lm_vu_proto.h",
    VFIO_USER + "lm_vu_wire.h",
    MIGRATION + "lm_pagemap_if.h",
    UML + "uml_pcidev_if.h",
    PCIACCESS + "lm_vfio_if.h",
    PCIACCESS + "lm_iommufd_if.h",
)

# Numbers of foreign formats in other files, by a pattern of their names.
EXCERPTS = {
    "lib/pciaccess/lm_pci_priv.h": r"LM_PCI_(CFG|CAP_ID|MSIX)_\w+",
    "lib/pciaccess/lm_pci_vfio_user.c": r"\w+_F_\w+",
    "drivers/common/virtio/lm_virtio.c": r"CFG_\w+",
    "drivers/common/virtio/lm_virtio_caps.c": r"CAP_\w+",
    "drivers/vdpa/virtio_pci/virtio_vdpa.h": r"VIRTIO_VDPA_(NO_VECTOR|PROTOCOL_F_\w+)",
    "drivers/vdpa/virtio_pci/virtio_vdpa_vhost.c": r"VHOST_USER_\w+|vhost_user_\w+",
    "app/devmodel/dm_traffic.c": r"ETHER_\w+",
    "app/devmodel/dm_eth.h": r"DM_(ETH_TYPE|IP_PROTO)_\w+",
}

# Format headers of formats that are ours alone.
EXERCISER = "drivers/common/exerciser/exerciser_"
OWN_HEADERS = {
    "app/devmodel/dm_frame_if.h": "frames that our traffic generator checks",
    EXERCISER + "if.h": "a device of ours, for tests",
    EXERCISER + "admin_if.h": "its PF",
    EXERCISER + "state_if.h": "its state stream",
}

KERNEL_INCLUDES = (
    "linux/version.h", "linux/types.h", "linux/ethtool.h", "linux/fs.h", "linux/if_ether.h",
    "linux/in.h", "linux/in6.h", "linux/iommufd.h", "linux/kvm.h", "linux/pci_regs.h",
    "linux/userfaultfd.h", "linux/vfio.h",
    "linux/virtio_config.h", "linux/virtio_ids.h", "linux/virtio_net.h", "linux/virtio_pci.h",
    "linux/virtio_pcidev.h",
    "linux/virtio_ring.h",
)

RULES = (
    (r"LM_VIRTIO_STATUS_(\w+)", r"VIRTIO_CONFIG_S_\1"),
    (r"LM_VIRTIO_F_(INDIRECT_DESC|EVENT_IDX)", r"VIRTIO_RING_F_\1"),
    (r"LM_VIRTIO_PCI_COMMON_Q_DRIVER(LO|HI)", r"VIRTIO_PCI_COMMON_Q_AVAIL\1"),
    (r"LM_VIRTIO_PCI_COMMON_Q_DEVICE(LO|HI)", r"VIRTIO_PCI_COMMON_Q_USED\1"),
    (r"LM_VIRTIO_NET_(DUPLEX_\w+)", r"\1"),
    (r"LM_VRING_(DESC|AVAIL|USED)_ALIGN", r"VRING_\1_ALIGN_SIZE"),
    (r"LM_VRING_PACKED_F_(AVAIL|USED)_SHIFT", r"VRING_PACKED_DESC_F_\1"),
    (r"LM_VRING_PACKED_F_(AVAIL|USED)", r"1 << VRING_PACKED_DESC_F_\1"),
    (r"LM_VRING_PACKED_EVENT_F_(\w+)", r"VRING_PACKED_EVENT_FLAG_\1"),
    (r"LM_VU_REGION_F_(\w+)", r"VFIO_REGION_INFO_FLAG_\1"),
    (r"LM_VU_REGION_(\w+)", r"VFIO_PCI_\1_REGION_INDEX"),
    (r"LM_VU_IRQ_F_(\w+)", r"VFIO_IRQ_INFO_\1"),
    (r"LM_VU_IRQ_((DATA|ACTION)_\w+)", r"VFIO_IRQ_SET_\1"),
    (r"LM_VU_IRQ_(\w+)", r"VFIO_PCI_\1_IRQ_INDEX"),
    (r"LM_VU_(NUM_\w+)", r"VFIO_PCI_\1"),
    (r"LM_VU_PROT_(\w+)", r"VFIO_DMA_MAP_FLAG_\1"),
    (r"LM_VU_UNMAP_(\w+)", r"VFIO_DMA_UNMAP_FLAG_\1"),
    (r"LM_VU_DEVICE_F_(\w+)", r"VFIO_DEVICE_FLAGS_\1"),
    (r"LM_VU_CAP_(\w+)", r"VFIO_REGION_INFO_CAP_\1"),
    (r"LM_VU_FEATURE_LOG_(\w+)", r"VFIO_DEVICE_FEATURE_DMA_LOGGING_\1"),
    (r"LM_VU_(FEATURE_\w+)", r"VFIO_DEVICE_\1"),
    (r"LM_VU_MIG_F_(\w+)", r"VFIO_MIGRATION_\1"),
    (r"LM_VU_(STATE_\w+)", r"VFIO_DEVICE_\1"),
    (r"lm_vu_(\w+)", r"vfio_\1"),
    (r"UML_(PCIDEV_\w+)", r"VIRTIO_\1"),
    (r"uml_(pcidev_\w+)", r"virtio_\1"),
    (r"LM_PCI_CFG_(\w+)", r"PCI_\1"),
    (r"LM_(PCI_CAP_ID_\w+)", r"\1"),
    (r"CFG_(\w+)", r"PCI_\1"),
    (r"DM_ETH_TYPE_(\w+)", r"ETH_P_\1"),
    (r"DM_IP_PROTO_(\w+)", r"IPPROTO_\1"),
    (r"(?:LM|lm)_(\w+)", r"\1"),
)

# Values are C expressions.
CONSTANTS = {
    "LM_VIRTIO_PCI_CAP_VNDR": "PCI_CAP_ID_VNDR",  # the kernel's own name is a field's offset
    "LM_VIRTIO_PCI_DEVICE_ID_MIN": "VIRTIO_TRANS_ID_NET",
    "LM_VIRTIO_PCI_COMMON_MIN_BYTES": "sizeof(struct virtio_pci_common_cfg)",
    "LM_VIRTIO_NET_MAC_BYTES": "ETH_ALEN",
    "LM_VIRTIO_NET_MAX_PAIRS": "VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX",
    "LM_VIRTIO_NET_MTU_MIN": "ETH_MIN_MTU",
    "LM_VIRTIO_NET_SPEED_UNKNOWN": "(__u32)SPEED_UNKNOWN",
    "LM_VRING_PACKED_EVENT_WRAP_SHIFT": "VRING_PACKED_EVENT_F_WRAP_CTR",
    "LM_VU_IRQ_DATA_MASK": "VFIO_IRQ_SET_DATA_TYPE_MASK",
    "LM_VU_IRQ_ACTIONS": "VFIO_IRQ_SET_ACTION_TYPE_MASK",
    "LM_VU_FEATURE_INDEX_MASK": "VFIO_DEVICE_FEATURE_MASK",
    "LM_VU_FEATURE_KNOWN": "VFIO_DEVICE_FEATURE_MASK | VFIO_DEVICE_FEATURE_GET |"
                           " VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE",
    "LM_VU_FEATURE_MIG_STATE": "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE",
    "LM_VU_MIG_F_KNOWN": "VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY",
    "LM_VU_STATE_MAX": "VFIO_DEVICE_STATE_NR",
    "LM_PCI_CFG_CAP_POINTER": "PCI_CAPABILITY_LIST",
    "LM_PCI_CFG_CAP_FIRST": "PCI_STD_HEADER_SIZEOF",
    "LM_PCI_MSIX_CONTROL": "PCI_MSIX_FLAGS",
    "LM_PCI_MSIX_CONTROL_ENABLE": "PCI_MSIX_FLAGS_ENABLE",
    "CAP_NEXT": "PCI_CAP_LIST_NEXT",
    "DEVICE_F_PCI": "VFIO_DEVICE_FLAGS_PCI",
    "IOEVENTFD_F_DATAMATCH": "KVM_IOEVENTFD_FLAG_DATAMATCH",
    "VIRTIO_VDPA_NO_VECTOR": "VIRTIO_MSI_NO_VECTOR",
    "ETHER_RARP": "ETH_P_RARP",
    "DM_ETH_TYPE_IPV4": "ETH_P_IP",
    "DM_ETH_TYPE_VLAN": "ETH_P_8021Q",
    "DM_ETH_TYPE_QINQ": "ETH_P_8021AD",
    "LM_VIRTIO_NET_HASH_IPV4": "VIRTIO_NET_RSS_HASH_TYPE_IPv4",
    "LM_VIRTIO_NET_HASH_REPORT_IPV4": "VIRTIO_NET_HASH_REPORT_IPv4",
    "LM_VIRTIO_NET_HASH_TCPV4": "VIRTIO_NET_RSS_HASH_TYPE_TCPv4",
    "LM_VIRTIO_NET_HASH_REPORT_TCPV4": "VIRTIO_NET_HASH_REPORT_TCPv4",
    "LM_VIRTIO_NET_HASH_UDPV4": "VIRTIO_NET_RSS_HASH_TYPE_UDPv4",
    "LM_VIRTIO_NET_HASH_REPORT_UDPV4": "VIRTIO_NET_HASH_REPORT_UDPv4",
    "LM_VIRTIO_NET_HASH_IPV6": "VIRTIO_NET_RSS_HASH_TYPE_IPv6",
    "LM_VIRTIO_NET_HASH_REPORT_IPV6": "VIRTIO_NET_HASH_REPORT_IPv6",
    "LM_VIRTIO_NET_HASH_TCPV6": "VIRTIO_NET_RSS_HASH_TYPE_TCPv6",
    "LM_VIRTIO_NET_HASH_REPORT_TCPV6": "VIRTIO_NET_HASH_REPORT_TCPv6",
    "LM_VIRTIO_NET_HASH_UDPV6": "VIRTIO_NET_RSS_HASH_TYPE_UDPv6",
    "LM_VIRTIO_NET_HASH_REPORT_UDPV6": "VIRTIO_NET_HASH_REPORT_UDPv6",
    "LM_VIRTIO_NET_HASH_IP_EX": "VIRTIO_NET_RSS_HASH_TYPE_IP_EX",
    "LM_VIRTIO_NET_HASH_REPORT_IP_EX": "VIRTIO_NET_HASH_REPORT_IPv6_EX",
    "LM_VIRTIO_NET_HASH_TCP_EX": "VIRTIO_NET_RSS_HASH_TYPE_TCP_EX",
    "LM_VIRTIO_NET_HASH_REPORT_TCP_EX": "VIRTIO_NET_HASH_REPORT_TCPv6_EX",
    "LM_VIRTIO_NET_HASH_UDP_EX": "VIRTIO_NET_RSS_HASH_TYPE_UDP_EX",
    "LM_VIRTIO_NET_HASH_REPORT_UDP_EX": "VIRTIO_NET_HASH_REPORT_UDPv6_EX",
}

# Ours -> the kernel's, and its size where ours is only a first part of it.
STRUCTS = {
    "lm_virtio_pci_common_cfg": ("virtio_pci_modern_common_cfg", ""),
    "lm_virtio_net_hdr": ("virtio_net_hdr_v1", ""),
    "lm_virtio_net_hdr_hash": ("virtio_net_hdr_v1_hash", ""),
    "lm_vring_packed_event": ("vring_packed_desc_event", ""),
    "lm_iommu_hwpt_alloc": ("iommu_hwpt_alloc", "fault_id"),
    "lm_vfio_device_attach_iommufd_pt": ("vfio_device_attach_iommufd_pt", "pasid"),
    "lm_vu_dma_map": ("vfio_iommu_type1_dma_map", ""),
    "lm_vu_dma_unmap": ("vfio_iommu_type1_dma_unmap", ""),
    "lm_vu_device_info": ("vfio_device_info", "cap_offset"),
    "lm_vu_wire_region_info": ("vfio_region_info", ""),
    "lm_vu_cap_hdr": ("vfio_info_cap_header", ""),
    "lm_vu_wire_area": ("vfio_region_sparse_mmap_area", ""),
    "lm_vu_cap_sparse": ("vfio_region_info_cap_sparse_mmap", ""),
    "lm_vu_feature": ("vfio_device_feature", ""),
    "lm_vu_mig_state_data": ("vfio_device_feature_mig_state", ""),
    "lm_vu_log_start": ("vfio_device_feature_dma_logging_control", "ranges"),
    "lm_vu_log_report": ("vfio_device_feature_dma_logging_report", "bitmap"),
}

# Of the kernel's, those that are no structures.
UNIONS: tuple[str, ...] = ()

# Two fields where the kernel has ours in halves.
FIELDS = {
    "lm_virtio_pci_common_cfg.config_msix_vector": ("cfg.msix_config",),
    "lm_virtio_pci_common_cfg.driver_feature_select": ("cfg.guest_feature_select",),
    "lm_virtio_pci_common_cfg.driver_feature": ("cfg.guest_feature",),
    "lm_virtio_pci_common_cfg.queue_driver_lo": ("cfg.queue_avail_lo",),
    "lm_virtio_pci_common_cfg.queue_driver_hi": ("cfg.queue_avail_hi",),
    "lm_virtio_pci_common_cfg.queue_device_lo": ("cfg.queue_used_lo",),
    "lm_virtio_pci_common_cfg.queue_device_hi": ("cfg.queue_used_hi",),
    "lm_virtio_pci_common_cfg.queue_notif_config_data": ("queue_notify_data",),
    "lm_virtio_pci_common_cfg.queue_reset": ("queue_reset",),
    "lm_virtio_pci_common_cfg.admin_queue_index": ("admin_queue_index",),
    "lm_virtio_pci_common_cfg.admin_queue_num": ("admin_queue_num",),
    "lm_virtio_net_hdr_hash.hash_value": ("hash_value_lo", "hash_value_hi"),
    "lm_vu_dma_map.offset": ("vaddr",),
    "lm_vu_dma_map.addr": ("iova",),
    "lm_vu_dma_unmap.addr": ("iova",),
    "lm_vu_cap_sparse.hdr": ("header",),
    "lm_vu_log_start.reserved": ("__reserved",),
    **{f"lm_iommu_{tag}.reserved": ("__reserved",) for tag in (
        "ioas_iova_ranges", "ioas_map", "hwpt_alloc", "hwpt_set_dirty_tracking",
        "hwpt_get_dirty_bitmap")},
    "lm_iommu_hw_info.reserved": ("out_max_pasid_log2", "__reserved"),
}
# What the kernel keeps in a structure within its structure.
FIELD_PREFIX = {"lm_virtio_pci_common_cfg": "cfg."}

# C that counts disagreements between an inline function of ours and the kernel's; see compare.c.
FUNCTIONS = {
    "lm_vring_need_event": ("vring_need_event", "need_event()"),
    "lm_vring_desc_bytes": ("vring_init", "ring_layout(DESC_BYTES)"),
    "lm_vring_avail_bytes": ("vring_init", "ring_layout(AVAIL_BYTES)"),
    "lm_vring_used_bytes": ("vring_size", "ring_layout(USED_BYTES)"),
    "lm_vring_used_event": ("vring_used_event", "ring_layout(USED_EVENT)"),
    "lm_vring_avail_event": ("vring_avail_event", "ring_layout(AVAIL_EVENT)"),
}

# Compared as soon as the kernel has them.
NEWER = "the kernel has it not yet"

WITHOUT = {
    NEWER: (
        "LM_VIRTIO_F_SUSPEND", "LM_VIRTIO_STATUS_SUSPEND", "LM_VIRTIO_NET_F_HASH_TUNNEL",
    ),
    "in VIRTIO 1.3, but the kernel's headers give it no name": (
        "LM_VIRTIO_PCI_VENDOR_ID", "LM_VIRTIO_PCI_DEVICE_ID_MODERN",
        "LM_VIRTIO_PCI_DEVICE_ID_MAX", "LM_VIRTIO_MSI_MAX_VECTOR", "LM_VIRTIO_PCI_ISR_QUEUE",
        "LM_VIRTIO_NOTIFY_VQN_MASK", "LM_VIRTIO_NOTIFY_NEXT_OFF_SHIFT",
        "LM_VIRTIO_NOTIFY_NEXT_WRAP_SHIFT", "LM_VRING_MAX_SIZE", "LM_VRING_PACKED_EVENT_ALIGN",
        "LM_VIRTIO_NET_RXQ", "LM_VIRTIO_NET_TXQ",
    ),
    "arithmetic or memory access, not a format; unit tests have it": (
        "LM_VIRTIO_BIT", "LM_VIRTIO_PCI_COMMON_ASSERT", "lm_vring_split_size_ok",
        "lm_vring_load_acquire", "lm_vring_load_relaxed", "lm_vring_store_release",
        "lm_vring_store_relaxed", "lm_vring_packed_is_avail", "lm_vring_packed_is_used",
        "lm_vu_bitmap_bytes",
    ),
    "vfio-user's own, not the kernel's": (
        "LM_VU_MAJOR", "LM_VU_MINOR", "LM_VU_VERSION", "LM_VU_DMA_MAP", "LM_VU_DMA_UNMAP",
        "LM_VU_DEVICE_GET_INFO", "LM_VU_DEVICE_GET_REGION_INFO", "LM_VU_DEVICE_GET_REGION_IO_FDS",
        "LM_VU_DEVICE_GET_IRQ_INFO", "LM_VU_DEVICE_SET_IRQS", "LM_VU_REGION_READ",
        "LM_VU_REGION_WRITE", "LM_VU_DMA_READ", "LM_VU_DMA_WRITE", "LM_VU_DEVICE_RESET",
        "LM_VU_REGION_WRITE_MULTI", "LM_VU_DEVICE_FEATURE", "LM_VU_MIG_DATA_READ",
        "LM_VU_MIG_DATA_WRITE", "LM_VU_MIG_GET_PRECOPY_INFO", "LM_VU_F_TYPE_MASK",
        "LM_VU_F_TYPE_COMMAND", "LM_VU_F_TYPE_REPLY", "LM_VU_F_NO_REPLY", "LM_VU_F_ERROR",
        "LM_VU_IO_FD_IOEVENTFD", "LM_VU_DMA_WRITE_REPLY_MIN", "struct lm_vu_hdr",
        "struct lm_vu_version", "struct lm_vu_io_fds", "struct lm_vu_io_fd",
        "struct lm_vu_region_access", "struct lm_vu_dma_access", "struct lm_vu_multi_entry",
        "struct lm_vu_mig_data",
    ),
    "a limit or a structure of our code, on no wire": (
        "LM_VU_COMMAND_MAX", "LM_VU_MAX_AREAS", "LM_VU_MAX_FDS", "LM_VU_MAX_XFER",
        "LM_VU_PAGE_BYTES", "LM_VU_MAX_PAYLOAD", "LM_VU_MAX_MSG", "LM_VU_F_KNOWN",
        "LM_VU_MAX_ERRNO", "struct lm_vu_caps",
    ),
    "vhost-user's, not the kernel's; QEMU and rte_vhost speak it with us in test/qemu": (
        "VHOST_USER_SET_LOG_BASE", "VHOST_USER_SET_VRING_ENABLE", "VHOST_USER_SEND_RARP",
        "VHOST_USER_SET_VRING_BASE", "VHOST_USER_GET_VRING_BASE",
        "VIRTIO_VDPA_PROTOCOL_F_BACKEND_SEND_FD", "VIRTIO_VDPA_PROTOCOL_F_BACKEND_REQ",
        "struct vhost_user_head",
    ),
}
