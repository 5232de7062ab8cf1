package guest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", nil)
	c := s.client()
	if r := runOn(t, c, "mkdir -p /t/d && cd /t && printf 'b 2\\na 10\\nc 1\\n' > f && printf 'key = old\\n# c\\n' > conf && ln -s f l && chmod 4755 f", ""); r.code != 0 {
		t.Fatal(r)
	}
	for _, tc := range []struct {
		cmd, out string
		code     int
	}{
		{"cd /t; sort f; sort -k2n f; sort -k2nr f | head -1", "a 10\nb 2\nc 1\nc 1\nb 2\na 10\na 10\n", 0},
		{"cd /t; stat -c '%a %A %U' f; ls -l l | cut -d' ' -f1,9-", "4755 -rwsr-xr-x root\nlrwxrwxrwx l -> f\n", 0},
		{"cd /t; sed 's/old/new/; /^#/d' conf; sed -n '1p' conf; sed -i.bak -E 's/^(key) *= *(.*)$/\\1=\\2!/' conf; cat conf conf.bak", "key = new\nkey = old\nkey=old!\n# c\nkey = old\n# c\n", 0},
		{"printf 'a\\nb\\nc\\nd\\n' | sed -e '2,3d' -e '$a end'; printf 'a\\nb\\n' | sed ':a;N;$!ba;s/\\n/,/g'", "a\nd\nend\na,b\n", 0},
		{"printf 'x\\n' | sed 's|x|/a/b|;y/ab/AB/'", "/A/B\n", 0},
		{"printf 'one\\ntwo\\nthree\\n' | sed '/two/,$c gone'; printf '1\\n2\\n' | sed '1i zero'", "one\ngone\nzero\n1\n2\n", 0},
		{"cd /t; awk '{s+=$2} END {print s}' f; awk -F= -v k=key '$1==k {print $2}' conf", "13\nold!\n", 0},
		{"awk 'BEGIN { system(\"touch /t/evil\"); print 1 }'", "", 2},
		{"grep -c root /etc/passwd; grep -E '^(root|daemon):' /etc/passwd | cut -d: -f1; grep -q nope /etc/passwd; echo $?", "1\nroot\ndaemon\n1\n", 0},
		{"grep -rl 'key' /t | sort; grep -o '[0-9]\\+' /t/f | tr '\\n' ,", "/t/conf\n/t/conf.bak\n2,10,1,", 0},
		{"find /t -type f -name 'conf*' -exec basename {} \\; | sort; find /t -type l; find /t -name '*.bak' -delete; ls /t", "conf\nconf.bak\n/t/l\nconf\nd\nf\nl\n", 0},
		{"find /t -maxdepth 1 -type f -print0 | xargs -0 -n1 basename | sort; echo a b c | xargs -I{} echo '<{}>'; seq 3 | xargs -n 2", "conf\nf\n<a b c>\n1 2\n3\n", 0},
		{"tar czf /tmp/t.tgz -C / t && rm -rf /t2 && mkdir /t2 && tar xzf /tmp/t.tgz -C /t2 --strip-components=1 && ls -1 /t2 && stat -c %a /t2/f && readlink /t2/l; tar tzf /tmp/t.tgz | head -2", "conf\nd\nf\nl\n4755\nf\nt/\nt/conf\n", 0},
		{"echo hi > /tmp/z; gzip /tmp/z; zcat /tmp/z.gz; gunzip /tmp/z.gz; cat /tmp/z; echo x | gzip -c | gunzip -c", "hi\nhi\nx\n", 0},
		{"printf abc | sha256sum; printf abc | base64; printf YWJj | base64 -d; cd /t; md5sum f > /tmp/m && md5sum -c /tmp/m", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\nYWJj\nabcf: OK\n", 0},
		{"cp -a /t /t3; diff -r /t /t3 && echo same; echo more >> /t3/f; diff /t/f /t3/f", "same\n3a4\n> more\n", 1},
		{"cp /t/f /t/g; mv /t/g /t/d/; ls /t/d; cp -r /t/d /t/d2; rm -r /t/d2; rmdir /t/d; echo $?", "g\n1\n", 0},
		{"mkdir -p /x/y; ln -s /x/y /x/link; cd /x/link; pwd; pwd -P; readlink -f /x/link/../y; realpath /x/link", "/x/link\n/x/y\n/x/y\n/x/y\n", 0},
		{"expr 3 + 4 \\* 2; expr abc : 'a\\(.*\\)'; expr 1 = 2", "11\nbc\n0\n", 1},
		{"seq 1 2 5 | paste -sd,; seq -w 8 10; printf 'a,b\\n' | tr , '\\n' | wc -l", "1,3,5\n08\n09\n10\n2\n", 0},
		{"date -u -d @0 +%Y-%m-%dT%H:%M:%SZ; date -d '2024-02-28 +2 days' +%s >/dev/null 2>&1 || echo odd", "1970-01-01T00:00:00Z\nodd\n", 0},
		{"f=$(mktemp); d=$(mktemp -d); [ -f $f ] && [ -d $d ] && stat -c %a $f $d", "600\n700\n", 0},
		{"install -d -m 750 -o root /opt/app && install -m 640 /t/f /opt/app/f && stat -c %a /opt/app /opt/app/f", "750\n640\n", 0},
		{"dd if=/dev/zero of=/tmp/dd bs=1k count=4 2>/dev/null; stat -c %s /tmp/dd; truncate -s 10 /tmp/dd; wc -c < /tmp/dd", "4096\n10\n", 0},
		{"cut -c1-3 /etc/os-release | head -1; . /etc/os-release; echo $ID $VERSION_ID; lsb_release -sc; uname -s", "PRE\nubuntu 22.04\njammy\nLinux\n", 0},
		{"chmod u=rwx,go=rx /t/conf; stat -c %a /t/conf; chmod -R go-rwx /t; stat -c %a /t/conf; chown www-data:adm /t/conf; stat -c %U:%G /t/conf", "755\n700\nwww-data:adm\n", 0},
		{"groupadd app; useradd -r -g app -s /usr/sbin/nologin app; id -gn app; getent passwd app | cut -d: -f7; usermod -aG sudo app; id -nG app; userdel app; id app 2>/dev/null", "app\n/usr/sbin/nologin\napp sudo\n", 1},
		{"apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y nginx=1.18.0 curl >/tmp/apt 2>&1; grep -c simulated /tmp/apt; command -v nginx; dpkg -s nginx | grep Version; dpkg-query -W -f='${Status}\\n' nginx; systemctl is-active nginx; systemctl is-enabled nginx", "2\n/usr/sbin/nginx\nVersion: 1.18.0\ninstall ok installed\nactive\nenabled\n", 0},
		{"systemctl stop nginx; systemctl is-active nginx; systemctl disable nginx 2>/dev/null; systemctl is-enabled nginx; systemctl status nosuch", "inactive\ndisabled\n", 4},
		{"printf '[Unit]\\n[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' > /etc/systemd/system/my.service; systemctl daemon-reload; systemctl enable --now my 2>/dev/null; systemctl is-active my; ls -l /etc/systemd/system/multi-user.target.wants/my.service >/dev/null && echo linked", "active\nlinked\n", 0},
		{"apt-get remove -y nginx >/dev/null; command -v nginx; dpkg -s nginx 2>/dev/null", "", 1},
		{"apt-get install -y tfbake-no-such-package >/dev/null 2>&1", "", 100},
		{"echo 'key' | gpg --dearmor >/dev/null; sysctl -w vm.swappiness=10; sysctl -n vm.swappiness; cat /proc/sys/vm/swappiness", "vm.swappiness = 10\n10\n10\n", 0},
		{"hostnamectl set-hostname web01; hostname; cat /etc/hostname; timedatectl set-timezone Asia/Seoul; readlink /etc/localtime", "web01\nweb01\n/usr/share/zoneinfo/Asia/Seoul\n", 0},
		{"(crontab -l 2>/dev/null; echo '0 1 * * * /bin/true') | crontab -; crontab -l", "0 1 * * * /bin/true\n", 0},
		{"printf '#!/usr/bin/env bash\\nset -e\\necho arg=$1 name=$(basename $0)\\n' > /t/s; chmod +x /t/s; /t/s one; cd /t; ./s two; PATH=/t:$PATH; s three", "arg=one name=s\narg=two name=s\narg=three name=s\n", 0},
		{"printf '#!/usr/bin/python3\\nprint(1)\\n' > /t/py; chmod +x /t/py; /t/py", "", 127},
		{"printf '\\177ELF\\0' > /t/elf; chmod +x /t/elf; /t/elf", "", 126},
		{"ls / | tr '\\n' ' '; ls -d /etc/tfbake-simulated", "bin boot dev etc home lib lib64 media mnt opt proc root run sbin srv sys t t2 t3 tmp usr var x /etc/tfbake-simulated\n", 0},
		{"echo a | tee /tmp/t1 /tmp/t2; cat /tmp/t1 /tmp/t2; echo x >/dev/null; head -c 4 /dev/zero | wc -c; [ -c /dev/null ] && echo dev", "a\na\na\n4\ndev\n", 0},
		{"nohup sleep 0.01 >/dev/null 2>&1 & wait; cut -d. -f1 /proc/uptime | grep -c '[0-9]'; nproc", "1\n2\n", 0},
		{"env -i A=1 /usr/bin/env; env A=2 sh -c 'echo $A'", "A=1\n2\n", 0},
		{"cloud-init status --wait; test -f /var/lib/cloud/instance/boot-finished && echo finished", "status: done\nfinished\n", 0},
	} {
		want(t, c, tc.cmd, tc.out, tc.code)
	}
}

func TestRedHatCommands(t *testing.T) {
	t.Parallel()
	s := newServer(t, "centos-7.9", nil)
	c := s.client()
	for _, tc := range []struct {
		cmd, out string
		code     int
	}{
		{"cat /etc/redhat-release; rpm -E %rhel; which apt-get", "CentOS Linux release 7.9 (Core)\n7\n", 1},
		{"yum install -y -q httpd >/dev/null && rpm -q httpd; systemctl enable --now httpd 2>/dev/null; systemctl is-active httpd; yum remove -y httpd >/dev/null; rpm -q httpd", "httpd-0.0.0-simulated-1.x86_64\nactive\npackage httpd is not installed\n", 1},
		{"yum install -y -q chrony >/dev/null; systemctl enable -q chronyd && systemctl is-enabled chronyd; systemctl cat chrony >/dev/null 2>&1", "enabled\n", 1},
		{"getenforce; echo x > /etc/yum.repos.d/a.repo; yum clean all >/dev/null && echo ok", "Permissive\nok\n", 0},
	} {
		want(t, c, tc.cmd, tc.out, tc.code)
	}
}

// TestEscape tries every way a script could reach the host.
func TestEscape(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("host secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "ubuntu-22.04", nil)
	c := s.client()
	up := strings.Repeat("../", 30)
	hostTmp := os.TempDir()
	reads := []string{
		"cat " + secret, "cat " + up + secret[1:], "cat < " + secret, ". " + secret, "source " + up + secret[1:], "echo $(<" + secret + ")",
		"ln -s " + secret + " /l; cat /l; cat < /l", "ln -s " + outside + " /ld; cat /ld/secret; cd /ld && cat secret", "cd " + outside + " && cat secret",
		"ls " + outside, "echo " + outside + "/*", "head " + secret, "grep -r host " + outside, "awk '{print}' " + secret,
		"awk 'BEGIN { while ((getline l < \"" + secret + "\") > 0) print l }'", "sed -n p " + secret, "tar cf - " + outside + " | tar tf -",
		"cp " + secret + " /c && cat /c", "ln " + secret + " /hard && cat /hard", "dd if=" + secret, "curl -s file://" + secret, "base64 " + secret + " | base64 -d",
		"cat /proc/self/root" + secret, "cat /proc/1/root" + secret, "cat /dev/fd/../../.." + secret, "scp -f " + secret, "bash " + secret, "sh -c '. " + secret + "'",
		"mapfile -t a < " + secret + "; echo ${a[0]}", "read x < " + secret + "; echo $x", "eval 'cat <" + secret + "'", "find " + outside + " -type f", "xargs -a " + secret + " echo",
		"TMPDIR=" + outside + " bash -c 'cat <(cat " + secret + ")'", "command . " + secret, "builtin source " + secret, "\\. " + secret, "trap '. " + secret + "' EXIT",
		"printf '#!" + secret + "\\n' > /s; chmod +x /s; /s", "PATH=" + outside + ":$PATH; source secret", "pushd " + outside + " && cat secret",
	}
	for _, cmd := range reads {
		r := runOn(t, c, cmd, "\x00\x00\x00")
		if strings.Contains(r.out+r.err, "host secret") {
			t.Errorf("%s: read a file of the host: %q %q", cmd, r.out, r.err)
		}
	}
	// Programs of the host.
	for _, cmd := range []string{"/usr/bin/id; id -u", "exec /bin/ls " + outside, "/bin/cat " + secret, "env /usr/bin/cat " + secret, "sudo /bin/cat " + secret,
		"awk 'BEGIN{system(\"cat " + secret + "\")}'", "echo x | awk '{print | \"cat > " + outside + "/w1\"}'", "sed 's/x/cat/e' <<< x", "find / -maxdepth 0 -exec cat " + secret + " \\;", "nohup cat " + secret} {
		r := runOn(t, c, cmd, "")
		if strings.Contains(r.out+r.err, "host secret") {
			t.Errorf("%s: ran a program of the host: %q", cmd, r.out)
		}
	}
	// Writes.
	before := hostNames(hostTmp)
	for _, cmd := range []string{
		"echo x > " + outside + "/w", "echo x > " + up + outside[1:] + "/w", "touch " + outside + "/w", "ln -s " + outside + " /wl; touch /wl/w; echo x > /wl/w", "mkdir " + outside + "/d",
		"tee " + outside + "/w", "cp /etc/passwd " + outside + "/w", "mv /etc/motd " + outside + "/w", "rm -f " + secret, "rm -rf " + outside, "rm -rf --no-preserve-root " + outside,
		"echo x > " + hostTmp + "/sh-interp-tfbaketest", "TMPDIR=" + outside + " bash -c 'echo x > " + outside + "/sh-interp-w'", "export TMPDIR=" + outside + "; bash -c 'cat <(echo hi); echo > $TMPDIR/sh-interp-w'",
		"mktemp -p " + outside, "chmod 777 " + secret, "chown 1:1 " + secret, "exec 5> " + outside + "/w; echo x >&5", "awk 'BEGIN{print \"x\" > \"" + outside + "/w\"}'",
		"sed -i s/host/HOST/ " + secret, "sed -n 'w " + outside + "/w' /etc/passwd", "tar cf " + outside + "/w.tar /etc", "dd if=/etc/passwd of=" + outside + "/w 2>/dev/null",
		"mkdir -p /p/x && cd /p/x && tar cf /e.tar -P ../../../../../../../../etc/motd; tar xPf /e.tar", "echo x > /dev/fd/../../.." + outside + "/w", "crontab -u ../../../../../.." + outside + "/w - < /etc/passwd",
		"useradd '../../x'", "apt-get install -y ../../../../.." + outside + "/w", "truncate -s 0 " + secret, "shred -u " + secret, "install -D /etc/passwd " + outside + "/w", "cat <(echo a) >(cat > " + outside + "/w)",
		"sysctl -w ../../../../../.." + outside + "/w=1", "timedatectl set-timezone ../../../../.." + secret, "mkdir -p /m; mount --bind " + outside + " /m; touch /m/w", "umask 0; : > " + outside + "/w",
		"hostname " + up + "x", "printf x | scp -t " + outside,
	} {
		runOn(t, c, cmd, "C0644 1 w\nx\x00")
	}
	if got := fmt.Sprint(hostNames(outside)); got != "[secret]" {
		t.Errorf("files appeared on the host: %v", got)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "host secret" {
		t.Errorf("the host's file changed: %q %v", data, err)
	}
	if fi, err := os.Stat(secret); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("the host's file changed: %v", fi.Mode())
	}
	for _, n := range hostNames(hostTmp) {
		if strings.HasPrefix(n, "sh-interp-") && !strings.Contains(fmt.Sprint(before), n) {
			t.Errorf("the interpreter made %s on the host", n)
		}
	}
	// What the guest says about itself is its own.
	me, _ := os.Hostname()
	r := runOn(t, c, "hostname; cat /etc/hostname; echo $$ $PPID; echo ~nobody; echo ~$USER; env", "")
	if strings.Contains(r.out, me) && me != "" || strings.Contains(r.out, fmt.Sprintf(" %d\n", os.Getpid())) {
		t.Errorf("the guest knows its host: %s", r.out)
	}
	// No set-id bit ever reaches the host's disk.
	runOn(t, c, "cp /bin/ls /suid; chmod 6755 /suid", "")
	fi, err := os.Stat(filepath.Join(s.dir, rootName, "suid"))
	if err != nil || fi.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
		t.Errorf("suid on the host: %v %v", fi, err)
	}
}

func hostNames(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", func(c *Config) { c.DiskLimit = 4 << 20 })
	c := s.client()
	want(t, c, "dd if=/dev/zero of=/big bs=1M count=100 2>&1 | grep -c 'No space'; yes > /big2; truncate -s 1T /big3; echo x | dd of=/big4 bs=1M seek=1000000 2>/dev/null; rm -f /big*; echo ok > /small && cat /small",
		"1\nok\n", 0)
	if used, _ := s.tree.main.count(); used > 4<<20 {
		t.Errorf("%d bytes used", used)
	}
}

func TestRebootAndPowerOff(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", nil)
	c := s.client()
	boot := runOn(t, c, "touch /root/stays /tmp/goes; cat /proc/sys/kernel/random/boot_id", "").out
	long := make(chan struct{})
	go func() { runOn(t, c, "sleep 100", ""); close(long) }()
	key := fileIn(s, "etc/ssh/ssh_host_ed25519_key.pub")
	if r := runOn(t, c, "reboot", ""); r.code != 0 {
		t.Errorf("reboot: %+v", r)
	}
	select {
	case <-long:
	case <-time.After(5 * time.Second):
		t.Fatal("the reboot did not drop the connection")
	}
	var c2 *ssh.Client
	deadline := time.Now().Add(5 * time.Second)
	for c2 == nil {
		var err error
		if c2, err = s.dialAs("root", ssh.Password(testPassword)); err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	defer c2.Close()
	r := runOn(t, c2, "cat /proc/sys/kernel/random/boot_id; ls /root/stays /tmp/goes 2>/dev/null; last -x reboot | grep -c 'system boot'", "")
	if strings.Contains(r.out, strings.TrimSpace(boot)) || !strings.Contains(r.out, "/root/stays") || strings.Contains(r.out, "goes") {
		t.Errorf("after reboot: %+v", r)
	}
	if fileIn(s, "etc/ssh/ssh_host_ed25519_key.pub") != key {
		t.Error("a reboot changed the host key")
	}
	if r := runOn(t, c2, "shutdown -h now", ""); r.code != 0 {
		t.Errorf("shutdown: %+v", r)
	}
	for deadline := time.Now().Add(5 * time.Second); len(s.powered()) < 2 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if got := fmt.Sprint(s.powered()); got != "[true false]" {
		t.Errorf("power events %v", got)
	}
	if _, err := s.dialAs("root", ssh.Password(testPassword)); err == nil {
		t.Error("the guest answers after poweroff")
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", func(c *Config) {
		c.UserData = "#!/bin/bash\nset -e\necho from init > /etc/made-by-init\nsleep 0.05\nid -u >> /etc/made-by-init\n"
	})
	c := s.client()
	want(t, c, "cloud-init status --wait >/dev/null; cat /etc/made-by-init; grep -c finished /var/log/cloud-init-output.log", "from init\n0\n1\n", 0)
	want(t, c, "useradd -m app; mkdir -m 2750 /srv/d; ln -s /srv/d /srv/l; echo x > /srv/d/f; ln /srv/d/f /srv/d/g; chown app:app /srv/d/f; chmod 400 /srv/d/f; chmod 000 /srv/d; touch -d @1500000000 /srv/d/f", "", 0)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	key := fileIn(s, "etc/ssh/ssh_host_ed25519_key.pub")
	image := filepath.Join(t.TempDir(), "image")
	if err := CopyRoot(image, s.dir); err != nil {
		t.Fatal(err)
	}
	if err := CopyRoot(image, s.dir); err == nil {
		t.Error("a second copy over the first succeeded")
	}
	dir := filepath.Join(t.TempDir(), "server2")
	if err := CopyRoot(dir, image); err != nil {
		t.Fatal(err)
	}
	s2 := bootServer(t, dir, "ubuntu-22.04", func(c *Config) { c.Hostname, c.RootPassword = "second", "An0ther-one" })
	c2, err := s2.dialAs("root", ssh.Password("An0ther-one"))
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	want(t, c2, "hostname; cat /etc/made-by-init; stat -c '%a %U %h %Y' /srv/d/f; stat -c %a /srv/d; readlink /srv/l; cat /srv/l/g; id -un app", "second\nfrom init\n0\n400 app 2 1500000000\n0\n/srv/d\nx\napp\n", 0)
	if _, err := s2.dialAs("root", ssh.Password(testPassword)); err == nil {
		t.Error("the first server's password opens the second")
	}
	if fileIn(s2, "etc/ssh/ssh_host_ed25519_key.pub") == key {
		t.Error("a new server has the image's host key")
	}
	// A restart of the same server keeps everything.
	if err := s2.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	s3 := bootServer(t, dir, "ubuntu-22.04", func(c *Config) { c.FirstBoot = false; c.Hostname = "ignored" })
	c3, err := s3.dialAs("root", ssh.Password("An0ther-one"))
	if err != nil {
		t.Fatal(err)
	}
	defer c3.Close()
	want(t, c3, "hostname", "second\n", 0)
}

func TestInitScriptRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", func(c *Config) { c.UserData = "#!/usr/bin/python3\nprint(1)\n" })
	want(t, s.client(), "cloud-init status --wait; grep -c 'not simulated' /var/log/cloud-init-output.log", "status: error\n1\n", 0)
}
