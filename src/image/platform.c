/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Platforms: which image of an index serves whom.  An older variant of the
 * same processor serves a newer one, the newest of them best; 32-bit code of
 * the same maker serves where nothing else does.
 */
#include "image/store_int.h"

#include "base/str.h"

#include <ctype.h>
#if defined(__x86_64__)
#include <sys/platform/x86.h>
#endif

#if defined(__x86_64__)
#define PLATFORM_HERE "linux/amd64"
#elif defined(__aarch64__)
#define PLATFORM_HERE "linux/arm64"
#elif defined(__arm__) && __ARM_ARCH >= 7
#define PLATFORM_HERE "linux/arm/v7"
#elif defined(__arm__)
#define PLATFORM_HERE "linux/arm/v6"
#elif defined(__i386__)
#define PLATFORM_HERE "linux/386"
#elif defined(__riscv) && __riscv_xlen == 64
#define PLATFORM_HERE "linux/riscv64"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define PLATFORM_HERE "linux/ppc64le"
#elif defined(__s390x__)
#define PLATFORM_HERE "linux/s390x"
#elif defined(__loongarch64)
#define PLATFORM_HERE "linux/loong64"
#else
#error "name this processor as the image specification does"
#endif

enum { PLATFORM_EXACT = 1000, PLATFORM_32_BIT = 10 };

/* What people and uname(2) write, as the specification writes it. */
static const struct {
	const char *from, *to, *variant;
} platform_aliases[] = {
	{"x86_64", "amd64", ""}, {"x86-64", "amd64", ""}, {"aarch64", "arm64", ""}, {"i386", "386", ""},
	{"i686", "386", ""},	 {"armhf", "arm", "v7"},  {"armel", "arm", "v6"},
};

static void set_platform_part(char ret[static 32], const char *text, size_t len)
{
	len = MIN_OF(len, (size_t)31);
	for (size_t i = 0; i < len; i++)
		ret[i] = (char)tolower((unsigned char)text[i]);
	ret[len] = '\0';
}

/* Names as they are compared: "x86_64" is amd64; arm64 is v8, arm is v7, amd64 is v1 where nothing is said.
 */
static void normalize_platform(struct platform_text *p)
{
	for (size_t i = 0; i < ARRAY_LEN(platform_aliases); i++) {
		if (!streq(p->architecture, platform_aliases[i].from))
			continue;
		set_platform_part(p->architecture, platform_aliases[i].to, strlen(platform_aliases[i].to));
		if (!*p->variant)
			set_platform_part(p->variant, platform_aliases[i].variant,
					  strlen(platform_aliases[i].variant));
	}
	bool is_default =
		(streq(p->architecture, "arm64") &&
		 (streq(p->variant, "v8") || streq(p->variant, "8") || streq(p->variant, "v8.0"))) ||
		(streq(p->architecture, "amd64") && streq(p->variant, "v1"));
	if (is_default)
		p->variant[0] = '\0';
	if (streq(p->architecture, "arm") && !*p->variant)
		set_platform_part(p->variant, "v7", 2);
	if (streq(p->architecture, "arm") && isdigit((unsigned char)*p->variant) && !p->variant[1]) {
		p->variant[1] = p->variant[0];
		p->variant[0] = 'v';
		p->variant[2] = '\0';
	}
}

static bool known_os(const char *os)
{
	static const char *const names[] = {"linux",   "windows", "darwin", "freebsd", "netbsd", "openbsd",
					    "solaris", "illumos", "aix",    "wasip1",  "unknown"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(os, names[i]))
			return true;
	return false;
}

int store_platform_parse(const char *text, struct platform_text *ret, struct err *err)
{
	struct platform_text p = {.os = "linux"};
	char *const parts[] = {p.os, p.architecture, p.variant};
	size_t n = 0;

	if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") !=
	    strlen(text))
		n = 4;
	for (const char *at = text; n < 4; n++) {
		size_t len = strcspn(at, "/");
		if (len == 0 || len > 31 || n == 3) {
			n = 4;
			break;
		}
		set_platform_part(parts[n], at, len);
		if (!at[len])
			break;
		at += len + 1;
	}
	if (n >= 3)
		return err_set(err, EINVAL,
			       "\"%.64s\" is no platform: expected os[/architecture[/variant]], as in "
			       "\"linux/arm64\"",
			       text);
	if (n == 0 && !known_os(p.os)) {
		memcpy(p.architecture, p.os, sizeof(p.os));
		set_platform_part(p.os, "linux", 5);
	} else if (n == 0) {
		const char *here = strchr(PLATFORM_HERE, '/') + 1;
		set_platform_part(p.architecture, here, strcspn(here, "/"));
	}
	normalize_platform(&p);
	*ret = p;
	return 0;
}

const char *image_platform_here(void)
{
	return PLATFORM_HERE;
}

/* "v8.2" -> 82, "v7" -> 70, "" -> 0 */
static int variant_level(const char *variant)
{
	if (variant[0] != 'v' || !isdigit((unsigned char)variant[1]))
		return 0;
	int level = (variant[1] - '0') * 10;
	if (variant[2] == '.' && isdigit((unsigned char)variant[3]))
		level += variant[3] - '0';
	return level;
}

/* What this processor can do beyond the first amd64. */
static int amd64_level(void)
{
#if defined(__x86_64__)
	/*
	 * By what tells the levels apart, as the C library has found it when the program began.  The
	 * compiler's own way (__builtin_cpu_supports) asks the processor a dozen times more, before main()
	 * and whether anybody wants to know or not: each of them leaves a virtual machine.
	 */
	if (!CPU_FEATURE_ACTIVE(SSSE3) || !CPU_FEATURE_ACTIVE(SSE4_2) || !CPU_FEATURE_ACTIVE(POPCNT))
		return 10;
	if (!CPU_FEATURE_ACTIVE(AVX2) || !CPU_FEATURE_ACTIVE(BMI2) || !CPU_FEATURE_ACTIVE(FMA))
		return 20;
	if (!CPU_FEATURE_ACTIVE(AVX512F) || !CPU_FEATURE_ACTIVE(AVX512BW) || !CPU_FEATURE_ACTIVE(AVX512VL))
		return 30;
	return 40;
#else
	return 10;
#endif
}

static int score_same(const struct platform_text *want, const struct platform_text *have)
{
	int w = variant_level(want->variant), h = variant_level(have->variant);

	if (streq(want->variant, have->variant))
		return PLATFORM_EXACT;
	if (streq(want->architecture, "amd64")) {
		/* Who says nothing has the processor that is here, and still likes the plain one best. */
		if (w == 0)
			return h > 0 && h <= amd64_level() && str_starts(PLATFORM_HERE, "linux/amd64")
				       ? PLATFORM_EXACT - 500 + h
				       : 0;
		return h <= w ? PLATFORM_EXACT - 100 + h : 0;
	}
	if (streq(want->architecture, "arm64"))
		return (h ? h : 80) <= (w ? w : 80) ? PLATFORM_EXACT - 100 + (h ? h : 80) : 0;
	if (streq(want->architecture, "arm"))
		return h > 0 && h <= w ? PLATFORM_EXACT - 100 + h : 0;
	/* Elsewhere a variant is a matter of names: none on one side fits any. */
	return !*want->variant || !*have->variant ? PLATFORM_EXACT - 100 : 0;
}

int image_platform_score(const char *want, const struct oci_platform *have)
{
	struct platform_text w, h = {0};
	struct err err;

	if (!have->os || !have->architecture || store_platform_parse(want, &w, &err) < 0)
		return 0;
	set_platform_part(h.os, have->os, strlen(have->os));
	set_platform_part(h.architecture, have->architecture, strlen(have->architecture));
	if (have->variant)
		set_platform_part(h.variant, have->variant, strlen(have->variant));
	normalize_platform(&h);
	if (!streq(w.os, h.os) || streq(h.os, "unknown") || streq(h.architecture, "unknown"))
		return 0;
	if (streq(w.architecture, h.architecture))
		return score_same(&w, &h);
	if (streq(w.architecture, "arm64") && streq(h.architecture, "arm"))
		return PLATFORM_32_BIT + variant_level(h.variant) / 10;
	if (streq(w.architecture, "amd64") && streq(h.architecture, "386"))
		return PLATFORM_32_BIT;
	return 0;
}

int store_platform_of(const struct oci_image_config *c, char ret[static 100], struct err *err)
{
	struct platform_text p;
	autofree char *text = str_format("%s/%s%s%s", c->os ? c->os : "linux",
					 c->architecture ? c->architecture : strchr(PLATFORM_HERE, '/') + 1,
					 c->variant ? "/" : "", c->variant ? c->variant : "");

	if (!text)
		return err_oom(err);
	int r = store_platform_parse(text, &p, err);
	if (r < 0)
		return r;
	(void)snprintf(ret, 100, "%s/%s%s%s", p.os, p.architecture, *p.variant ? "/" : "", p.variant);
	return 0;
}
