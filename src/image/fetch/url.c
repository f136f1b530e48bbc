/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/url.h"

#include <curl/curl.h>
#include <strings.h>

static void cleanup_url(CURLU **u)
{
	curl_url_cleanup(*u);
}
#define autourl __attribute__((cleanup(cleanup_url)))

void url_parts_free(struct url_parts *p)
{
	free(p->scheme);
	free(p->host);
	free(p->port);
	*p = (struct url_parts){0};
}

/* A part as memory of our own. */
static char *url_part(CURLU *u, CURLUPart what, unsigned flags)
{
	char *text = NULL;

	if (curl_url_get(u, what, &text, flags) != CURLUE_OK)
		return NULL;
	char *own = strdup(text);
	curl_free(text);
	for (char *p = own; p && *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	return own;
}

int url_split(const char *url, struct url_parts *ret)
{
	CURLU *u autourl = curl_url();
	struct url_parts p autourlparts = {0};

	if (!u)
		return -ENOMEM;
	if (curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK) {
		if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
			return -EINVAL;
		p.userinfo = true;
	}
	p.scheme = url_part(u, CURLUPART_SCHEME, 0);
	p.host = url_part(u, CURLUPART_HOST, 0);
	p.port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	if (!p.scheme || !p.host || !p.port || (!streq(p.scheme, "http") && !streq(p.scheme, "https")))
		return -EINVAL;
	*ret = p;
	p = (struct url_parts){0};
	return 0;
}

bool url_same_origin(const char *a, const char *b)
{
	struct url_parts x autourlparts = {0}, y autourlparts = {0};

	return url_split(a, &x) == 0 && url_split(b, &y) == 0 && streq(x.scheme, y.scheme) &&
	       streq(x.host, y.host) && streq(x.port, y.port);
}

bool url_is_https(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

int url_resolve(const char *base, const char *location, char **ret, struct err *err)
{
	CURLU *u autourl = curl_url();
	char *text = NULL;

	if (!u)
		return err_oom(err);
	if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &text, 0) != CURLUE_OK)
		return err_set(err, EBADMSG, "\"%s\" sends us to \"%.200s\", which is no address", base,
			       location);
	*ret = strdup(text);
	curl_free(text);
	return *ret ? 0 : err_oom(err);
}

char *url_for_people(const char *url)
{
	return strndup(url, strcspn(url, "?#"));
}
