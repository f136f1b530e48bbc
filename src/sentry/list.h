/* SPDX-License-Identifier: Apache-2.0 */
/* Circular doubly linked lists whose nodes are members of what is listed.  A node on no list points at
 * itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list_node {
	struct list_node *next, *prev;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list_node *n)
{
	n->next = n->prev = n;
}

static inline bool list_empty(const struct list_node *head)
{
	return head->next == head;
}

static inline void list_append(struct list_node *head, struct list_node *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void list_remove(struct list_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

/* The body may remove `it`. */
#define list_each(it, head, type, member)                                                                    \
	for (struct list_node *it##_n = (head)->next, *it##_x = it##_n->next;                                \
	     it##_n != (head) && ((it) = container_of(it##_n, type, member), 1);                             \
	     it##_n = it##_x, it##_x = it##_n->next)
