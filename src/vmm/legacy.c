/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few I/O ports of an old PC that a kernel asks for: a serial line for
 * messages from before there is a console, the clock chip, and the keyboard's
 * controller, by which a kernel resets the machine.  Stateless but for the
 * index of the clock chip, so that a snapshot has nothing to keep.
 */
#include "vmm/machine.h"
#include "vmm/output.h"

#include <linux/serial_reg.h>
#include <time.h>

enum {
	UART = 0x3f8,
	UART_LAST = UART + 7,
	KEYBOARD_STATUS = 0x64,
	RESET_COMMAND = 0xfe,
	CLOCK_INDEX = 0x70,
	CLOCK_DATA
};

static uint8_t bcd(int n)
{
	return (uint8_t)(n / 10 << 4 | n % 10);
}

/* MC146818: the time of day in UTC, never in the middle of an update. */
static uint8_t read_clock(uint8_t index)
{
	time_t now = time(NULL);
	struct tm t;

	if (!gmtime_r(&now, &t))
		return 0;
	switch (index) {
	case 0:
		return bcd(t.tm_sec);
	case 2:
		return bcd(t.tm_min);
	case 4:
		return bcd(t.tm_hour);
	case 6:
		return bcd(t.tm_wday + 1);
	case 7:
		return bcd(t.tm_mday);
	case 8:
		return bcd(t.tm_mon + 1);
	case 9:
		return bcd(t.tm_year % 100);
	case 0x32:
		return bcd(19 + t.tm_year / 100);
	case 0xb:
		return 2; /* 24 hours, BCD */
	case 0xd:
		return 0x80; /* the battery is well */
	default:
		return 0;
	}
}

static uint8_t clock_index; /* atomic */

void legacy_read(unsigned port, unsigned char *data, unsigned len)
{
	memset(data, 0xff, len);
	switch (port) {
	case UART + UART_LSR:
		*data = UART_LSR_TEMT | UART_LSR_THRE;
		break;
	case UART + UART_IIR:
		*data = UART_IIR_NO_INT;
		break;
	case UART + UART_MSR:
		*data = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
		break;
	case KEYBOARD_STATUS:
		*data = 0;
		break;
	case CLOCK_DATA:
		*data = read_clock(__atomic_load_n(&clock_index, __ATOMIC_RELAXED));
		break;
	default:
		if (port >= UART && port <= UART_LAST)
			*data = 0;
	}
}

bool legacy_write(const struct machine *m, unsigned port, const unsigned char *data, unsigned len)
{
	if (port == UART + UART_TX)
		output_put(m->console_fd, data, MIN_OF(len, 1U));
	if (port == CLOCK_INDEX)
		__atomic_store_n(&clock_index, *data & 0x7f, __ATOMIC_RELAXED);
	return port != KEYBOARD_STATUS || *data != RESET_COMMAND;
}
