/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PORT_PVT_H
#define LM_PORT_PVT_H

/** @file The registration of ports, for what is done to all of a window (lm_ports.c). */

#include "lm_port.h"

/** Next port of a window after `after`, from the first when NULL; NULL: no more. */
struct lm_port *lm_port_next(const struct lm_window *window, const struct lm_port *after);

#endif /* LM_PORT_PVT_H */
