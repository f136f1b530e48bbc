#include "net/net_int.h"
int user_lease(struct net *n unused, const struct net_attach *a unused, struct net_result *r unused,
	       struct err *err unused)
{
	return 0;
}
int user_plug(struct net *n unused, const struct net_attach *a unused, struct net_result *r unused,
	      struct err *err unused)
{
	return 0;
}
void user_detach(struct net *n unused, const char *id unused)
{
}
