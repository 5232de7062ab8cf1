package localcloud

import (
	"regexp"
	"strings"
	"testing"
)

// Every image that can be chosen is some system that guests can imitate, and fits at least one server product.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	c := loadCatalogue()
	known := regexp.MustCompile(`^((ubuntu|rocky|centos|rhel|oracle)-\d+\.\d+|windows-\d{4})$`)
	for platform, images := range c.images {
		for _, i := range images {
			if os := guestOS(i.code, i.description); !known.MatchString(os) {
				t.Errorf("%s %q: guest OS %q", i.code, i.description, os)
			} else if strings.HasPrefix(os, "windows") != (platformType(i.code, i.description) == "WND64") {
				t.Errorf("%s: guest OS %s, platform %s", i.code, os, platformType(i.code, i.description))
			}
			if len(c.serversFor(platform, i)) == 0 {
				t.Errorf("%s fits no server product", i.code)
			}
		}
	}
	for _, i := range c.serverImages {
		if os := guestOS("", i.name); !known.MatchString(os) {
			t.Errorf("%s %q: guest OS %q", i.no, i.name, os)
		}
		for _, r := range c.vpcRegions {
			if len(c.specsFor(i.hypervisor, r.code)) == 0 {
				t.Errorf("%s has no spec in %s", i.no, r.code)
			}
		}
	}
	if a, b := len(c.serversFor(vpc, mustImage(t, c, vpc, rocky))), len(c.serversFor(classic, mustImage(t, c, classic, centos))); a != 58 || b != 92 {
		t.Errorf("Rocky 8.10 fits %d products (published: 58), Classic CentOS 7.8 %d (published: 92)", a, b)
	}
}

func mustImage(t *testing.T, c *catalogue, platform, code string) imageProduct {
	t.Helper()
	i, ok := c.image(platform, code)
	if !ok {
		t.Fatalf("no image %s", code)
	}
	return i
}
