package config

import (
	"strings"
	"testing"
)

func TestBuildsTogether(t *testing.T) {
	const image = `"type": "ncloud", "region": "KR", "server_image_product_code": "SPSW0LINUX000046", "server_product_code": "SPSVRCPU00000001"`
	for name, c := range map[string]struct{ text, want string }{
		"one name twice": {`{"builders": [{` + image + `, "name": "a", "server_image_name": "web"},
			{` + image + `, "name": "b", "server_image_name": "web"}]}`, `Two builds would bake an image called "web"`},
		"one name in two regions": {`{"builders": [{` + image + `, "name": "a", "server_image_name": "web"},
			{` + strings.Replace(image, "KR", "SGN", 1) + `, "name": "b", "server_image_name": "web"}]}`, ""},
		"two generated names": {`{"builders": [{` + image + `, "name": "a"}, {` + image + `, "name": "b"}]}`, ""},
		"shell without a connection": {`{"builders": [{` + image + `, "communicator": "none"}],
			"provisioners": [{"type": "shell-local", "inline": ["true"]}, {"type": "shell", "inline": ["true"]}]}`, `Provisioner "shell" needs a connection`},
		"cleanup without a connection": {`{"builders": [{` + image + `, "communicator": "none"}],
			"error-cleanup-provisioner": {"type": "shell", "inline": ["true"]}}`, `Provisioner "shell" needs a connection`},
		"nothing but local": {`{"builders": [{` + image + `, "communicator": "none"}],
			"provisioners": [{"type": "shell-local", "inline": ["true"]}, {"type": "sleep", "duration": "1s"}, {"type": "breakpoint"}]}`, ""},
	} {
		_, diags := loadText(t, "t.json", c.text, nil)
		var got []string
		for _, d := range diags.Errs() {
			got = append(got, d.Error())
		}
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// -except of HCL2 is a glob for post-processors, too; for builds it leaves them all here.
func TestExceptPostProcessor(t *testing.T) {
	for pattern, want := range map[string]int{"up*": 1, "upload": 1, "load": 2} {
		tmpl, diags := loadText(t, "t.pkr.hcl", `
source "ncloud" "x" {
  server_image_number = 1
}
build {
  sources = ["source.ncloud.x"]
  post-processor "shell-local" {
    name   = "upload"
    inline = ["true"]
  }
  post-processor "shell-local" {
    name   = "tell"
    inline = ["true"]
  }
}`, func(o *Options) { o.Except = []string{pattern} })
		if diags.HasErrors() || len(tmpl.Builds) != 1 || len(tmpl.Builds[0].PostProcessors) != want {
			t.Errorf("%s: %v", pattern, diags)
		}
	}
}
