/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only in the build of `make asan`.  Leaks are looked for with ptrace, which
 * a process that made itself undumpable, or that has its children in another
 * pid namespace, waits for in vain; and whoever calls the program with a clean
 * environment gets the same rules.  Unit tests and fuzzers do look for leaks.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}
