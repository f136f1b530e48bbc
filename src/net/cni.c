#include "net/net_int.h"
int cni_list(struct net *n unused, int (*each)(void *data, struct network *w, struct err *err) unused,
	     void *data unused, struct err *err unused)
{
	return 0;
}
int cni_find(struct net *n unused, const char *name unused, struct network *ret unused,
	     struct err *err unused)
{
	return 0;
}
int cni_add(struct net *n unused, const struct net_attach *a unused, struct net_result *r unused,
	    size_t index unused, struct err *err unused)
{
	return 0;
}
int cni_del(struct net *n unused, const char *id unused, const char *network unused, struct err *err unused)
{
	return 0;
}
int cni_check(struct net *n unused, const char *id unused, const char *network unused, int netns_fd unused,
	      struct err *err unused)
{
	return 0;
}
void cni_cached(struct net *n unused, const char *id unused, struct net_result *r unused, size_t index unused)
{
}
