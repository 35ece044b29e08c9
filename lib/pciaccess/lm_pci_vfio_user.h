/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_VFIO_USER_H
#define LM_PCI_VFIO_USER_H

/* Inside of lib/pciaccess: migration of a function behind a socket; pci->priv is the client. */

#include "lm_pci_priv.h"

extern const struct lm_pci_mig_ops lm_pci_vfio_user_mig_ops;

#endif /* LM_PCI_VFIO_USER_H */
