/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON documents decoded by tables into plain structs; json_write.h is the
 * other way.
 *
 * Why our own reader.  Reading config.json is on the start path of every
 * container.  For Docker's config (9 KB, 357 seccomp names) in a fresh process
 * the two C libraries that Debian has as archives need: jansson 145 us (a tree
 * of malloc'ed nodes and hash tables, still to be walked), yajl 27 us (callbacks;
 * no line numbers, no depth limit, not maintained since 2014).  This reader
 * parses, decodes and checks in 38 us, most of it first touches of code and
 * memory (10 us when repeated), and 55 us against 315 and 60 for the same in
 * 34 KB of indented text.  It works on a private copy of the text, unescapes
 * strings in place and hands out pointers into the copy.  It is also as strict as is wanted here:
 *   - RFC 8259 to the letter, valid UTF-8 only, no NUL inside a string;
 *   - whole numbers are exact over all of int64 and uint64, never doubles;
 *   - limits on depth, on elements of a list and on memory for the whole;
 *   - a property that a table knows, or a key of a map, given twice is
 *     refused.  Go takes the last, others the first: what a policy checked
 *     need not be what would run, so that an ambiguous document is an error
 *     (an object in two parts, "cpu" and "CPU", is one to Go and to us);
 *   - null stands for an absent property, as with Go;
 *   - names are compared as Go does: exactly, then regardless of ASCII case,
 *     so that a "NoNewPrivileges" that runc obeyed is not dropped in silence;
 *   - unknown properties are checked for syntax and ignored, as the runtime
 *     specification demands ("Extensibility").
 * The fuzzers hold it against jansson, value by value.
 *
 * Errors are -EINVAL (-E2BIG for limits, -ENOMEM) and one line:
 *   FILE: process.user.uid: expected a number from 0 to 4294967295, got a string
 *   FILE: line 3, column 14: expected a comma or "}", got "x"
 */
#pragma once

#include "base/err.h"

#define LIST_OF(type)                                                                                        \
	struct {                                                                                             \
		type *v;                                                                                     \
		size_t n;                                                                                    \
	}

struct opt_bool {
	bool v, set;
};
struct opt_i64 {
	int64_t v;
	bool set;
};
struct opt_u64 {
	uint64_t v;
	bool set;
};
struct opt_u32 {
	uint32_t v;
	bool set;
};

typedef LIST_OF(const char *) str_list;
typedef LIST_OF(uint32_t) u32_list;

/* What the elements of a JSON_PAIRS list are, under any name. */
struct json_pair {
	const char *key, *value;
};

enum {
	JSON_DEPTH_MAX = 64,	     /* objects and lists inside one another */
	JSON_LIST_MAX = 1 << 17,     /* elements of one list or map */
	JSON_MEMORY_MAX = 128 << 20, /* bytes of decoded structs of one document, its text not counted */
};

enum json_kind {
	JSON_STR,      /* const char * */
	JSON_CHAR,     /* char: a string of one of the characters in `chars` */
	JSON_BOOL,     /* bool */
	JSON_OPT_BOOL, /* struct opt_bool */
	JSON_U16,      /* whole numbers, in min..max */
	JSON_I32,
	JSON_U32,
	JSON_I64,
	JSON_U64,
	JSON_OPT_U32,
	JSON_OPT_I64,
	JSON_OPT_U64,
	JSON_STRUCT,	 /* the struct itself; `offset` 0 spreads its fields into the parent's struct */
	JSON_STRUCT_PTR, /* pointer to a struct in the document's memory */
	JSON_STRS,	 /* str_list */
	JSON_U32S,	 /* u32_list */
	JSON_OBJECTS,	 /* LIST_OF(struct) */
	JSON_PAIRS,	 /* {"key": "value"} -> LIST_OF(struct of two strings) */
	JSON_OBJECT_MAP, /* {"key": {...}} -> LIST_OF(struct), the key in the struct's field table->key */
	JSON_CUSTOM,	 /* `custom` reads the value */
	JSON_REFUSED,	 /* a property that must not be there; `why` */
};

struct json_in; /* a reading in progress */
struct json_table;

struct json_field {
	const char *name;
	uint16_t name_len;
	uint16_t kind;	    /* enum json_kind */
	bool required;	    /* null does not count as given */
	bool empty_is_null; /* strings: "" is as good as absent, which is how Go writes absent ones */
	uint32_t offset;
	uint32_t present; /* 1 + offset of a bool of the object that tells "was given"; 0 = none */
	int64_t min;	  /* of numbers; both 0: all that the kind holds */
	uint64_t max;	  /* for signed kinds at most INT64_MAX */
	const struct json_table *table; /* of objects */
	const char *const *allowed; /* strings and lists of strings: the values there are, NULL-terminated */
	const char *chars;	    /* JSON_CHAR */
	const char *why;	    /* JSON_REFUSED */
	int (*custom)(struct json_in *in, void *object);
};

struct json_table {
	const struct json_field *fields;
	size_t n;    /* at most 64 */
	size_t size; /* of the struct */
	size_t key;  /* JSON_OBJECT_MAP: offset of the const char * that takes the key */
};

#define JSON_TABLE(struct_type, array, ...)                                                                  \
	{                                                                                                    \
		.fields = (array), .size = sizeof(struct_type),                                              \
		.n = ARRAY_LEN(array) + 0 * sizeof(char[ARRAY_LEN(array) <= 64 ? 1 : -1]), __VA_ARGS__       \
	}

/* Offset of a member that must have the type. */
#define JSON_AT(st, member, type)                                                                            \
	(uint32_t)(offsetof(st, member) +                                                                    \
		   0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((st *)0)->member), type) ? 1     \
												     : -1]))
/* Offset of a list member whose elements must have the type. */
#define JSON_LIST_AT(st, member, type) (JSON_AT(st, member.v, type *) + 0 * JSON_AT(st, member.n, size_t))
/* For `.present`. */
#define JSON_PRESENT(st, member) (JSON_AT(st, member, bool) + 1)

#define JSON_FIELD_(name_, kind_, offset_, ...)                                                              \
	{                                                                                                    \
		.name = name_, .name_len = sizeof(name_) - 1, .kind = kind_, .offset = offset_, __VA_ARGS__  \
	}

/* Fields: struct type, member, JSON name, then designated initialisers (.required = true, …). */
#define F_STR(st, m, name, ...) JSON_FIELD_(name, JSON_STR, JSON_AT(st, m, const char *), __VA_ARGS__)
#define F_CHAR(st, m, name, set, ...)                                                                        \
	JSON_FIELD_(name, JSON_CHAR, JSON_AT(st, m, char), .chars = set, __VA_ARGS__)
#define F_BOOL(st, m, name, ...) JSON_FIELD_(name, JSON_BOOL, JSON_AT(st, m, bool), __VA_ARGS__)
#define F_U16(st, m, name, ...)	 JSON_FIELD_(name, JSON_U16, JSON_AT(st, m, uint16_t), __VA_ARGS__)
#define F_I32(st, m, name, ...)	 JSON_FIELD_(name, JSON_I32, JSON_AT(st, m, int32_t), __VA_ARGS__)
#define F_U32(st, m, name, ...)	 JSON_FIELD_(name, JSON_U32, JSON_AT(st, m, uint32_t), __VA_ARGS__)
#define F_I64(st, m, name, ...)	 JSON_FIELD_(name, JSON_I64, JSON_AT(st, m, int64_t), __VA_ARGS__)
#define F_U64(st, m, name, ...)	 JSON_FIELD_(name, JSON_U64, JSON_AT(st, m, uint64_t), __VA_ARGS__)
#define F_OPT_BOOL(st, m, name, ...)                                                                         \
	JSON_FIELD_(name, JSON_OPT_BOOL, JSON_AT(st, m, struct opt_bool), __VA_ARGS__)
#define F_OPT_U32(st, m, name, ...)                                                                          \
	JSON_FIELD_(name, JSON_OPT_U32, JSON_AT(st, m, struct opt_u32), __VA_ARGS__)
#define F_OPT_I64(st, m, name, ...)                                                                          \
	JSON_FIELD_(name, JSON_OPT_I64, JSON_AT(st, m, struct opt_i64), __VA_ARGS__)
#define F_OPT_U64(st, m, name, ...)                                                                          \
	JSON_FIELD_(name, JSON_OPT_U64, JSON_AT(st, m, struct opt_u64), __VA_ARGS__)
#define F_STRS(st, m, name, ...)	JSON_FIELD_(name, JSON_STRS, JSON_LIST_AT(st, m, const char *), __VA_ARGS__)
#define F_U32S(st, m, name, ...)	JSON_FIELD_(name, JSON_U32S, JSON_LIST_AT(st, m, uint32_t), __VA_ARGS__)
#define F_PAIRS(st, m, name, pair, ...) JSON_FIELD_(name, JSON_PAIRS, JSON_LIST_AT(st, m, pair), __VA_ARGS__)
#define F_OBJECT(st, m, name, type, tab, ...)                                                                \
	JSON_FIELD_(name, JSON_STRUCT, JSON_AT(st, m, type), .table = tab, __VA_ARGS__)
#define F_OBJECT_PTR(st, m, name, type, tab, ...)                                                            \
	JSON_FIELD_(name, JSON_STRUCT_PTR, JSON_AT(st, m, type *), .table = tab, __VA_ARGS__)
#define F_OBJECTS(st, m, name, type, tab, ...)                                                               \
	JSON_FIELD_(name, JSON_OBJECTS, JSON_LIST_AT(st, m, type), .table = tab, __VA_ARGS__)
#define F_OBJECT_MAP(st, m, name, type, tab, ...)                                                            \
	JSON_FIELD_(name, JSON_OBJECT_MAP, JSON_LIST_AT(st, m, type), .table = tab, __VA_ARGS__)
/* An object whose table has offsets of the parent's struct. */
#define F_SPREAD(name, tab, ...) JSON_FIELD_(name, JSON_STRUCT, 0, .table = tab, __VA_ARGS__)
#define F_CUSTOM(name, fn, ...)	 JSON_FIELD_(name, JSON_CUSTOM, 0, .custom = fn, __VA_ARGS__)
#define F_REFUSED(name, reason)	 JSON_FIELD_(name, JSON_REFUSED, 0, .why = reason)

/* Owns all that decoding made.  Zero-initialise; json_doc_free() takes what json_decode() left, failed or
 * not. */
struct json_doc {
	struct json_block *blocks;
	size_t used; /* bytes of structs so far */
};

/*
 * Decodes `text` (no NUL needed behind it), an object, into *object, which
 * the caller has zeroed and which has table->size bytes.  `where` names the
 * document in messages.  On failure *object is undefined.
 */
must_use int json_decode(struct json_doc *doc, const char *text, size_t len, const char *where,
			 const struct json_table *table, void *object, struct err *err);
void json_doc_free(struct json_doc *doc);
/* Zeroed memory that lives as long as the document; NULL for lack of it or past JSON_MEMORY_MAX. */
must_use void *json_doc_alloc(struct json_doc *doc, size_t size);
#define autojson __attribute__((cleanup(json_doc_free)))

/* ---- For `custom` readers ---- */

/* Decodes the value that comes now as `field` says; `at` is where the value goes (field->offset is not
 * added). */
must_use int json_decode_value(struct json_in *in, const struct json_field *field, void *at);
/* The same with the error set. */
must_use void *json_alloc(struct json_in *in, size_t size);
/* "FILE: PATH: text"; returns -EINVAL. */
int json_fail(struct json_in *in, const char *fmt, ...) printf_like(2, 3);
/* Offset into the text of what will be read next (blanks skipped) or, after a value, of what follows it. */
size_t json_offset(const struct json_in *in);
