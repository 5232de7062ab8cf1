//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/pgtest"
	"github.com/tfbake/tfbake/internal/s3test"
)

const sharedTemplate = `{"builders":[{"type":"ncloud","region":"KR","server_image_number":"23214590","server_spec_code":"s2-g3",
	"user_data":"#!/bin/sh\ntrue\n","server_image_name":"shared"}],"provisioners":[{"type":"shell","inline":["echo one >> /root/steps"]}%s]}`

// machine is a place to run tfbake from: a directory of its own, with nothing but the file of the backend.
type machine struct {
	t   *testing.T
	v   *victim // the cloud
	dir string
	env []string

	said string // by the last command that ended well
}

func newMachine(t *testing.T, v *victim, backend string, env ...string) *machine {
	t.Helper()
	m := &machine{t: t, v: v, dir: t.TempDir(), env: env}
	m.write("backend.json", backend)
	return m
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// try runs tfbake and returns what it printed and said.
func (m *machine) try(args ...string) (stdout, stderr string, err error) {
	m.t.Helper()
	var out, said bytes.Buffer
	cmd := m.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	return out.String(), said.String(), err
}

// kill starts a bake and waits for its death at the point.
func (m *machine) kill(p killPoint) {
	m.t.Helper()
	m.v.at.Store(&p)
	var said bytes.Buffer
	cmd := m.command("run", "-provider=embedded", "bake.json")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.v.pid.Store(int64(cmd.Process.Pid))
	err := cmd.Wait()
	select {
	case <-m.v.shot:
	case <-time.After(10 * time.Second):
		m.t.Fatalf("the bake ended (%v) before its call %d:\n%s", err, p.call, said.String())
	}
	m.v.at.Store(nil)
}

func (m *machine) command(args ...string) *exec.Cmd {
	cmd := m.v.command(args...)
	cmd.Dir = m.dir
	// What a user's own environment holds must not move the states.
	cmd.Env = append(append(cmd.Env, "HOME="+m.dir, "TF_WORKSPACE=prod", "TF_DATA_DIR=/nonexistent", "TFBAKE_BACKEND=backend.json"), m.env...)
	return cmd
}

func (m *machine) run(args ...string) (stdout string) {
	m.t.Helper()
	out, said, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("tfbake %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	m.said = said
	return out
}

// rows is what `tfbake runs -json` prints.
func (m *machine) rows() (rows []runRow) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.run("runs", "-json")), &rows); err != nil {
		m.t.Fatal(err)
	}
	return rows
}

// only returns the only run there is, which must have that status.
func (m *machine) only(status string) runRow {
	m.t.Helper()
	rows := m.rows()
	if len(rows) != 1 || rows[0].Status != status {
		m.t.Fatalf("runs %+v; want one, %s", rows, status)
	}
	return rows[0]
}

func (m *machine) noFiles() {
	m.t.Helper()
	if runs, _ := filepath.Glob(filepath.Join(m.dir, ".tfbake", "runs", "*")); len(runs) > 0 {
		m.t.Errorf("run directories are left: %v", runs)
	}
}

// noSecretIn searches everything below the directories.
func noSecretIn(t *testing.T, secret string, dirs ...string) {
	t.Helper()
	files := 0
	for _, dir := range dirs {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			files++
			b, _ := os.ReadFile(path)
			for _, s := range []string{secret, url.QueryEscape(secret)} {
				if bytes.Contains(b, []byte(s)) {
					t.Errorf("the backend's secret is in %s", path)
				}
			}
			return nil
		})
	}
	if files == 0 {
		t.Error("there were no files to search")
	}
}

// stateBackend is a backend to be tested, with what runs for it.
type stateBackend struct {
	secret    string
	env       []string
	lockFiles bool // a lock outlives the terraform that took it
	// file is that of a backend that is one test's own; states lists the workspaces there.
	file   func(name string) string
	states func(t *testing.T, name string) []string
	// wrong is env with a wrong secret, which the backend answers with refusal.
	wrong   []string
	refusal string
}

func inPostgreSQL(t *testing.T) stateBackend {
	pg := pgtest.Start(t)
	conn := "PG_CONN_STR=" + pg.ConnStr
	return stateBackend{
		secret: pg.Password, env: []string{conn},
		file: func(name string) string { return `{"backend": {"pg": {"schema_name": "` + name + `"}}}` },
		states: func(t *testing.T, name string) []string {
			out, err := pg.Query("select name from " + name + ".states where name <> 'default' order by 1")
			if err != nil {
				t.Fatal(err)
			}
			return strings.Fields(out)
		},
		wrong: []string{strings.Replace(conn, "p%40ss", "wrong%40", 1)}, refusal: "password authentication failed",
	}
}

// inObjectStorage has the arguments that docs/shared-state.md names for NAVER Cloud's.
func inObjectStorage(t *testing.T) stateBackend {
	s3 := s3test.Start(t)
	return stateBackend{
		secret: s3.SecretKey, env: s3.Environ(), lockFiles: true,
		file: func(name string) string {
			return `{"backend": {"s3": {"bucket": "` + s3.Bucket + `", "key": "` + name + `.tfstate", "region": "kr-standard",
				"endpoints": {"s3": "` + s3.URL + `"}, "use_path_style": true, "use_lockfile": true, "skip_s3_checksum": true,
				"skip_credentials_validation": true, "skip_region_validation": true, "skip_requesting_account_id": true, "skip_metadata_api_check": true}}}`
		},
		states: func(t *testing.T, name string) (names []string) {
			for _, key := range s3.Keys() {
				if key, ok := strings.CutSuffix(key, "/"+name+".tfstate"); ok {
					names = append(names, strings.TrimPrefix(key, "env:/"))
				} else if strings.HasSuffix(key, "/"+name+".tfstate.tflock") {
					t.Errorf("a lock is left: %s", key)
				}
			}
			slices.Sort(names)
			return names
		},
		wrong: []string{s3.Environ()[0], "AWS_SECRET_ACCESS_KEY=wrong" + s3.SecretKey, s3.Environ()[2]}, refusal: "SignatureDoesNotMatch",
	}
}

func TestSharedStateInPostgreSQL(t *testing.T) { testSharedState(t, inPostgreSQL, sharedKills) }

func TestSharedStateInObjectStorage(t *testing.T) {
	testSharedState(t, inObjectStorage, sharedKills[1:3])
}

// sharedKills are where a bake is killed that another machine then takes over.
var sharedKills = []killPoint{
	{1, localcloud.Before, true, false}, {6, localcloud.After, true, false}, {7, localcloud.Before, false, true}, {10, localcloud.After, true, true},
}

func testSharedState(t *testing.T, start func(*testing.T) stateBackend, kills []killPoint) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	in := start(t)
	template := strings.Replace(sharedTemplate, "%s", "", 1)

	t.Run("kept here, seen and cleaned up elsewhere", func(t *testing.T) {
		t.Parallel()
		backend := in.file("kept")
		v := newVictim(t, template)
		here, there := newMachine(t, v, `{}`, append(in.env, "TFBAKE_BACKEND=")...), newMachine(t, v, backend, in.env...)
		here.write("bake.json", strings.Replace(template, "{", backend[:len(backend)-1]+",", 1)) // the template names the backend
		here.run("run", "-provider=embedded", "-keep", "bake.json")
		row := there.only("kept")
		if row.LastStep != "keep (done)" || row.Image != "shared" || row.Holder != nil || row.Dir != "" {
			t.Errorf("seen from elsewhere: %+v", row)
		}
		if got := in.states(t, "kept"); len(got) != 2 || got[0] != "tfb-"+row.Run || got[1] != "tfb-"+row.Run+"-run" {
			t.Errorf("workspaces %v", got)
		}
		if list := there.run("state", row.Run); !strings.Contains(list, "module.bake.ncloud_server.this") {
			t.Errorf("state seen from elsewhere:\n%s", list)
		}
		if got := there.run("cleanup", "-dry-run", row.Run); !strings.Contains(got, "server") {
			t.Errorf("cleanup -dry-run: %s", got)
		}
		if _, said, err := there.try("logs", row.Run); err == nil || !strings.Contains(said, "is in its directory on the machine it ran on") || !strings.Contains(said, "tfbake logs -journal "+row.Run) {
			t.Errorf("logs of a run of another machine: %v\n%s", err, said)
		}
		if got := there.run("logs", "-journal", row.Run[:13]); !strings.Contains(got, "terraform-apply") || !strings.Contains(got, "keep ") {
			t.Errorf("journal of a run of another machine:\n%s", got)
		}
		there.noFiles()
		there.only("kept")
		here.only("kept")
		noSecretIn(t, in.secret, here.dir, there.dir)

		there.run("cleanup", row.Run[:13])
		there.noFiles()
		v.expect(1)
		if got := in.states(t, "kept"); len(got) > 0 {
			t.Errorf("workspaces left: %v", got)
		}
		if here.only("gone"); !strings.Contains(here.said, "tfbake cleanup "+row.Run) {
			t.Errorf("a run that is gone from the backend: %s", here.said)
		}
		for _, command := range []string{"resume", "provision"} {
			if _, said, err := here.try(command, "-provider=embedded", row.Run); err == nil || !strings.Contains(said, "was finished or cleaned up from another machine: `tfbake cleanup "+row.Run+"`") {
				t.Errorf("%s of a run that is gone from the backend: %v\n%s", command, err, said)
			}
		}
		here.run("cleanup", row.Run)
		here.noFiles()
		v.expect(1)
	})

	// Killed, and gone on with from a machine that has nothing but the file of the backend.
	for i, c := range kills {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			schema := fmt.Sprintf("kill%d", i)
			backend := in.file(schema)
			v := newVictim(t, template)
			here, there := newMachine(t, v, backend, in.env...), newMachine(t, v, backend, in.env...)
			here.write("bake.json", template)
			here.kill(c)
			row := there.only("interrupted")
			noSecretIn(t, in.secret, here.dir)
			if c.resume {
				there.write("bake.json", template)
				there.run("resume", "-provider=embedded", "-template", "bake.json", row.Run)
				there.noFiles()
				v.expect(1)
			} else {
				if in.lockFiles {
					there.run("cleanup", "-unlock", row.Run)
					if !strings.Contains(there.said, "breaking terraform's lock on run "+row.Run+": OperationTypeApply by ") {
						t.Errorf("cleanup -unlock: %s", there.said)
					}
				} else {
					there.run("cleanup", "-all")
				}
				there.noFiles()
				v.expectNothing()
			}
			said := there.said
			if rows := there.rows(); len(rows) > 0 {
				t.Errorf("still listed: %+v\n%s", rows, said)
			}
			if got := in.states(t, schema); len(got) > 0 {
				t.Errorf("workspaces left: %v\n%s", got, said)
			}
			here.only("gone")
			here.run("cleanup", "-all")
			here.noFiles()
		})
	}

	t.Run("at work elsewhere", func(t *testing.T) {
		t.Parallel()
		backend := in.file("work")
		flag := filepath.Join(t.TempDir(), "go")
		v := newVictim(t, template)
		here, there := newMachine(t, v, backend, in.env...), newMachine(t, v, backend, in.env...)
		here.write("bake.json", strings.Replace(sharedTemplate, "%s", `,{"type":"shell-local","inline":["until test -e `+flag+`; do sleep 0.1; done"]}`, 1))
		var baked sync.WaitGroup
		baked.Go(func() {
			if _, said, err := here.try("run", "-provider=embedded", "-keep", "bake.json"); err != nil {
				t.Errorf("the bake: %v\n%s", err, said)
			}
		})
		defer baked.Wait()
		defer os.WriteFile(flag, nil, 0o600)
		var rows []runRow
		for end := time.Now().Add(150 * time.Second); ; time.Sleep(300 * time.Millisecond) {
			if rows = there.rows(); len(rows) == 1 && strings.HasPrefix(rows[0].LastStep, "provisioner") {
				break
			} else if time.Now().After(end) {
				t.Fatalf("the provisioner was never told: %+v", rows)
			}
		}
		if rows[0].Status != "running" || rows[0].Holder == nil || rows[0].Holder.Doing != "run" {
			t.Errorf("a run at work: %+v", rows[0])
		}
		there.run("cleanup", "-all") // leaves it alone
		if _, said, err := there.try("cleanup", "-unlock", rows[0].Run); err == nil || !strings.Contains(said, "is being worked on by tfbake run, pid") {
			t.Errorf("cleanup of a run at work: %v\n%s", err, said)
		}
		there.noFiles()
		os.WriteFile(flag, nil, 0o600)
		baked.Wait()

		// Two cleanups at once: one does it, the other leaves it alone or comes too late.
		third := newMachine(t, v, backend, in.env...)
		var errs [2]error
		var said [2]string
		var both sync.WaitGroup
		for i, m := range []*machine{there, third} {
			both.Go(func() { _, said[i], errs[i] = m.try("cleanup", rows[0].Run) })
		}
		both.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
			case !strings.Contains(said[i], "is being worked on by") && !strings.Contains(said[i], "there is no run"):
				t.Errorf("the loser says: %s", said[i])
			}
		}
		if won != 1 {
			t.Errorf("%d of two cleanups did it:\n%s\n%s", won, said[0], said[1])
		}
		there.noFiles()
		third.noFiles()
		v.expect(1)
	})

	t.Run("wrong secret", func(t *testing.T) {
		t.Parallel()
		backend := in.file("none")
		v := newVictim(t, template)
		m := newMachine(t, v, backend, in.wrong...)
		m.write("bake.json", template)
		_, said, err := m.try("run", "-provider=embedded", "bake.json")
		if err == nil || !strings.Contains(said, in.refusal) {
			t.Errorf("a bake that cannot reach its state: %v\n%s", err, said)
		}
		if strings.Contains(said, in.secret[5:]) {
			t.Errorf("the secret is shown: %s", said)
		}
		m.noFiles()
		v.expect(0)
		if v.cloud.MutatingCalls() > 0 {
			t.Error("something was created")
		}
	})
}
