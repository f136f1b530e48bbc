/* SPDX-License-Identifier: Apache-2.0 */
/* Uses as many pipes as it is told, often, then says so; at the next byte it closes them, and says that. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0, (*p)[2] = calloc((size_t)n + 1, sizeof(*p));
	char c;

	for (int i = 0; i < n; i++) {
		if (pipe(p[i]) < 0)
			return 1;
		for (int k = 0; k < 40; k++)
			if (write(p[i][1], "x", 1) != 1 || read(p[i][0], &c, 1) != 1)
				return 1;
		if (write(p[i][1], (char[1]){(char)i}, 1) != 1)
			return 1;
	}
	(void)!write(1, "used\n", 5);
	if (read(0, &c, 1) != 1)
		return 1;
	for (int i = 0; i < n; i++) {
		if (read(p[i][0], &c, 1) != 1 || c != (char)i)
			return 1;
		close(p[i][0]);
		close(p[i][1]);
	}
	(void)!write(1, "closed\n", 7);
	return read(0, &c, 1) != 1;
}
