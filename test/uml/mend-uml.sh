#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Mend what keeps User-Mode Linux from being a judge, in an unpacked source: mend-uml.sh TREE
# No driver that judges is touched.

set -eu

# Four defects of the transport, none of a driver: the size of a bounce buffer is taken from its
# pointer (twice), a posted write with copied payload sends a header from the stack, memset_io is
# sent as a write of configuration space, and nothing keeps two CPUs, or a thread and an interrupt,
# from sending at once.
mend_transport()
{
	sed -i -e 's/\(extra_size [<>]=\{0,1\} \)sizeof(buf)/\1sizeof(*buf)/' \
		-e 's/^\(\t\t\)extra = dev->extra_ptrs\[buf_idx\];$/&\n\1cmd = (void *)buf;/' \
		-e '/_bar_set(struct/,/^}/s/OP_CFG_WRITE/OP_MMIO_MEMSET/' \
		-e 's/^static int virtio_pcidev_send_cmd(/static int send_cmd_locked(/' \
		-e '/^struct virtio_pcidev_device {/,/^}/{
			s/^\tunsigned long status;/&\n\traw_spinlock_t lock;/
		}' \
		-e 's/^\tdev->vdev = vdev;$/&\n\traw_spin_lock_init(\&dev->lock);/' \
		-e '/_cmd_vq_cb(struct/,/^}/{
			s/^\tvoid \*cmd;/&\n\tunsigned long flags;/
			s/^\twhile .*/\traw_spin_lock_irqsave(\&dev->lock, flags);\n&/
			s/^\t\tvirtio_pcidev_free_buf.*/&\n\traw_spin_UNLOCK/
			s/UNLOCK$/unlock_irqrestore(\&dev->lock, flags);/
		}' "$1"
	awk '/_cfgspace_read\(struct/ {
		print "static int virtio_pcidev_send_cmd(struct virtio_pcidev_device *dev,"
		print "\t\tstruct virtio_pcidev_msg *cmd, unsigned int cmd_size,"
		print "\t\tconst void *extra, unsigned int extra_size, void *out,"
		print "\t\tunsigned int out_size)\n{\n\tunsigned long flags;\n\tint ret;\n"
		print "\traw_spin_lock_irqsave(&dev->lock, flags);"
		print "\tret = send_cmd_locked(dev, cmd, cmd_size, extra, extra_size, out, out_size);"
		print "\traw_spin_unlock_irqrestore(&dev->lock, flags);\n\treturn ret;\n}\n"
	} { print }' "$1" >"$1.new"
	mv "$1.new" "$1"
	[ "$(grep -cE 'sizeof\(\*buf\) - |cmd = \(void \*\)buf;|OP_MMIO_MEMSET|dev->lock' "$1")" -eq 12 ]
}

# Two options have no prompt on this architecture.
mend_options()
{
	sed -i 's/ if COMPILE_TEST$//' "$1/drivers/iommu/generic_pt/Kconfig"
	sed -i '/^config VIRTIO_PCI_ADMIN_LEGACY/,/^config/s/(X86 || COMPILE_TEST)/(X86 || UML)/' \
		"$1/drivers/virtio/Kconfig"
}

mend_options "$1"
mend_transport "$1/arch/um/drivers/virtio_pcidev.c" || {
	echo "mend-uml: this kernel's PCI transport is not the one that this script mends" >&2
	exit 1
}
