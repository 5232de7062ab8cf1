package ncloudbake

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// The README's tables name every variable and output, with its description, and nothing else.
func TestReadmeDocumentsEverything(t *testing.T) {
	read := func(name string) string {
		b, err := fs.ReadFile(Files, name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	readme := read("README.md")
	block := regexp.MustCompile(`(?ms)^(variable|output) "(\w+)" \{\n(.*?)^\}`)
	description := regexp.MustCompile(`(?m)^  description += "(.*)"$`)
	known := map[string]bool{}
	for _, m := range block.FindAllStringSubmatch(read("variables.tf")+read("outputs.tf"), -1) {
		known[m[2]] = true
		d := description.FindStringSubmatch(m[3])
		if d == nil {
			t.Errorf("%s %s has no description", m[1], m[2])
			continue
		}
		if row := "| `" + m[2] + "` | " + strings.ReplaceAll(d[1], "\\\"", "\""); !strings.Contains(readme, row) {
			t.Errorf("README lacks %s %s as it is described: %s", m[1], m[2], row)
		}
	}
	if len(known) < 15 {
		t.Fatalf("found only %d variables and outputs", len(known))
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(readme, -1) {
		if !known[m[1]] {
			t.Errorf("README describes %s, which is not there", m[1])
		}
	}
}
