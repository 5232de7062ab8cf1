package lookup

import "testing"

func own(no, name, created string) image {
	return image{number: no, name: name, created: created, own: true, status: "CREAT", ops: "NULL", key: "server_image_number", hypervisor: kvm}
}

// TestOwnImages chooses among images of one's own.
func TestOwnImages(t *testing.T) {
	yes, no := true, false
	all := []image{
		own("100", "web-1", "2026-01-01T00:00:00+0900"), own("101", "web-3", "2026-03-01T00:00:00+0900"), own("99", "web-2", "2026-02-01T00:00:00+0900"),
		{number: "102", name: "web-4", created: "2026-04-01T00:00:00+0900", own: true, status: "INIT", ops: "CREAT", key: "server_image_number", hypervisor: kvm},
		{number: "103", name: "web-5", created: "2026-05-01T00:00:00+0900", own: true, status: "CREAT", ops: "TERMT", key: "server_image_number", hypervisor: kvm},
		{number: "7", name: "web-base", status: "CREAT", key: "server_image_number", hypervisor: kvm},
		{number: "8", name: "old-1.0-base", phase: "RETIRED", key: "server_image_number", hypervisor: kvm},
		{number: "9", name: "old-0.9-base", phase: "FADE_OUT", key: "server_image_number", hypervisor: kvm},
	}
	for _, c := range []struct {
		q    imageQuery
		want string // number; "" is an error
	}{
		{imageQuery{namePrefix: "web-", own: &yes, mostRecent: &yes}, "101"}, // not the unfinished, nor the one being deleted
		{imageQuery{namePrefix: "web-", own: &yes}, ""},                      // three fit: one must be meant
		{imageQuery{name: "web-2", own: &yes}, "99"},
		{imageQuery{name: "web-?", own: &no, mostRecent: &yes}, ""},
		{imageQuery{os: "old", own: &no}, "9"}, // fading out, but the only one
		{imageQuery{os: "old 1.0", own: &no}, ""},
	} {
		c.q.platform = vpc
		got, err := c.q.choose(all)
		if got.number != c.want || (err == nil) == (c.want == "") {
			t.Errorf("image %s: %q, %v; want %q", c.q, got.number, err, c.want)
		}
	}
}

func TestOSMatch(t *testing.T) {
	for _, c := range []struct {
		os, name string
		ok       bool
		extra    int
	}{
		{"Ubuntu 22.04", "ubuntu-22.04-base", true, 0},
		{"Ubuntu 22", "Ubuntu Server 22.04 (64-bit)", true, 0},
		{"Ubuntu 2", "ubuntu-22.04-base", false, 0},
		{"Rocky Linux 8", "rocky-8.10-gpu", true, 1},
		{"CentOS 7.3", "CentOS 7.3 with Jenkins", true, 2},
		{"Windows Server 2019", "win-2019-64-en", true, 0},
		{"CentOS 7.3", "mariadb(10.2)-centos-7.3-64", true, 1},
	} {
		extra, ok := osMatch(c.os, c.name)
		if ok != c.ok || ok && extra != c.extra {
			t.Errorf("%q in %q: %v with %d more words, want %v with %d", c.os, c.name, ok, extra, c.ok, c.extra)
		}
	}
}
