//go:build unix

package provision

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/redact"
)

// template reads a bake file whose provisioners are the given JSON, as a user writes them.
func template(t *testing.T, provisioners string, more ...string) *config.Build {
	t.Helper()
	text := `{
"builders": [{"type": "ncloud", "access_key": "k", "secret_key": "s", "server_image_product_code": "SW.VSVR.OS.LNX64", "ssh_password": "` + testPassword + `"}],
"provisioners": ` + provisioners + strings.Join(more, "") + `}`
	name := filepath.Join(t.TempDir(), "bake.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl, diags := config.Load(t.Context(), name, config.Options{})
	if diags.HasErrors() {
		t.Fatalf("%s\n%v", text, diags)
	}
	return tmpl.Builds[0]
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// runner runs the provisioners of a template against a testServer.
type runner struct {
	server *testServer
	story  *syncBuffer
	events []StepEvent
	Options
}

func newRunner(t *testing.T, s *testServer, b *config.Build) *runner {
	t.Helper()
	r := redact.New()
	r.Add(testPassword)
	story, text := newStory(r)
	run := &runner{server: s, story: text}
	run.Options = Options{
		Steps: b.Steps, ErrorCleanup: b.ErrorCleanup,
		Values: config.RunValues{BuildName: "web", BuilderType: "ncloud", RunUUID: "run-1", Host: "127.0.0.1", Port: s.port(), User: "root", Password: testPassword},
		Comm:   connect(t, s, config.Communicator{}), Target: s.target(), Story: story, Redactor: r,
		OnStep: func(e StepEvent) error { run.events = append(run.events, e); return nil },
	}
	return run
}

func (r *runner) run(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return Run(ctx, r.Options)
}

func (r *runner) states() string {
	var all []string
	for _, e := range r.events {
		all = append(all, string(e.State))
	}
	return strings.Join(all, " ")
}

func TestShellProvisioner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "setup.sh")
	os.WriteFile(script, []byte("#!/bin/sh\r\necho script $GREETING from $PACKER_BUILD_NAME\r\n"), 0o600)
	second := filepath.Join(dir, "second.sh")
	os.WriteFile(second, []byte("echo second $0\n"), 0o600)
	quiet := t.TempDir() // for one script alone
	evil := `a'b"c $(touch ` + dir + `/pwned) \ ` + "`x`" + ` 한글`
	tests := []struct {
		name, step string
		want       []string // in the story
		err        string   // "" when it works
	}{
		{"inline", `{"type": "shell", "inline": ["echo one", "echo two >&2"]}`, []string{"    one\n", "    two\n"}, ""},
		{"inline stops at the first failure", `{"type": "shell", "inline": ["false", "echo never"]}`, nil, "provisioner 1 (shell, bake.json:3): inline script exited with 1"},
		{"inline_shebang", `{"type": "shell", "inline_shebang": "/bin/sh -x", "inline": ["false", "echo on"]}`, []string{"    on\n"}, ""},
		{"own shebang", `{"type": "shell", "inline": ["#!/bin/cat", "I am cat"]}`, []string{"    I am cat\n"}, ""},
		{"own shebang and inline_shebang", `{"type": "shell", "inline_shebang": "/bin/sh", "inline": ["#!/bin/cat", "echo I am sh"]}`, []string{"    I am sh\n"}, ""},
		{"script with Windows line ends", `{"type": "shell", "script": ` + quote(script) + `, "environment_vars": ["GREETING=hi there"]}`, []string{"    script hi there from web\n"}, ""},
		{"scripts", `{"type": "shell", "scripts": [` + quote(script) + `, ` + quote(second) + `], "remote_folder": ` + quote(dir) + `}`, []string{"script from web", "second " + dir + "/script_"}, ""},
		{"binary keeps line ends", `{"type": "shell", "script": ` + quote(script) + `, "binary": true}`, nil, "exited with 12"},
		{"packer's variables", `{"type": "shell", "inline": ["echo $PACKER_BUILD_NAME $PACKER_BUILDER_TYPE $PACKER_RUN_UUID"]}`, []string{"    web ncloud run-1\n"}, ""},
		{"values are only values", `{"type": "shell", "environment_vars": [` + quote("EVIL="+evil) + `], "inline": ["printf '%s\\n' \"$EVIL\""]}`, []string{"    " + evil + "\n"}, ""},
		{"env file", `{"type": "shell", "use_env_var_file": true, "remote_folder": ` + quote(quiet) + `, "environment_vars": [` + quote("EVIL="+evil) + `],
			"inline": ["printf '%s\\n' \"$EVIL\"; ls ` + quiet + ` | grep -c varfile_ || :"]}`, []string{"    " + evil + "\n", "    0\n"}, ""},
		{"env file of an own command", `{"type": "shell", "use_env_var_file": true, "remote_folder": ` + quote(dir) + `, "execute_command": ". {{.EnvVarFile}}; stat -c %a {{.EnvVarFile}}; sh {{.Path}}",
			"environment_vars": ["A=b c"], "inline": ["echo $A"]}`, []string{"    b c\n", "    600\n"}, ""},
		{"execute_command", `{"type": "shell", "execute_command": "echo before; {{.Vars}} sh {{.Path}}; echo after", "inline": ["echo within $PACKER_BUILD_NAME"]}`,
			[]string{"before\n", "within web\n", "after\n"}, ""},
		{"env_var_format", `{"type": "shell", "env_var_format": "%s='%s' ", "execute_command": "env {{.Vars}} sh {{.Path}}", "environment_vars": ["A=b c"], "inline": ["echo $A"]}`, []string{"    b c\n"}, ""},
		{"valid_exit_codes", `{"type": "shell", "valid_exit_codes": [0, 42], "inline": ["exit 42"]}`, nil, ""},
		{"valid_exit_codes without 0", `{"type": "shell", "valid_exit_codes": [42], "inline": ["exit 0"]}`, nil, "exited with 0"},
		{"not found", `{"type": "shell", "inline": ["exec no-such-command"]}`, nil, "exited with 127 (a command"},
		{"remote_path", `{"type": "shell", "remote_path": ` + quote(dir+"/my script.sh") + `, "inline": ["echo I am $0"]}`, []string{"I am " + dir + "/my script.sh"}, ""},
		{"run-time value", "{\"type\": \"shell\", \"inline\": [\"echo {{build `Host`}} {{build `User`}}\"]}", []string{"    127.0.0.1 root\n"}, ""},
		{"no directory", `{"type": "shell", "remote_folder": "/no/such/dir", "inline": ["true"]}`, nil, "send inline script: upload to /no/such/dir/"},
		{"pause_after", `{"type": "shell", "pause_after": "10ms", "inline": ["true"]}`, []string{"Pausing 10ms after"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			r := newRunner(t, s, template(t, "["+tt.step+"]"))
			err := r.run(t)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error is %v, want %q", err, tt.err)
			}
			for _, w := range tt.want {
				if !strings.Contains(r.story.String(), w) {
					t.Errorf("the story lacks %q:\n%s", w, r.story)
				}
			}
			if strings.Contains(r.story.String(), "never") {
				t.Errorf("went on after a failure:\n%s", r.story)
			}
		})
	}
	t.Cleanup(func() {
		left, _ := filepath.Glob(filepath.Join(dir, "*"))
		if want := []string{second, script}; !slices.Equal(left, want) {
			t.Errorf("left behind: %q, want %q", left, want)
		}
	})
}

func TestShellSkipClean(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := filepath.Join(t.TempDir(), "kept.sh")
	r := newRunner(t, s, template(t, `[{"type": "shell", "remote_path": `+quote(path)+`, "skip_clean": true, "inline": ["true"]}]`))
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestOutputIsRedactedAndLive(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	mark := filepath.Join(t.TempDir(), "seen")
	r := newRunner(t, s, template(t, `[{"type": "shell", "inline": [
		"echo first", "while ! test -e `+mark+`; do sleep 0.02; done",
		"echo pass: `+testPassword+`", "printf '`+testPassword[:6]+`'; sleep 0.3; echo '`+testPassword[6:]+`'",
		"printf %s '`+testPassword+`' | base64"]}]`))
	go func() {
		for !strings.Contains(r.story.String(), "    first\n") {
			time.Sleep(5 * time.Millisecond)
		}
		os.WriteFile(mark, nil, 0o600)
	}()
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	text := r.story.String()
	if strings.Contains(text, testPassword) || strings.Contains(text, testPassword[:6]) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(testPassword))) {
		t.Errorf("the password shows:\n%s", text)
	}
	if !strings.Contains(text, "pass: "+redact.Mask) {
		t.Errorf("nothing is masked:\n%s", text)
	}
}

// A server that reboots under a script: the connection ends, and the server is back after a while.
func TestShellReboot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, options, err string }{
		{"expected", `"expect_disconnect": true,`, ""},
		{"by exit code", `"valid_exit_codes": [0, 2300218],`, ""},
		{"unexpected", ``, "set expect_disconnect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			dir := t.TempDir()
			r := newRunner(t, s, template(t, `[
				{"type": "shell", `+tt.options+` "remote_path": `+quote(dir+"/script.sh")+`, "inline": ["touch `+dir+`/reboot", "sleep 5"]},
				{"type": "shell", "inline": ["echo after the reboot"]}]`))
			whenThere(t, dir+"/reboot", func() {
				addr := s.addr()
				s.stop()
				time.Sleep(500 * time.Millisecond)
				s.listen(addr)
			})
			err := r.run(t)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !errors.Is(err, ErrDisconnected) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(r.story.String(), "after the reboot") {
				t.Errorf("the second step did not run:\n%s", r.story)
			}
			if _, err := os.Stat(dir + "/script.sh"); err == nil {
				t.Error("the script is left")
			}
		})
	}
}

// The server reboots between two steps: upload and start are tried again as one.
func TestShellStartRetry(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := newRunner(t, s, template(t, `[{"type": "shell", "start_retry_timeout": "20s", "inline": ["echo made it"]}]`))
	addr := s.addr()
	s.stop()
	time.AfterFunc(600*time.Millisecond, func() { s.listen(addr) })
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.story.String(), "made it") || !strings.Contains(r.story.String(), "trying again for up to 20s") {
		t.Errorf("story:\n%s", r.story)
	}
	s.stop()
	r.Steps = template(t, `[{"type": "shell", "start_retry_timeout": "600ms", "inline": ["true"]}]`).Steps
	if err := r.run(t); err == nil || !strings.Contains(err.Error(), "start_retry_timeout") {
		t.Errorf("got %v", err)
	}
}

// The last step shuts the server down for good.
func TestShellShutdownAtTheEnd(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	dir := t.TempDir()
	steps := `{"type": "shell", "expect_disconnect": true, "inline": ["touch ` + dir + `/down", "sleep 5"]}`
	whenThere(t, dir+"/down", s.stop)
	r := newRunner(t, s, template(t, `[`+steps+`]`))
	asked := 0
	r.Stopped = func(context.Context) (bool, error) { asked++; return asked > 2, nil }
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.story.String(), "the server has shut down") {
		t.Errorf("story:\n%s", r.story)
	}
}

func TestShellShutdownTooEarly(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	dir := t.TempDir()
	r := newRunner(t, s, template(t, `[{"type": "shell", "expect_disconnect": true, "inline": ["touch `+dir+`/down", "sleep 5"]}, {"type": "shell", "inline": ["true"]}]`))
	r.Stopped = func(context.Context) (bool, error) { return true, nil }
	whenThere(t, dir+"/down", s.stop)
	if err := r.run(t); err == nil || !strings.Contains(err.Error(), "there are steps left") {
		t.Errorf("got %v", err)
	}
}

func TestFileProvisioner(t *testing.T) {
	t.Parallel()
	local, remote := t.TempDir(), t.TempDir()
	os.WriteFile(local+"/run.sh", []byte("#!/bin/sh\n"), 0o755)
	os.WriteFile(local+"/conf", []byte("k=v\n"), 0o640)
	os.MkdirAll(local+"/dir/sub", 0o755)
	os.WriteFile(local+"/dir/sub/x", []byte("x"), 0o600)
	os.WriteFile(remote+"/log one", []byte("log"), 0o600)
	os.MkdirAll(remote+"/logs", 0o755)
	os.WriteFile(remote+"/logs/a.log", []byte("a"), 0o600)
	os.WriteFile(remote+"/logs/b.log", []byte("b"), 0o600)
	step := func(s string) string {
		return `{"type": "file", ` + strings.NewReplacer("L/", local+"/", "R/", remote+"/").Replace(s) + `}`
	}
	tests := []struct{ name, step, file, want, err string }{
		{"file to file", step(`"source": "L/run.sh", "destination": "R/one"`), remote + "/one", "755 #!/bin/sh\n", ""},
		{"file into directory", step(`"source": "L/run.sh", "destination": "R/"`), remote + "/run.sh", "755 #!/bin/sh\n", ""},
		{"file onto directory", step(`"source": "L/run.sh", "destination": "R/logs"`), "", "", "end the destination with a slash"},
		{"sources", step(`"sources": ["L/run.sh", "L/conf"], "destination": "R/logs/"`), remote + "/logs/conf", "640 k=v\n", ""},
		{"content", step(`"content": "made {{build ` + "`ID`" + `}}", "destination": "R/made"`), remote + "/made", "600 made srv-1", ""},
		{"content into directory", step(`"content": "c", "destination": "R/"`), remote + "/pkr-file-content", "600 c", ""},
		{"directory that becomes the destination", step(`"source": "L/dir", "destination": "R/d1"`), remote + "/d1/sub/x", "600 x", ""},
		{"contents of a directory", step(`"source": "L/dir/", "destination": "R/d2"`), remote + "/d2/sub/x", "600 x", ""},
		{"download", step(`"direction": "download", "source": "R/log one", "destination": "L/new/log"`), local + "/new/log", "644 log", ""},
		{"download into directory", step(`"direction": "download", "source": "R/log one", "destination": "L/into/"`), local + "/into/log one", "644 log", ""},
		{"download directory", step(`"direction": "download", "source": "R/logs/", "destination": "L/all"`), local + "/all/b.log", "600 b", ""},
		{"download pattern", step(`"direction": "download", "source": "R/logs/a*", "destination": "L/some"`), local + "/some/a.log", "600 a", ""},
		{"download of nothing", step(`"direction": "download", "source": "R/nothing", "destination": "L/nothing"`), "", "", "nothing"},
		{"generated, but absent", step(`"generated": true, "source": "L/absent", "destination": "R/x"`), "", "", "absent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t)
			r := newRunner(t, s, template(t, "["+tt.step+"]"))
			r.Values.ID = "srv-1"
			err := r.run(t)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error is %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := os.ReadFile(tt.file)
			if got := strings.TrimPrefix(info.Mode().Perm().String(), "-"); modeText(info.Mode())+" "+string(text) != tt.want {
				t.Errorf("got %s %s %q, want %q", got, modeText(info.Mode()), text, tt.want)
			}
		})
	}
	if left, _ := filepath.Glob(local + "/*.part"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := os.Stat(local + "/nothing"); err == nil {
		t.Error("a failed download leaves a file")
	}
}

func modeText(m os.FileMode) string {
	const digits = "01234567"
	p := m.Perm()
	return string([]byte{digits[p>>6&7], digits[p>>3&7], digits[p&7]})
}

func TestStepWrapping(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	counted := func(n int) string {
		return `echo x >> ` + dir + `/count; test $(wc -l < ` + dir + `/count) -ge ` + string(rune('0'+n))
	}
	tests := []struct {
		name, step, states, err string
		within                  time.Duration
	}{
		{"retries", `"max_retries": 2, "inline": ["` + counted(3) + `"]`, "started done started done", "", 0},
		{"too few retries", `"max_retries": 1, "inline": ["` + counted(9) + `"]`, "started failed", "tried 2 times", 0},
		{"timeout", `"timeout": "2s", "inline": ["sleep 30"]`, "started failed", "did not end within its timeout of 2s", 20 * time.Second},
		{"timeout covers the pause", `"timeout": "200ms", "pause_before": "30s", "inline": ["true"]`, "started failed", "timeout of 200ms", 20 * time.Second},
		{"each try has its timeout", `"timeout": "200ms", "pause_before": "30s", "max_retries": 1, "inline": ["true"]`, "started failed", "200ms (and it has been tried 2 times)", 20 * time.Second},
		{"continue on error", `"continue_on_error": true, "inline": ["exit 7"]`, "started passed-over started done", "", 0},
		{"continue after retries", `"continue_on_error": true, "max_retries": 1, "inline": ["exit 7"]`, "started passed-over started done", "", 0},
		{"pause", `"pause_before": "50ms", "inline": ["true"]`, "started done started done", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			os.Remove(dir + "/count")
			s := startServer(t)
			r := newRunner(t, s, template(t, `[{"type": "shell", `+tt.step+`}, {"type": "shell", "inline": ["true"]}]`))
			start := time.Now()
			err := r.run(t)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error is %v, want %q", err, tt.err)
			}
			if r.states() != tt.states {
				t.Errorf("states: %s, want %s\n%s", r.states(), tt.states, r.story)
			}
			if took := time.Since(start); tt.within > 0 && took > tt.within {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestErrorsAndCleanup(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	dir := t.TempDir()
	b := template(t, `[
  {"type": "shell", "inline": ["echo one"]},
  {"type": "shell", "inline": ["exit 3"]},
  {"type": "shell", "inline": ["touch `+dir+`/never"]}
]`, `, "error-cleanup-provisioner": {"type": "shell", "inline": ["touch `+dir+`/cleaned"]}`)
	r := newRunner(t, s, b)
	err := r.run(t)
	var failed *StepError
	if !errors.As(err, &failed) || failed.Index != 1 || failed.Error() != "provisioner 2 (shell, bake.json:5): inline script exited with 3" {
		t.Errorf("got %v", err)
	}
	if r.states() != "started done started failed started done" || r.events[4].Index != -1 || r.events[3].Err == nil {
		t.Errorf("events: %+v", r.events)
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) != 1 || !strings.HasSuffix(left[0], "cleaned") {
		t.Errorf("files: %q", left)
	}

	// Cancelled: the cleanup still runs, and the error still tells that it was a cancel.
	os.Remove(dir + "/cleaned")
	r.Steps = template(t, `[{"type": "shell", "continue_on_error": true, "inline": ["sleep 5"]}]`).Steps
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	start := time.Now()
	err = Run(ctx, r.Options)
	if !errors.Is(err, context.Canceled) || time.Since(start) > 20*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	if _, err := os.Stat(dir + "/cleaned"); err != nil {
		t.Error("no cleanup after a cancel")
	}

	// -on-error=abort: no cleanup.
	os.Remove(dir + "/cleaned")
	r.Steps, r.ErrorCleanup = b.Steps, nil
	if err := r.run(t); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(dir + "/cleaned"); err == nil {
		t.Error("cleaned though told not to")
	}

	// Resumed from the third step.
	r.From, r.events = 2, nil
	if err := r.run(t); err != nil || r.states() != "started done" || r.events[0].Index != 2 {
		t.Errorf("%v, %+v", err, r.events)
	}

	// A step that cannot be noted does not run.
	os.Remove(dir + "/never")
	r.OnStep = func(StepEvent) error { return errors.New("disk full") }
	if err := r.run(t); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir + "/never"); err == nil {
		t.Error("a step ran that could not be noted")
	}
}

func TestWithoutConnection(t *testing.T) {
	t.Parallel()
	b := template(t, `[{"type": "sleep", "duration": "10ms"}, {"type": "breakpoint", "note": "look"}, {"type": "shell", "inline": ["true"]}]`)
	story, text := newStory(nil)
	comm, err := Connect(t.Context(), config.Communicator{Type: "none"}, Target{}, story)
	if comm != nil || err != nil {
		t.Fatal(comm, err)
	}
	err = Run(t.Context(), Options{Steps: b.Steps, Story: story})
	if err == nil || !strings.Contains(err.Error(), `provisioner 3`) || !strings.Contains(err.Error(), `communicator is "none"`) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(text.String(), `Breakpoint with note "look" passed`) {
		t.Errorf("story:\n%s", text)
	}
	asked := ""
	err = Run(t.Context(), Options{Steps: b.Steps[1:2], Story: story, Ask: func(_ context.Context, q string, _ bool) (string, error) { asked = q; return "", io.EOF }})
	if asked != "Press enter to continue." || !errors.Is(err, io.EOF) {
		t.Errorf("asked %q, %v", asked, err)
	}
}
