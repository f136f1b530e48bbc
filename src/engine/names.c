/* SPDX-License-Identifier: Apache-2.0 */
/* Names of containers: what they may be, and made-up ones. */
#include "engine/engine_int.h"

#include <sys/random.h>

static const char *const adjectives[] = {
	"able",	    "amber",	"ample",  "apt",     "azure",	"balmy",    "bold",    "brave",	 "breezy",
	"brisk",    "bright",	"calm",	  "candid",  "cheery",	"clever",   "cosy",    "crisp",	 "curious",
	"daring",   "dapper",	"deft",	  "eager",   "earnest", "easy",	    "elegant", "fair",	 "famous",
	"fearless", "fleet",	"fond",	  "frosty",  "gallant", "gentle",   "gifted",  "glad",	 "golden",
	"grand",    "happy",	"hardy",  "humble",  "jolly",	"jovial",   "keen",    "kind",	 "lively",
	"lucid",    "lucky",	"mellow", "merry",   "mighty",	"modest",   "neat",    "nimble", "noble",
	"patient",  "peaceful", "plucky", "polite",  "proud",	"prudent",  "quick",   "quiet",	 "radiant",
	"ready",    "robust",	"rosy",	  "serene",  "sharp",	"silent",   "sleek",   "smart",	 "snug",
	"sober",    "solid",	"spry",	  "stately", "steady",	"sterling", "stoic",   "strong", "sturdy",
	"subtle",   "sunny",	"sweet",  "swift",   "tender",	"tidy",	    "tough",   "upbeat", "valiant",
	"vivid",    "warm",	"wise",	  "witty",   "young",	"zesty",
};
static const char *const surnames[] = {
	"ada",	    "aho",	"allen",      "babbage", "bartik",  "berners",	 "boole",     "brooks",
	"cerf",	    "church",	"clarke",     "codd",	 "conway",  "cray",	 "curie",     "darwin",
	"dijkstra", "einstein", "engelbart",  "erdos",	 "euler",   "faraday",	 "fermat",    "feynman",
	"floyd",    "franklin", "galileo",    "gauss",	 "goedel",  "goldberg",	 "gray",      "hamilton",
	"hamming",  "hawking",	"heisenberg", "hilbert", "hoare",   "hollerith", "hopper",    "hypatia",
	"jackson",  "jacquard", "johnson",    "joule",	 "kahn",    "kay",	 "kepler",    "kernighan",
	"kilby",    "knuth",	"kolmogorov", "lamarr",	 "lamport", "leibniz",	 "liskov",    "lovelace",
	"maxwell",  "mccarthy", "mcilroy",    "meitner", "mendel",  "milner",	 "minsky",    "moore",
	"morris",   "napier",	"naur",	      "newell",	 "newton",  "nobel",	 "noether",   "noyce",
	"pasteur",  "perlman",	"perlis",     "planck",	 "ptolemy", "rabin",	 "ramanujan", "ritchie",
	"rivest",   "roentgen", "rutherford", "sammet",	 "scott",   "shannon",	 "simon",     "stallman",
	"steele",   "strachey", "tanenbaum",  "tarjan",	 "tesla",   "thompson",	 "torvalds",  "turing",
	"ullman",   "volta",	"wilkes",     "wirth",	 "yao",	    "zuse",
};

void engine_random_id(char ret[static ENGINE_ID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[ENGINE_ID_LEN / 2];
	size_t have = 0;

	while (have < sizeof(raw)) {
		ssize_t n = getrandom(raw + have, sizeof(raw) - have, 0);
		if (n > 0)
			have += (size_t)n;
	}
	for (size_t i = 0; i < sizeof(raw); i++) {
		ret[2 * i] = hex[raw[i] >> 4];
		ret[2 * i + 1] = hex[raw[i] & 15];
	}
	ret[ENGINE_ID_LEN] = '\0';
	/* Twelve digits that look like a number confuse tools that take them for one. */
	bool digits = true;
	for (int i = 0; i < ENGINE_SHORT_ID; i++)
		digits &= ret[i] <= '9';
	if (digits)
		ret[0] = 'a';
}

void engine_random_name(char *buf, size_t len)
{
	uint32_t r[2] = {0};

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		r[0] = (uint32_t)getpid();
	if (snprintf(buf, len, "%s_%s", adjectives[r[0] % ARRAY_LEN(adjectives)],
		     surnames[r[1] % ARRAY_LEN(surnames)]) < 0)
		buf[0] = '\0';
}

static bool is_name_char(char c, bool first)
{
	bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

	return alnum || (!first && (c == '_' || c == '.' || c == '-'));
}

static bool names_is_name(const char *name)
{
	size_t n = 0;

	for (; name[n]; n++) {
		if (!is_name_char(name[n], n == 0))
			return false;
	}
	return n >= 1 && n <= 255;
}

int engine_name_check(const char *name, struct err *err)
{
	if (names_is_name(name))
		return 0;
	return err_set(err, EINVAL,
		       "Invalid container name (%.64s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name);
}

int engine_volume_name_check(const char *name, struct err *err)
{
	if (names_is_name(name))
		return 0;
	return err_set(err, EINVAL,
		       "create %.64s: \"%.64s\" includes invalid characters for a local volume name, only "
		       "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, "
		       "use absolute path",
		       name, name);
}
