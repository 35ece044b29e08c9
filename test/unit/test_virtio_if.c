/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Our virtio formats against the kernel's headers, written by others. Catches a wrong bit number,
 * offset or size, which driver and model would otherwise share without noticing.
 * Names that the installed headers do not have yet are skipped at compile time.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "virtio_net_if.h"
#include "virtio_pci_if.h"
#include "virtio_ring_if.h"

#define SAME(ours, kernels) assert_int_equal((uint64_t)(ours), (uint64_t)(kernels))
#define SAME_AT(our_struct, our_field, their_struct, their_field) do { \
	SAME(offsetof(struct our_struct, our_field), offsetof(struct their_struct, their_field)); \
	SAME(sizeof(((struct our_struct *)0)->our_field), \
			sizeof(((struct their_struct *)0)->their_field)); \
} while (0)

static void
test_pci_capabilities(void **state)
{
	(void)state;
	SAME(LM_VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_COMMON_CFG);
	SAME(LM_VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG);
	SAME(LM_VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_ISR_CFG);
	SAME(LM_VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_CAP_DEVICE_CFG);
	SAME(LM_VIRTIO_PCI_CAP_PCI_CFG, VIRTIO_PCI_CAP_PCI_CFG);
	SAME(LM_VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG);
#ifdef VIRTIO_PCI_CAP_VENDOR_CFG
	SAME(LM_VIRTIO_PCI_CAP_VENDOR_CFG, VIRTIO_PCI_CAP_VENDOR_CFG);
#endif
	SAME(sizeof(struct lm_virtio_pci_cap), sizeof(struct virtio_pci_cap));
	SAME_AT(lm_virtio_pci_cap, cap_vndr, virtio_pci_cap, cap_vndr);
	SAME_AT(lm_virtio_pci_cap, cap_next, virtio_pci_cap, cap_next);
	SAME_AT(lm_virtio_pci_cap, cap_len, virtio_pci_cap, cap_len);
	SAME_AT(lm_virtio_pci_cap, cfg_type, virtio_pci_cap, cfg_type);
	SAME_AT(lm_virtio_pci_cap, bar, virtio_pci_cap, bar);
	SAME_AT(lm_virtio_pci_cap, id, virtio_pci_cap, id);
	SAME_AT(lm_virtio_pci_cap, offset, virtio_pci_cap, offset);
	SAME_AT(lm_virtio_pci_cap, length, virtio_pci_cap, length);
	SAME(sizeof(struct lm_virtio_pci_notify_cap), sizeof(struct virtio_pci_notify_cap));
	SAME_AT(lm_virtio_pci_notify_cap, notify_off_multiplier, virtio_pci_notify_cap,
			notify_off_multiplier);
	SAME(sizeof(struct lm_virtio_pci_cap64), sizeof(struct virtio_pci_cap64));
	SAME_AT(lm_virtio_pci_cap64, offset_hi, virtio_pci_cap64, offset_hi);
	SAME_AT(lm_virtio_pci_cap64, length_hi, virtio_pci_cap64, length_hi);
	SAME(sizeof(struct lm_virtio_pci_cfg_cap), sizeof(struct virtio_pci_cfg_cap));
	SAME_AT(lm_virtio_pci_cfg_cap, pci_cfg_data, virtio_pci_cfg_cap, pci_cfg_data);
	SAME(LM_VIRTIO_PCI_ISR_CONFIG, VIRTIO_PCI_ISR_CONFIG);
	SAME(LM_VIRTIO_MSI_NO_VECTOR, VIRTIO_MSI_NO_VECTOR);
	SAME(LM_VIRTIO_ID_NET, VIRTIO_ID_NET);
	SAME(LM_VIRTIO_ID_BLOCK, VIRTIO_ID_BLOCK);
}

static void
test_common_config(void **state)
{
	(void)state;
	SAME(LM_VIRTIO_PCI_COMMON_DFSELECT, VIRTIO_PCI_COMMON_DFSELECT);
	SAME(LM_VIRTIO_PCI_COMMON_DF, VIRTIO_PCI_COMMON_DF);
	SAME(LM_VIRTIO_PCI_COMMON_GFSELECT, VIRTIO_PCI_COMMON_GFSELECT);
	SAME(LM_VIRTIO_PCI_COMMON_GF, VIRTIO_PCI_COMMON_GF);
	SAME(LM_VIRTIO_PCI_COMMON_MSIX, VIRTIO_PCI_COMMON_MSIX);
	SAME(LM_VIRTIO_PCI_COMMON_NUMQ, VIRTIO_PCI_COMMON_NUMQ);
	SAME(LM_VIRTIO_PCI_COMMON_STATUS, VIRTIO_PCI_COMMON_STATUS);
	SAME(LM_VIRTIO_PCI_COMMON_CFGGENERATION, VIRTIO_PCI_COMMON_CFGGENERATION);
	SAME(LM_VIRTIO_PCI_COMMON_Q_SELECT, VIRTIO_PCI_COMMON_Q_SELECT);
	SAME(LM_VIRTIO_PCI_COMMON_Q_SIZE, VIRTIO_PCI_COMMON_Q_SIZE);
	SAME(LM_VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_PCI_COMMON_Q_MSIX);
	SAME(LM_VIRTIO_PCI_COMMON_Q_ENABLE, VIRTIO_PCI_COMMON_Q_ENABLE);
	SAME(LM_VIRTIO_PCI_COMMON_Q_NOFF, VIRTIO_PCI_COMMON_Q_NOFF);
	SAME(LM_VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_DESCLO);
	SAME(LM_VIRTIO_PCI_COMMON_Q_DESCHI, VIRTIO_PCI_COMMON_Q_DESCHI);
	SAME(LM_VIRTIO_PCI_COMMON_Q_DRIVERLO, VIRTIO_PCI_COMMON_Q_AVAILLO);
	SAME(LM_VIRTIO_PCI_COMMON_Q_DRIVERHI, VIRTIO_PCI_COMMON_Q_AVAILHI);
	SAME(LM_VIRTIO_PCI_COMMON_Q_DEVICELO, VIRTIO_PCI_COMMON_Q_USEDLO);
	SAME(LM_VIRTIO_PCI_COMMON_Q_DEVICEHI, VIRTIO_PCI_COMMON_Q_USEDHI);
#ifdef VIRTIO_PCI_COMMON_Q_NDATA
	SAME(LM_VIRTIO_PCI_COMMON_Q_NDATA, VIRTIO_PCI_COMMON_Q_NDATA);
	SAME(LM_VIRTIO_PCI_COMMON_Q_RESET, VIRTIO_PCI_COMMON_Q_RESET);
#endif
#ifdef VIRTIO_PCI_COMMON_ADM_Q_IDX
	SAME(LM_VIRTIO_PCI_COMMON_ADM_Q_IDX, VIRTIO_PCI_COMMON_ADM_Q_IDX);
	SAME(LM_VIRTIO_PCI_COMMON_ADM_Q_NUM, VIRTIO_PCI_COMMON_ADM_Q_NUM);
#endif
	SAME(LM_VIRTIO_PCI_COMMON_MIN_BYTES, sizeof(struct virtio_pci_common_cfg));
	SAME_AT(lm_virtio_pci_common_cfg, device_status, virtio_pci_common_cfg, device_status);
	SAME_AT(lm_virtio_pci_common_cfg, num_queues, virtio_pci_common_cfg, num_queues);
	SAME_AT(lm_virtio_pci_common_cfg, queue_desc_lo, virtio_pci_common_cfg, queue_desc_lo);
	SAME_AT(lm_virtio_pci_common_cfg, queue_device_hi, virtio_pci_common_cfg, queue_used_hi);
}

static void
test_status_and_transport_features(void **state)
{
	(void)state;
	SAME(LM_VIRTIO_STATUS_ACKNOWLEDGE, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	SAME(LM_VIRTIO_STATUS_DRIVER, VIRTIO_CONFIG_S_DRIVER);
	SAME(LM_VIRTIO_STATUS_DRIVER_OK, VIRTIO_CONFIG_S_DRIVER_OK);
	SAME(LM_VIRTIO_STATUS_FEATURES_OK, VIRTIO_CONFIG_S_FEATURES_OK);
	SAME(LM_VIRTIO_STATUS_NEEDS_RESET, VIRTIO_CONFIG_S_NEEDS_RESET);
	SAME(LM_VIRTIO_STATUS_FAILED, VIRTIO_CONFIG_S_FAILED);
	SAME(LM_VIRTIO_F_NOTIFY_ON_EMPTY, VIRTIO_F_NOTIFY_ON_EMPTY);
	SAME(LM_VIRTIO_F_ANY_LAYOUT, VIRTIO_F_ANY_LAYOUT);
	SAME(LM_VIRTIO_F_INDIRECT_DESC, VIRTIO_RING_F_INDIRECT_DESC);
	SAME(LM_VIRTIO_F_EVENT_IDX, VIRTIO_RING_F_EVENT_IDX);
	SAME(LM_VIRTIO_F_VERSION_1, VIRTIO_F_VERSION_1);
	SAME(LM_VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ACCESS_PLATFORM);
	SAME(LM_VIRTIO_F_RING_PACKED, VIRTIO_F_RING_PACKED);
	SAME(LM_VIRTIO_F_IN_ORDER, VIRTIO_F_IN_ORDER);
	SAME(LM_VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_ORDER_PLATFORM);
	SAME(LM_VIRTIO_F_SR_IOV, VIRTIO_F_SR_IOV);
	SAME(LM_VIRTIO_F_RING_RESET, VIRTIO_F_RING_RESET);
#ifdef VIRTIO_F_NOTIFICATION_DATA
	SAME(LM_VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_NOTIFICATION_DATA);
#endif
#ifdef VIRTIO_F_NOTIF_CONFIG_DATA
	SAME(LM_VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_NOTIF_CONFIG_DATA);
#endif
#ifdef VIRTIO_F_ADMIN_VQ
	SAME(LM_VIRTIO_F_ADMIN_VQ, VIRTIO_F_ADMIN_VQ);
#endif
}

static void
test_split_ring(void **state)
{
	uint32_t size;

	(void)state;
	SAME(LM_VRING_DESC_F_NEXT, VRING_DESC_F_NEXT);
	SAME(LM_VRING_DESC_F_WRITE, VRING_DESC_F_WRITE);
	SAME(LM_VRING_DESC_F_INDIRECT, VRING_DESC_F_INDIRECT);
	SAME(LM_VRING_AVAIL_F_NO_INTERRUPT, VRING_AVAIL_F_NO_INTERRUPT);
	SAME(LM_VRING_USED_F_NO_NOTIFY, VRING_USED_F_NO_NOTIFY);
	SAME(LM_VRING_DESC_ALIGN, VRING_DESC_ALIGN_SIZE);
	SAME(LM_VRING_AVAIL_ALIGN, VRING_AVAIL_ALIGN_SIZE);
	SAME(LM_VRING_USED_ALIGN, VRING_USED_ALIGN_SIZE);
	SAME(sizeof(struct lm_vring_desc), sizeof(struct vring_desc));
	SAME_AT(lm_vring_desc, addr, vring_desc, addr);
	SAME_AT(lm_vring_desc, len, vring_desc, len);
	SAME_AT(lm_vring_desc, flags, vring_desc, flags);
	SAME_AT(lm_vring_desc, next, vring_desc, next);
	SAME_AT(lm_vring_avail, flags, vring_avail, flags);
	SAME_AT(lm_vring_avail, idx, vring_avail, idx);
	SAME(offsetof(struct lm_vring_avail, ring), offsetof(struct vring_avail, ring));
	SAME(sizeof(struct lm_vring_used_elem), sizeof(struct vring_used_elem));
	SAME_AT(lm_vring_used_elem, id, vring_used_elem, id);
	SAME_AT(lm_vring_used_elem, len, vring_used_elem, len);
	SAME_AT(lm_vring_used, flags, vring_used, flags);
	SAME_AT(lm_vring_used, idx, vring_used, idx);
	SAME(offsetof(struct lm_vring_used, ring), offsetof(struct vring_used, ring));

	/* The kernel lays out a whole ring; our sizes and event fields must agree with it. */
	for (size = 1; size <= LM_VRING_MAX_SIZE; size *= 2) {
		static _Alignas(16) uint8_t mem[LM_VRING_MAX_SIZE * 32];
		struct vring vr;

		vring_init(&vr, size, mem, 4);
		SAME(vring_size(size, 4), lm_vring_desc_bytes(size) +
				((lm_vring_avail_bytes(size) + 3) & ~UINT64_C(3)) +
				lm_vring_used_bytes(size));
		SAME((uintptr_t)lm_vring_used_event((struct lm_vring_avail *)vr.avail, size),
				(uintptr_t)&vring_used_event(&vr));
		SAME((uintptr_t)lm_vring_avail_event((struct lm_vring_used *)vr.used, size),
				(uintptr_t)&vring_avail_event(&vr));
		assert_true(lm_vring_split_size_ok(size));
	}
	assert_false(lm_vring_split_size_ok(0));
	assert_false(lm_vring_split_size_ok(3));
	assert_false(lm_vring_split_size_ok(65536));
}

static void
test_event_index(void **state)
{
	static const uint16_t olds[] = {0, 1, 0x7fff, 0x8000, 0xfff0, 0xffff};
	unsigned int i;
	uint32_t event, step;

	(void)state;
	for (i = 0; i < sizeof(olds) / sizeof(olds[0]); i++)
		for (step = 0; step < 300; step += 7)
			for (event = 0; event < 65536; event += 3) {
				uint16_t new_idx = (uint16_t)(olds[i] + step);

				SAME(lm_vring_need_event((uint16_t)event, new_idx, olds[i]),
						vring_need_event((uint16_t)event, new_idx,
						olds[i]));
			}
}

static void
test_packed_ring(void **state)
{
	(void)state;
	SAME(LM_VRING_PACKED_F_AVAIL_SHIFT, VRING_PACKED_DESC_F_AVAIL);
	SAME(LM_VRING_PACKED_F_USED_SHIFT, VRING_PACKED_DESC_F_USED);
	SAME(LM_VRING_PACKED_F_AVAIL, 1u << VRING_PACKED_DESC_F_AVAIL);
	SAME(LM_VRING_PACKED_F_USED, 1u << VRING_PACKED_DESC_F_USED);
	SAME(LM_VRING_PACKED_EVENT_F_ENABLE, VRING_PACKED_EVENT_FLAG_ENABLE);
	SAME(LM_VRING_PACKED_EVENT_F_DISABLE, VRING_PACKED_EVENT_FLAG_DISABLE);
	SAME(LM_VRING_PACKED_EVENT_F_DESC, VRING_PACKED_EVENT_FLAG_DESC);
	SAME(LM_VRING_PACKED_EVENT_WRAP_SHIFT, VRING_PACKED_EVENT_F_WRAP_CTR);
	SAME(sizeof(struct lm_vring_packed_desc), sizeof(struct vring_packed_desc));
	SAME_AT(lm_vring_packed_desc, addr, vring_packed_desc, addr);
	SAME_AT(lm_vring_packed_desc, len, vring_packed_desc, len);
	SAME_AT(lm_vring_packed_desc, id, vring_packed_desc, id);
	SAME_AT(lm_vring_packed_desc, flags, vring_packed_desc, flags);
	SAME(sizeof(struct lm_vring_packed_event), sizeof(struct vring_packed_desc_event));
	SAME_AT(lm_vring_packed_event, off_wrap, vring_packed_desc_event, off_wrap);
	SAME_AT(lm_vring_packed_event, flags, vring_packed_desc_event, flags);
	/* 2.8.1: {wrap, AVAIL, USED}; a fresh ring (all zero) is neither for wrap 1. */
	assert_true(lm_vring_packed_is_avail(LM_VRING_PACKED_F_AVAIL, true));
	assert_true(lm_vring_packed_is_avail(LM_VRING_PACKED_F_USED, false));
	assert_false(lm_vring_packed_is_avail(0, true));
	assert_false(lm_vring_packed_is_avail(0, false));
	assert_true(lm_vring_packed_is_used(LM_VRING_PACKED_F_AVAIL | LM_VRING_PACKED_F_USED,
			true));
	assert_true(lm_vring_packed_is_used(0, false));
	assert_false(lm_vring_packed_is_used(0, true));
	assert_false(lm_vring_packed_is_used(LM_VRING_PACKED_F_AVAIL, true));
}

static void
test_net_features(void **state)
{
	(void)state;
	SAME(LM_VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CSUM);
	SAME(LM_VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM);
	SAME(LM_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	SAME(LM_VIRTIO_NET_F_MTU, VIRTIO_NET_F_MTU);
	SAME(LM_VIRTIO_NET_F_MAC, VIRTIO_NET_F_MAC);
	SAME(LM_VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO4);
	SAME(LM_VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_TSO6);
	SAME(LM_VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_ECN);
	SAME(LM_VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_UFO);
	SAME(LM_VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO4);
	SAME(LM_VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_TSO6);
	SAME(LM_VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_ECN);
	SAME(LM_VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_HOST_UFO);
	SAME(LM_VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MRG_RXBUF);
	SAME(LM_VIRTIO_NET_F_STATUS, VIRTIO_NET_F_STATUS);
	SAME(LM_VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ);
	SAME(LM_VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX);
	SAME(LM_VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VLAN);
	SAME(LM_VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_RX_EXTRA);
	SAME(LM_VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_GUEST_ANNOUNCE);
	SAME(LM_VIRTIO_NET_F_MQ, VIRTIO_NET_F_MQ);
	SAME(LM_VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_MAC_ADDR);
	SAME(LM_VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_HASH_REPORT);
	SAME(LM_VIRTIO_NET_F_RSS, VIRTIO_NET_F_RSS);
	SAME(LM_VIRTIO_NET_F_RSC_EXT, VIRTIO_NET_F_RSC_EXT);
	SAME(LM_VIRTIO_NET_F_STANDBY, VIRTIO_NET_F_STANDBY);
	SAME(LM_VIRTIO_NET_F_SPEED_DUPLEX, VIRTIO_NET_F_SPEED_DUPLEX);
	SAME(LM_VIRTIO_NET_F_NOTF_COAL, VIRTIO_NET_F_NOTF_COAL);
#ifdef VIRTIO_NET_F_VQ_NOTF_COAL
	SAME(LM_VIRTIO_NET_F_VQ_NOTF_COAL, VIRTIO_NET_F_VQ_NOTF_COAL);
#endif
#ifdef VIRTIO_NET_F_DEVICE_STATS
	SAME(LM_VIRTIO_NET_F_DEVICE_STATS, VIRTIO_NET_F_DEVICE_STATS);
#endif
#ifdef VIRTIO_NET_F_GUEST_USO4
	SAME(LM_VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO4);
	SAME(LM_VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_USO6);
	SAME(LM_VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_HOST_USO);
#endif
#ifdef VIRTIO_NET_F_GUEST_HDRLEN
	SAME(LM_VIRTIO_NET_F_GUEST_HDRLEN, VIRTIO_NET_F_GUEST_HDRLEN);
#endif
}

static void
test_net_formats(void **state)
{
	(void)state;
	SAME(sizeof(struct lm_virtio_net_config), sizeof(struct virtio_net_config));
	SAME_AT(lm_virtio_net_config, mac, virtio_net_config, mac);
	SAME_AT(lm_virtio_net_config, status, virtio_net_config, status);
	SAME_AT(lm_virtio_net_config, max_virtqueue_pairs, virtio_net_config, max_virtqueue_pairs);
	SAME_AT(lm_virtio_net_config, mtu, virtio_net_config, mtu);
	SAME_AT(lm_virtio_net_config, speed, virtio_net_config, speed);
	SAME_AT(lm_virtio_net_config, duplex, virtio_net_config, duplex);
	SAME_AT(lm_virtio_net_config, rss_max_key_size, virtio_net_config, rss_max_key_size);
	SAME_AT(lm_virtio_net_config, rss_max_indirection_table_length, virtio_net_config,
			rss_max_indirection_table_length);
	SAME_AT(lm_virtio_net_config, supported_hash_types, virtio_net_config,
			supported_hash_types);
	SAME(LM_VIRTIO_NET_S_LINK_UP, VIRTIO_NET_S_LINK_UP);
	SAME(LM_VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_ANNOUNCE);

	SAME(sizeof(struct lm_virtio_net_hdr), sizeof(struct virtio_net_hdr_v1));
	SAME_AT(lm_virtio_net_hdr, flags, virtio_net_hdr_v1, flags);
	SAME_AT(lm_virtio_net_hdr, gso_type, virtio_net_hdr_v1, gso_type);
	SAME_AT(lm_virtio_net_hdr, hdr_len, virtio_net_hdr_v1, hdr_len);
	SAME_AT(lm_virtio_net_hdr, gso_size, virtio_net_hdr_v1, gso_size);
	SAME_AT(lm_virtio_net_hdr, csum_start, virtio_net_hdr_v1, csum_start);
	SAME_AT(lm_virtio_net_hdr, csum_offset, virtio_net_hdr_v1, csum_offset);
	SAME_AT(lm_virtio_net_hdr, num_buffers, virtio_net_hdr_v1, num_buffers);
	SAME(sizeof(struct lm_virtio_net_hdr_hash), sizeof(struct virtio_net_hdr_v1_hash));
	SAME_AT(lm_virtio_net_hdr_hash, hash_value, virtio_net_hdr_v1_hash, hash_value);
	SAME_AT(lm_virtio_net_hdr_hash, hash_report, virtio_net_hdr_v1_hash, hash_report);
	SAME(LM_VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	SAME(LM_VIRTIO_NET_HDR_F_DATA_VALID, VIRTIO_NET_HDR_F_DATA_VALID);
	SAME(LM_VIRTIO_NET_HDR_F_RSC_INFO, VIRTIO_NET_HDR_F_RSC_INFO);
	SAME(LM_VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_NONE);
	SAME(LM_VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV4);
	SAME(LM_VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_HDR_GSO_UDP);
	SAME(LM_VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_TCPV6);
	SAME(LM_VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_ECN);
#ifdef VIRTIO_NET_HDR_GSO_UDP_L4
	SAME(LM_VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_HDR_GSO_UDP_L4);
#endif
}

static void
test_net_control(void **state)
{
	(void)state;
	SAME(sizeof(struct lm_virtio_net_ctrl_hdr), sizeof(struct virtio_net_ctrl_hdr));
	SAME_AT(lm_virtio_net_ctrl_hdr, class, virtio_net_ctrl_hdr, class);
	SAME_AT(lm_virtio_net_ctrl_hdr, cmd, virtio_net_ctrl_hdr, cmd);
	SAME(LM_VIRTIO_NET_OK, VIRTIO_NET_OK);
	SAME(LM_VIRTIO_NET_ERR, VIRTIO_NET_ERR);
	SAME(LM_VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX);
	SAME(LM_VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_CTRL_RX_PROMISC);
	SAME(LM_VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_CTRL_RX_ALLMULTI);
	SAME(LM_VIRTIO_NET_CTRL_RX_ALLUNI, VIRTIO_NET_CTRL_RX_ALLUNI);
	SAME(LM_VIRTIO_NET_CTRL_RX_NOMULTI, VIRTIO_NET_CTRL_RX_NOMULTI);
	SAME(LM_VIRTIO_NET_CTRL_RX_NOUNI, VIRTIO_NET_CTRL_RX_NOUNI);
	SAME(LM_VIRTIO_NET_CTRL_RX_NOBCAST, VIRTIO_NET_CTRL_RX_NOBCAST);
	SAME(LM_VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC);
	SAME(LM_VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_CTRL_MAC_TABLE_SET);
	SAME(LM_VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_CTRL_MAC_ADDR_SET);
	SAME(offsetof(struct lm_virtio_net_ctrl_mac, macs),
			offsetof(struct virtio_net_ctrl_mac, macs));
	SAME(LM_VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN);
	SAME(LM_VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_CTRL_VLAN_ADD);
	SAME(LM_VIRTIO_NET_CTRL_VLAN_DEL, VIRTIO_NET_CTRL_VLAN_DEL);
	SAME(LM_VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE);
	SAME(LM_VIRTIO_NET_CTRL_ANNOUNCE_ACK, VIRTIO_NET_CTRL_ANNOUNCE_ACK);
	SAME(LM_VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ);
	SAME(LM_VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET);
	SAME(LM_VIRTIO_NET_CTRL_MQ_RSS_CONFIG, VIRTIO_NET_CTRL_MQ_RSS_CONFIG);
	SAME(LM_VIRTIO_NET_CTRL_MQ_HASH_CONFIG, VIRTIO_NET_CTRL_MQ_HASH_CONFIG);
	SAME(LM_VIRTIO_NET_MAX_PAIRS, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX);
	SAME(sizeof(struct lm_virtio_net_ctrl_mq), sizeof(struct virtio_net_ctrl_mq));
	SAME(LM_VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS);
	SAME(LM_VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET);
	SAME(LM_VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL);
	SAME(LM_VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET);
	SAME(LM_VIRTIO_NET_CTRL_NOTF_COAL_RX_SET, VIRTIO_NET_CTRL_NOTF_COAL_RX_SET);
#ifdef VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET
	SAME(LM_VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET, VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET);
	SAME(LM_VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET, VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET);
#endif
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pci_capabilities),
		cmocka_unit_test(test_common_config),
		cmocka_unit_test(test_status_and_transport_features),
		cmocka_unit_test(test_split_ring),
		cmocka_unit_test(test_event_index),
		cmocka_unit_test(test_packed_ring),
		cmocka_unit_test(test_net_features),
		cmocka_unit_test(test_net_formats),
		cmocka_unit_test(test_net_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
