/* SPDX-License-Identifier: Apache-2.0 */
/* Values of create's flags: mounts, ulimits, devices, networks, env files. */
#include "test.h"

#include "front/cli/create_flags.h"

static struct json_doc memory;

static const char *mount_text(int (*parse)(struct json_doc *, const char *, struct engine_mount *,
					   struct err *),
			      const char *text)
{
	struct engine_mount m = {0};
	struct err err = {0};
	struct str out = {0};

	if (parse(&memory, text, &m, &err) < 0)
		return memory_text(&memory, err.msg);
	str_putf(&out, "%s %s %s%s%s%s%s%s%s%s%s",
		 m.kind == ENGINE_BIND	   ? "bind"
		 : m.kind == ENGINE_VOLUME ? "volume"
					   : "tmpfs",
		 m.source ? m.source : "-", m.target, m.read_only ? " ro" : "",
		 m.recursive_read_only ? " rro" : "", m.no_copy ? " nocopy" : "",
		 m.create_source ? " make" : "", m.idmap ? " idmap" : "", m.propagation ? m.propagation : "",
		 m.options ? " " : "", m.options ? m.options : "");
	return memory_take(&memory, &out);
}

static void test_volumes(void)
{
	static const char *const cases[][2] = {
		{"/data", "volume - /data"},
		{"/a:/b", "bind /a /b make"},
		{"/a:/b:ro", "bind /a /b ro rro make"},
		{"/a:/b:ro,z", "bind /a /b ro rro make z"},
		{"db:/b:nocopy", "volume db /b nocopy"},
		{"/a:/b:rshared,idmap", "bind /a /b make idmaprshared"},
		{"/a:/b:cached", "bind /a /b make"},
		{"/a:b",
		 "invalid mount \"/a:b\": the path in the container must be absolute, as in SOURCE:/PATH"},
		{"/a:/", "invalid mount \"/a:/\": destination can't be '/'"},
		{":/b", "invalid volume specification: ':/b': empty section between colons"},
		{"/a:/b:rw:x", "invalid volume specification: '/a:/b:rw:x': too many colons"},
		{"/a:/b:zz", "invalid volume specification: '/a:/b:zz': invalid mode: zz (ro, rw, rro, "
			     "nocopy, idmap, z, Z or "
			     "a propagation as rshared)"},
		{"a/b:/c", "\"a/b\" includes invalid characters for a local volume name, only "
			   "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
			   "allowed. If you intended to pass a host directory, use absolute path"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_STR(mount_text(volume_flag_parse, cases[i][0]), cases[i][1]);
	CHECK_STR(mount_text(tmpfs_flag_parse, "/run:size=64m,mode=1777"), "tmpfs - /run size=64m,mode=1777");
	CHECK_STR(mount_text(tmpfs_flag_parse, "/run"), "tmpfs - /run");
}

static void test_mounts(void)
{
	static const char *const cases[][2] = {
		{"type=bind,source=/a,target=/b", "bind /a /b"},
		{"type=bind,src=/a,dst=/b,readonly", "bind /a /b ro rro"},
		{"type=bind,src=/a,dst=/b,ro=false", "bind /a /b"},
		{"type=bind,src=/a,dst=/b,ro,bind-recursive=writable", "bind /a /b ro"},
		{"type=bind,\"src=/a,b\",dst=/c", "bind /a,b /c"},
		{"type=bind,\"src=/a\"\"b\",dst=/c", "bind /a\"b /c"},
		{"src=v1,dst=/c,volume-nocopy", "volume v1 /c nocopy"},
		{"dst=/c", "volume - /c"},
		{"type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700", "tmpfs - /t size=1048576,mode=700"},
		{"type=bind,src=/a,dst=/b,bind-propagation=rshared", "bind /a /brshared"},
		{"type=bind,dst=/b",
		 "invalid mount config for type \"bind\": field Source must not be empty"},
		{"type=foo,dst=/b",
		 "mount type \"foo\" is not known: bind, volume or tmpfs (in --mount type=foo,dst=/b)"},
		{"type=bind,src=/a,dst=/b,tmpfs-size=1",
		 "cannot mix 'tmpfs-*' options with mount type 'bind'"},
		{"type=bind,src=/a,dst=/b,nope=1",
		 "unknown option 'nope' in 'type=bind,src=/a,dst=/b,nope=1'"},
		{"type=bind,nope",
		 "invalid field 'nope' must be a key=value pair (in --mount type=bind,nope)"},
		{"type=bind,\"src=/a,dst=/b",
		 "invalid value \"type=bind,\"src=/a,dst=/b\": a quote is missing or misplaced"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_STR(mount_text(mount_flag_parse, cases[i][0]), cases[i][1]);
}

static void test_specs(void)
{
	struct engine_ulimit u;
	struct engine_device d;
	struct engine_blkio b;
	struct err err = {0};
	const char *host;

	CHECK_INT(ulimit_parse(&memory, "nofile=1024:2048", &u, &err), 0);
	CHECK(u.soft == 1024 && u.hard == 2048);
	CHECK_INT(ulimit_parse(&memory, "core=unlimited", &u, &err), 0);
	CHECK(u.soft == -1 && u.hard == -1);
	CHECK(ulimit_parse(&memory, "nofile", &u, &err) < 0 && ulimit_parse(&memory, "a=1:x", &u, &err) < 0);
	CHECK_INT(device_parse(&memory, "/dev/a:/dev/b:rw", &d, &err), 0);
	CHECK_STR(d.container, "/dev/b");
	CHECK_STR(d.access, "rw");
	CHECK_INT(device_parse(&memory, "/dev/a:r", &d, &err), 0);
	CHECK_STR(d.container, "/dev/a");
	CHECK_STR(d.access, "r");
	CHECK(device_parse(&memory, "a:b", &d, &err) < 0 &&
	      device_parse(&memory, "/dev/a:/dev/b:q", &d, &err) < 0);
	CHECK_INT(blkio_parse(&memory, "/dev/sda:1mb", true, &b, &err), 0);
	CHECK_INT(b.value, 1 << 20);
	CHECK(blkio_parse(&memory, "/dev/sda", true, &b, &err) < 0);
	CHECK_INT(add_host_parse(&memory, "h=1.2.3.4", &host, &err), 0);
	CHECK_STR(host, "h:1.2.3.4");
	CHECK_INT(add_host_parse(&memory, "h:[::1]", &host, &err), 0);
	CHECK_STR(host, "h:::1");
	CHECK_INT(add_host_parse(&memory, "h:host-gateway", &host, &err), 0);
	CHECK(add_host_parse(&memory, "h:x", &host, &err) < 0);
}

static void test_networks(void)
{
	struct net_join j = {0};
	struct err err = {0};
	const char *mode;

	CHECK_INT(network_flag_parse(&memory, "host", &j, &mode, &err), 0);
	CHECK_STR(mode, "host");
	CHECK_INT(network_flag_parse(&memory, "container:web", &j, &mode, &err), 0);
	CHECK_STR(mode, "container:web");
	CHECK_INT(network_flag_parse(&memory, "app", &j, &mode, &err), 0);
	CHECK_STR(j.network, "app");
	CHECK(!mode && j.aliases.n == 0);
	CHECK_INT(network_flag_parse(&memory, "name=app,alias=a,alias=b,ip=10.0.0.2", &j, &mode, &err), 0);
	CHECK_STR(j.network, "app");
	CHECK_STR(j.ip, "10.0.0.2");
	CHECK(j.aliases.n == 2);
	CHECK_INT(network_flag_parse(&memory, "app:alias=x,mac=02:00:00:00:00:01", &j, &mode, &err), 0);
	CHECK_STR(j.mac, "02:00:00:00:00:01");
	CHECK(network_flag_parse(&memory, "alias=a", &j, &mode, &err) < 0);
	CHECK(network_flag_parse(&memory, "name=a,foo=b", &j, &mode, &err) < 0);
	CHECK(network_flag_parse(&memory, "container:", &j, &mode, &err) < 0);
}

static const char *env_text(const char *text, bool bare)
{
	str_list list = {0};
	struct err err = {0};
	struct str out = {0};

	if (env_file_parse(&memory, text, strlen(text), "f", bare, &list, &err) < 0)
		return memory_text(&memory, err.msg);
	for (size_t i = 0; i < list.n; i++)
		str_putf(&out, "<%s>", list.v[i]);
	return memory_take(&memory, &out);
}

static void test_env(void)
{
	CHECK_STR(env_text("A=1\n# no\n\n  B=x y # z\r\nC\nD=\n", true), "<A=1><B=x y # z><C><D=>");
	CHECK_STR(env_text("\xef\xbb\xbfK=v\nL", false), "<K=v><L=>");
	CHECK_STR(env_text("Q='a'\nR=\"b\"", true), "<Q='a'><R=\"b\">");
	CHECK_STR(env_text("A B=1", true), "f: line 1: variable 'A B' contains whitespaces");
	CHECK_STR(env_text("A=1\n=x", true), "f: line 2: no variable name on line '=x'");
	CHECK_STR(env_text("A=\xff", true), "f: line 1: invalid utf8 bytes");
}

int main(void)
{
	test_volumes();
	test_mounts();
	test_specs();
	test_networks();
	test_env();
	json_doc_free(&memory);
	return test_end();
}
