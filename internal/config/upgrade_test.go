package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every JSON template of the matrix that loads must load as HCL2 too and come to the same builds.
func TestUpgradeMatrix(t *testing.T) {
	files, err := filepath.Glob("testdata/matrix/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	dir := mustAbs(t, "testdata/matrix")
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, "-wrong") || strings.HasSuffix(name, ".pkr.json") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			out, notes, diags := Upgrade(name, text)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			golden(t, "testdata/upgrade/"+strings.TrimSuffix(name, ".json")+".pkr.hcl", string(out)+"# notes:\n# "+strings.Join(notes, "\n# ")+"\n")
			if formatted, diags := Format(name, out); diags.HasErrors() || string(formatted) != string(out) {
				t.Errorf("not formatted: %v", diags)
			}
			if strings.HasPrefix(name, "J2") {
				return // -var for what is a local now
			}
			o := testOptions(dir)
			args(t, &o, text)
			o.Only, o.Except = nil, nil
			was, _ := Load(context.Background(), name, o)
			o.Stdin = strings.NewReader(string(out))
			is, diags := Load(context.Background(), "-", o)
			if diags.HasErrors() && !strings.Contains(diags.Error(), "amazon-ebs") {
				t.Fatalf("%v\n%s", diags, out)
			}
			for i, b := range was.Builds {
				if i >= len(is.Builds) {
					t.Errorf("build %s is missing", b.Name)
					break
				}
				if got, want := compact(t, is.Builds[i].Source), compact(t, b.Source); got != want {
					t.Errorf("%s: %s, was %s", b.Name, got, want)
				}
				if len(is.Builds[i].Steps) != len(b.Steps) || len(is.Builds[i].PostProcessors) != len(b.PostProcessors) {
					t.Errorf("%s: steps differ", b.Name)
					continue
				}
				for j, s := range b.Steps {
					want, _ := s.Resolve(testRun)
					got, diags := is.Builds[i].Steps[j].Resolve(testRun)
					if diags.HasErrors() || compact(t, got) != compact(t, want) {
						t.Errorf("%s, step %d: %s, was %s %v", b.Name, j, compact(t, got), compact(t, want), diags)
					}
				}
			}
		})
	}
}
