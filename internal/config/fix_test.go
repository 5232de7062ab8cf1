package config

import (
	"os"
	"strings"
	"testing"
)

// The sample of the original builder's documentation, taken verbatim, says what is wrong with it; fixed, it loads.
func TestFixSeedSample(t *testing.T) {
	text, err := os.ReadFile("testdata/matrix/S1-seed-sample-wrong.json")
	if err != nil {
		t.Fatal(err)
	}
	fixed, changes, diags := Fix("t.json", text)
	if diags.HasErrors() || len(changes) != 4 {
		t.Fatalf("%v %v", changes, diags)
	}
	golden(t, "testdata/fix/seed-sample.golden", string(fixed))
	tmpl, diags := loadText(t, "t.json", string(fixed), nil)
	if len(diags) != 0 {
		t.Errorf("%v", diags)
	}
	s := tmpl.Builds[0].Source
	if s.ServerImageName != "packer-test-1772600767" || s.ServerImageDescription != "server description" || s.MemberServerImageNo != "" || tmpl.Builds[0].Communicator.Type != "none" {
		t.Errorf("%+v", s)
	}
	if again, changes, _ := Fix("t.json", fixed); string(again) != string(fixed) || len(changes) != 0 {
		t.Errorf("fixing twice changed %v", changes)
	}
}

func TestFix(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing to do": {`{"builders": [{"type": "ncloud"}]}`, `{"builders": [{"type": "ncloud"}]}`},
		"old spellings": {
			`{"builders": [{"type": "ncloud", "ncloud_access_key": "a", "ncloud_secret_key": "b", "access_control_group_configuration_no": "1", "ssh_key_path": "k", "ssh_wait_timeout": "5m"}]}`,
			`{"builders": [{"type": "ncloud", "access_key": "a", "secret_key": "b", "access_control_group_no": "1", "ssh_private_key_file": "k", "ssh_timeout": "5m"}]}`},
		"old beside new": {
			"{\"builders\": [{\n  \"type\": \"ncloud\",\n  \"access_key\": \"a\",\n  \"ncloud_access_key\": \"b\"\n}]}",
			"{\"builders\": [{\n  \"type\": \"ncloud\",\n  \"access_key\": \"a\"\n}]}"},
		"push and syntax": {
			"{\n  // old\n  \"push\": {\"name\": \"x\"},\n  \"builders\": [{\"type\": \"ncloud\"},]\n  \"description\": \"d\"\n}",
			"{\n  \n  \"builders\": [{\"type\": \"ncloud\"}],\n  \"description\": \"d\"\n}"},
		"create time": {`{"builders": [{"type": "x", "name": "한글 \"{{.CreateTime}}\" {{ .CreateTime }}"}]}`, `{"builders": [{"type": "x", "name": "한글 \"{{timestamp}}\" {{timestamp}}"}]}`},
		"manifest":    {`{"post-processors": [{"type": "manifest", "filename": "f"}, [{"type": "manifest", "filename": "g"}]]}`, `{"post-processors": [{"type": "manifest", "output": "f"}, [{"type": "manifest", "output": "g"}]]}`},
		"powershell":  {"{\"provisioners\": [{\"type\": \"powershell\", \"environment_vars\": [\"A=`$5\", \"B=``x\"], \"elevated_password\": \"p`$\"}]}", "{\"provisioners\": [{\"type\": \"powershell\", \"environment_vars\": [\"A=$5\", \"B=`x\"], \"elevated_password\": \"p$\"}]}"},
		"windows":     {`{"builders": [{"type": "ncloud", "user_data": "CreateObject(\"x\")"}], "provisioners": [{"type": "powershell"}]}`, `{"builders": [{"type": "ncloud", "user_data": "CreateObject(\"x\")", "communicator": "winrm"}], "provisioners": [{"type": "powershell"}]}`},
		"another's":   {`{"builders": [{"type": "amazon-ebs", "ssh_key_path": "k"}]}`, `{"builders": [{"type": "amazon-ebs", "ssh_key_path": "k"}]}`},
	} {
		got, changes, diags := Fix("t.json", []byte(c.in))
		if string(got) != c.want {
			t.Errorf("%s:\n%s\nwant\n%s\n%v", name, got, c.want, diags)
		}
		if (string(got) != c.in) != (len(changes) > 0) {
			t.Errorf("%s: changes %v", name, changes)
		}
	}
	for _, bad := range []string{`{"a": `, `[]`, `{"a": 1, "a": 2}`} {
		if got, _, diags := Fix("t.json", []byte(bad)); string(got) != bad || bad == `{"a": ` && !diags.HasErrors() {
			t.Errorf("%s became %s %v", bad, got, diags)
		}
	}
}

func TestFormat(t *testing.T) {
	got, diags := Format("t.pkr.hcl", []byte("source \"ncloud\" \"x\" {\n a=1\n   bcd   = 2\n}\n"))
	if diags.HasErrors() || string(got) != "source \"ncloud\" \"x\" {\n  a   = 1\n  bcd = 2\n}\n" {
		t.Errorf("%s %v", got, diags)
	}
	if got, diags := Format("t.pkr.hcl", []byte("a = {")); !diags.HasErrors() || !strings.HasPrefix(string(got), "a = {") {
		t.Errorf("%s %v", got, diags)
	}
}
