//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/shared"
	"github.com/tfbake/tfbake/internal/statetest"
)

// TestSharedStateOverHTTP: every run has a key of its own. Terraform cannot list them, and reads a run's state when it is
// initialised. No provider can be fetched here, as on a machine without a way to the registry.
func TestSharedStateOverHTTP(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	server := statetest.Start(t)
	cli := filepath.Join(t.TempDir(), "cli.tfrc")
	if err := os.WriteFile(cli, []byte(`provider_installation { filesystem_mirror { path = "`+filepath.Dir(cli)+`" } }`), 0o600); err != nil {
		t.Fatal(err)
	}
	noRegistry := "TF_CLI_CONFIG_FILE=" + cli
	template := strings.Replace(sharedTemplate, "%s", "", 1)
	two := func(t *testing.T, name string, env ...string) (v *victim, here, there *machine) {
		t.Helper()
		address := server.URL + "/" + name + "/{run}"
		backend := `{"backend": {"http": {"address": "` + address + `", "lock_address": "` + address + `", "unlock_address": "` + address + `"}}}`
		env = append(env, server.Environ()...)
		v = newVictim(t, template)
		here, there = newMachine(t, v, backend, env...), newMachine(t, v, backend, env...)
		here.write("bake.json", template)
		there.write("bake.json", template)
		return v, here, there
	}

	// Killed after the first write of its state, with terraform left to end as it should.
	t.Run("killed, cleaned up here", func(t *testing.T) {
		t.Parallel()
		v, here, _ := two(t, "here", noRegistry)
		here.kill(killPoint{6, localcloud.After, false, false})
		here.run("cleanup", "-provider=embedded", "-all")
		here.noFiles()
		v.expectNothing()
	})
	t.Run("killed, resumed here", func(t *testing.T) {
		t.Parallel()
		v, here, _ := two(t, "resume", noRegistry)
		here.kill(killPoint{10, localcloud.After, true, true})
		here.run("resume", "-unlock", "-provider=embedded", here.only("interrupted").Run)
		here.noFiles()
		v.expect(1)
	})
	// Terraform is killed with it, and cannot return its lock.
	for name, unlock := range map[string][]string{
		"resume":  {"resume", "-unlock", "-provider=embedded", "-template", "bake.json"},
		"cleanup": {"cleanup", "-unlock", "-provider=embedded"},
	} {
		t.Run("killed with terraform, "+name+" elsewhere", func(t *testing.T) {
			t.Parallel()
			v, here, there := two(t, "tree-"+name, noRegistry)
			here.kill(killPoint{5, localcloud.After, true, name == "resume"})
			run := here.only("interrupted").Run
			if !server.Locked("/tree-" + name + "/" + run) {
				t.Fatal("no lock is left")
			}
			there.run(append(unlock, run)...)
			if !strings.Contains(there.said, "breaking terraform's lock on run "+run) {
				t.Errorf("-unlock: %s", there.said)
			}
			there.noFiles()
			if name == "resume" {
				v.expect(1)
			} else {
				v.expectNothing()
			}
			here.only("gone")
			here.run("cleanup", "-all")
			here.noFiles()
		})
	}

	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		v, here, there := two(t, "kept")
		here.run("run", "-provider=embedded", "-keep", "bake.json")
		run := here.only("kept").Run
		if list := there.run("state", run); !strings.Contains(list, "module.bake.ncloud_server.this") {
			t.Errorf("state seen from elsewhere:\n%s", list)
		}
		// Whether another machine is at work is told by this machine's clock, however wrong that is.
		ahead := filepath.Join(t.TempDir(), "clock")
		if err := os.WriteFile(ahead, []byte("25h"), 0o600); err != nil {
			t.Fatal(err)
		}
		note := server.State("/kept/" + run + "-run")
		server.SetState("/kept/"+run+"-run", heldElsewhere(t, note, time.Now().Add(25*time.Hour)))
		there.env, here.env = append(there.env, "TFBAKE_TEST_CLOCK="+ahead), append(here.env, "TFBAKE_TEST_CLOCK="+ahead)
		if row := here.only("running"); row.Holder == nil || row.Holder.Host != "runner-7" {
			t.Errorf("a run that another machine works on: %+v", row)
		}
		if list := here.run("runs"); !regexp.MustCompile(`pid 1 on runner-7 \(resume, seen \d{1,3}s ago\)`).MatchString(list) {
			t.Errorf("who holds it:\n%s", list)
		}
		here.env, there.env = here.env[:len(here.env)-1], there.env[:len(there.env)-1]
		server.SetState("/kept/"+run+"-run", note)

		// It is no orphan, also where nobody can list what the backend holds.
		left := len(v.cloud.Inventory().Left())
		if out := there.run("cleanup", "-orphans", "-older-than", "1ms"); strings.Contains(out, run) || len(v.cloud.Inventory().Left()) != left || left == 0 {
			t.Errorf("-orphans takes a run that the backend knows: %s", out)
		}
		// A backend that has lost everything, or is another one: the run stays kept.
		server.Forget("/kept/")
		here.run("cleanup", "-all")
		if here.only("gone"); len(v.cloud.Inventory().Left()) != left {
			t.Errorf("cleanup -all took a kept run that the backend does not know: %s", here.said)
		}
		there.run("cleanup", "-orphans", "-older-than", "1ms")
		// Now nothing is left of it.
		here.run("cleanup", "-all")
		here.noFiles()
		v.expect(1)
	})
}

// heldElsewhere is a note as another machine leaves it that works on the run, and gave a sign of life at that moment.
func heldElsewhere(t *testing.T, note string, beat time.Time) string {
	t.Helper()
	var state map[string]any
	var n shared.Note
	err := json.Unmarshal([]byte(note), &state)
	if err != nil {
		t.Fatal(err)
	}
	output := state["outputs"].(map[string]any)["tfbake_run"].(map[string]any)
	if err := json.Unmarshal([]byte(output["value"].(string)), &n); err != nil {
		t.Fatal(err)
	}
	n.Owner = &shared.Owner{ID: "other", Host: "runner-7", PID: 1, Doing: "resume", Since: beat, Beat: beat, Machine: "other"}
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	output["value"] = string(text)
	b, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
