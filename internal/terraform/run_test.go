//go:build unix

package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain also is the tfbake that gets killed, see TestParentDies.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TFBAKE_TEST_APPLY_IN"); dir != "" {
		tf, err := New(Options{Binary: Binary{Path: os.Getenv("TFBAKE_TEST_PROGRAM"), Version: "1.11.4"}, Dir: dir, Env: Environment(EnvOptions{Environ: os.Environ(), Dir: dir})})
		if err == nil {
			_, err = tf.Apply(context.Background())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const rootModule = `
variable "x" {
  type    = string
  default = "safe"
}
resource "terraform_data" "server" {
  input = { name = "tfb-x", x = var.x }
}
output "server_id" { value = terraform_data.server.id }
output "server_name" { value = terraform_data.server.output.name }
output "public_ip" { value = var.x }
output "public_ip_no" { value = null }
`

func TestRealProgram(t *testing.T) {
	t.Parallel()
	for _, b := range programs(t) {
		t.Run(filepath.Base(b.Path), func(t *testing.T) {
			ctx := t.Context()
			dir := write(t, map[string]string{"main.tf": rootModule})
			tf, log := open(t, b, dir)
			if err := tf.Init(ctx); err != nil {
				t.Fatal(err)
			}
			changes, err := tf.Plan(ctx)
			if err != nil || len(changes) != 1 || changes[0] != (Change{"terraform_data.server", "create"}) {
				t.Fatalf("plan: %+v, %v", changes, err)
			}
			if s, err := ReadState(dir); err != nil || s.Status != StateMissing {
				t.Errorf("plan left state %v, %v", s.Status, err)
			}
			server, err := tf.Apply(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if server.ID == "" || server.Name != "tfb-x" || server.PublicIP != "safe" || server.PublicIPNo != "" {
				t.Errorf("server: %+v", server)
			}
			for _, want := range []string{"terraform_data.server: creating…", "terraform_data.server: created (id " + server.ID + ") in ", "done: 1 created"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the story lacks %q:\n%s", want, log)
				}
			}

			if s, err := tf.State(ctx); err != nil || s.Status != StateFilled || s.Serial == 0 || len(s.Resources) != 1 || s.Resources[0].Address != "terraform_data.server" || s.Resources[0].ID != server.ID {
				t.Errorf("state: %+v, %v", s, err)
			}
			st, err := os.Stat(filepath.Join(dir, LogFile))
			if err != nil || st.Mode().Perm() != 0o600 || st.Size() == 0 {
				t.Errorf("log: %v, %v", st, err)
			}

			// A second apply changes nothing and still knows the server.
			again, err := tf.Apply(ctx)
			if err != nil || again != server {
				t.Errorf("again: %+v, %v", again, err)
			}
			if err := tf.Destroy(ctx); err != nil {
				t.Fatal(err)
			}
			if empty, sound, err := StateIsEmpty(dir); !empty || !sound || err != nil {
				t.Errorf("after destroy: empty %v, sound %v, %v", empty, sound, err)
			}
			if _, running, err := Running(dir); running || err != nil {
				t.Errorf("still running: %v, %v", running, err)
			}
		})
	}
}

// Nothing of the user's shell changes what terraform does.
func TestHostileEnvironment(t *testing.T) {
	b := programs(t)[0]
	other := t.TempDir()
	for k, v := range map[string]string{
		"TF_CLI_ARGS": "-bogus", "TF_CLI_ARGS_apply": "-bogus", "TF_VAR_x": "evil", "TF_LOG": "trace", "TF_LOG_PATH": filepath.Join(other, "log"), "TF_DATA_DIR": other,
		"TF_WORKSPACE": "elsewhere", "TF_INPUT": "true", "TF_REATTACH_PROVIDERS": "{broken", "TF_IN_AUTOMATION": "", "TF_IGNORE": "TRACE", "NCLOUD_SUPPORT_VPC": "true",
	} {
		t.Setenv(k, v)
	}
	readonly := filepath.Join(other, "readonly")
	if err := os.Mkdir(readonly, 0o500); err != nil {
		t.Fatal(err)
	}
	for name, home := range map[string]string{"HOME unset": "", "HOME read-only": readonly, "HOME missing": filepath.Join(other, "none"), "HOME a device": os.DevNull} {
		t.Run(name, func(t *testing.T) {
			if home == "" {
				t.Setenv("HOME", "x") // restored by the test's end
				os.Unsetenv("HOME")
			} else {
				t.Setenv("HOME", home)
			}
			t.Setenv("TF_CLI_CONFIG_FILE", "")
			dir := write(t, map[string]string{"main.tf": rootModule})
			tf, log := open(t, b, dir)
			if err := tf.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			server, err := tf.Apply(t.Context())
			if err != nil || server.PublicIP != "safe" {
				t.Errorf("server %+v, %v", server, err)
			}
			if _, err := os.Stat(filepath.Join(dir, StateFile)); err != nil {
				t.Errorf("the state is elsewhere: %v", err)
			}
			if err := tf.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
			if strings.Contains(log.String(), "warning") {
				t.Errorf("story:\n%s", log)
			}
		})
	}
	if left, _ := os.ReadDir(other); len(left) != 1 {
		t.Errorf("terraform wrote to %v", left)
	}
}

// What reaches the program is what we mean to reach it: arguments, environment, directory.
func TestCommandLines(t *testing.T) {
	record := `{ printf '%s|' "$@"; echo; pwd; env | grep -v '^_=\|^PWD=\|^SHLVL=\|^OLDPWD=' | sort; } >> calls; [ "$1" = apply ] && exit 1; exit 0`
	t.Setenv("TF_VAR_x", "evil")
	dir := write(t, nil)
	tf, _ := open(t, script(t, record), dir, func(o *Options) {
		o.Env = map[string]string{"PATH": os.Getenv("PATH"), "NCLOUD_ACCESS_KEY": "k", "CHECKPOINT_DISABLE": "1"}
		o.LockTimeout = 30 * time.Second
		o.Reattach = Reattach{"registry.terraform.io/navercloudplatform/ncloud": {Protocol: "grpc", ProtocolVersion: 5, Pid: os.Getpid(), Test: true, Addr: ReattachAddr{"unix", "/s"}}}
	})
	for name, c := range map[string]struct {
		run  func() error
		args string
	}{
		"init":    {func() error { return tf.Init(t.Context()) }, "init|-no-color|-input=false|-backend=true|-get=true|-upgrade=false|-json|"},
		"apply":   {func() error { _, err := tf.Apply(t.Context()); return err }, "apply|-no-color|-auto-approve|-input=false|-lock-timeout=30s|-lock=true|-parallelism=4|-refresh=true|-json|"},
		"destroy": {func() error { return tf.Destroy(t.Context()) }, "destroy|-no-color|-auto-approve|-input=false|-lock-timeout=30s|-lock=true|-parallelism=4|-refresh=true|-json|"},
	} {
		t.Run(name, func(t *testing.T) {
			calls := filepath.Join(dir, "calls")
			os.Remove(calls)
			err := c.run()
			if (err != nil) != (name == "apply") {
				t.Fatalf("error: %v", err)
			}
			got := strings.SplitN(read(t, calls), "\n", 3)
			if got[0] != c.args {
				t.Errorf("arguments\n%s, want\n%s", got[0], c.args)
			}
			if got[1] != dir {
				t.Errorf("in %s", got[1])
			}
			env := map[string]string{}
			for _, kv := range strings.Split(strings.TrimSpace(got[2]), "\n") {
				k, v, _ := strings.Cut(kv, "=")
				env[k] = v
			}
			var back Reattach
			if err := json.Unmarshal([]byte(env["TF_REATTACH_PROVIDERS"]), &back); err != nil || len(back) != 1 || !back["registry.terraform.io/navercloudplatform/ncloud"].Test {
				t.Errorf("reattach %q: %v", env["TF_REATTACH_PROVIDERS"], err)
			}
			for k := range env {
				switch k {
				case "PATH", "NCLOUD_ACCESS_KEY", "CHECKPOINT_DISABLE", "TF_REATTACH_PROVIDERS": // ours
				case "TF_APPEND_USER_AGENT", "TF_IN_AUTOMATION", "TF_LOG", "TF_LOG_CORE", "TF_LOG_PATH", "TF_LOG_PROVIDER": // terraform-exec's
				default:
					t.Errorf("%s=%s reached terraform", k, env[k])
				}
			}
			if env["TF_LOG"] != "" {
				t.Errorf("TF_LOG=%s", env["TF_LOG"])
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := Options{Binary: Binary{Path: "/bin/true", Version: "1.11.4"}, Dir: t.TempDir(), Env: map[string]string{"PATH": "/bin"}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*Options){
		"no program":     func(o *Options) { o.Binary.Path = "" },
		"no version":     func(o *Options) { o.Binary.Version = "" },
		"no environment": func(o *Options) { o.Env = nil },
		"TF_VAR":         func(o *Options) { o.Env = map[string]string{"TF_VAR_x": "1"} },
		"own process":    func(o *Options) { o.Reattach = Reattach{"x": {Pid: os.Getpid()}} },
	} {
		o := good
		f(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestRealErrors(t *testing.T) {
	t.Parallel()
	for _, b := range programs(t) {
		t.Run(filepath.Base(b.Path), func(t *testing.T) {
			dir := write(t, map[string]string{"main.tf": `
resource "terraform_data" "ok" {}
resource "terraform_data" "server" {
  depends_on = [terraform_data.ok]
  lifecycle {
    precondition {
      condition     = length(terraform_data.ok.id) == var.server_product_code
      error_message = "server_product_code does not fit."
    }
  }
}
variable "server_product_code" { default = 3 }
`})
			tf, _ := open(t, b, dir, func(o *Options) {
				o.Locate = func(d Diagnostic) string { return "bake.json:12:7: " + d.Attribute }
			})
			if err := tf.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := tf.Apply(t.Context())
			var e *Error
			if !errors.As(err, &e) || len(e.Diagnostics) != 1 || e.Canceled || e.Killed {
				t.Fatalf("error %#v", err)
			}
			if want := "terraform apply: bake.json:12:7: server_product_code: terraform_data.server: server_product_code does not fit."; err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
			// What was made before is in the state, and can be removed.
			if s, err := tf.State(t.Context()); err != nil || len(s.Resources) != 1 {
				t.Errorf("state %+v, %v", s, err)
			}
			if err := tf.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRegistryOutOfReach(t *testing.T) {
	t.Parallel()
	b := programs(t)[0]
	dir := write(t, map[string]string{"main.tf": `terraform { 
  required_providers { 
    x = { source = "registry.invalid/some/x" } 
  } 
}`})
	tf, _ := open(t, b, dir)
	err := tf.Init(t.Context())
	if err == nil || !strings.Contains(err.Error(), "-provider embedded") || !strings.Contains(err.Error(), "registry.invalid") {
		t.Errorf("error: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte("resource {"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tf.Init(t.Context()); err == nil || !strings.Contains(err.Error(), "main.tf line 1") {
		t.Errorf("error: %v", err)
	}
}

// A cancelled apply is interrupted once, ends by itself, and leaves a sound state.
func TestCancelRealProgram(t *testing.T) {
	t.Parallel()
	for _, b := range programs(t) {
		t.Run(filepath.Base(b.Path), func(t *testing.T) {
			dir := write(t, map[string]string{"main.tf": `
resource "terraform_data" "server" {
  provisioner "local-exec" { command = "exec sleep 60" }
}`})
			tf, log := open(t, b, dir)
			if err := tf.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			ctrlC := errors.New("Ctrl-C")
			go func() {
				log.wait(t, "creating…")
				cancel(ctrlC)
			}()
			began := time.Now()
			_, err := tf.Apply(ctx)
			var e *Error
			if !errors.As(err, &e) || !e.Canceled || e.Killed || !errors.Is(err, ctrlC) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error: %v", err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			log.wait(t, "stopping: terraform finishes what it is at, so that nothing is lost (creating terraform_data.server for ")
			s, err := ReadState(dir)
			if err != nil || s.Status != StateFilled || !s.Resources[0].Tainted {
				t.Errorf("state: %+v, %v", s, err)
			}
			if _, err := tf.Apply(ctx); !errors.Is(err, ctrlC) {
				t.Errorf("with a cancelled context: %v", err)
			}
			if err := tf.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// stubborn ignores the interrupt but notes it, and has a child that would outlive it.
const stubborn = `trap 'echo interrupt >> interrupts' INT
sleep 300 & echo $! > child
echo '{"type":"apply_start","hook":{"resource":{"addr":"module.bake.ncloud_server.this","resource_type":"ncloud_server"},"action":"create"}}'
i=0; while [ $i -lt 3000 ]; do sleep 0.1; i=$((i+1)); done`

func TestGraceThenKill(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	tf, log := open(t, script(t, stubborn), dir, func(o *Options) { o.Grace = 1500 * time.Millisecond })
	ctx, cancel := context.WithCancelCause(t.Context())
	var began time.Time
	go func() {
		log.wait(t, "server: creating…")
		began = time.Now()
		cancel(errors.New("the build took too long"))
	}()
	_, err := tf.Apply(ctx)
	var e *Error
	if !errors.As(err, &e) || !e.Canceled || !e.Killed || err.Error() != "terraform apply: killed: the build took too long" {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(began); took < 1500*time.Millisecond || took > time.Minute {
		t.Errorf("took %v", took)
	}
	if got := read(t, filepath.Join(dir, "interrupts")); got != "interrupt\n" {
		t.Errorf("interrupts: %q, want exactly one", got)
	}
	dead(t, filepath.Join(dir, "child"))
	for _, want := range []string{"server: creating…", "(creating server for ", "at most 2 s", "has not stopped within 2 s: killing it"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the story lacks %q:\n%s", want, log)
		}
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	tf, log := open(t, script(t, stubborn), dir)
	tf.Kill() // nothing to kill
	go func() {
		log.wait(t, "server: creating…")
		tf.Kill()
	}()
	began := time.Now()
	_, err := tf.Apply(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Canceled || !e.Killed {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v", took)
	}
	dead(t, filepath.Join(dir, "child"))
	if _, running, err := Running(dir); running || err != nil {
		t.Errorf("running: %v, %v", running, err)
	}
}

// Terraform alone is killed, as the kernel does for want of memory: what it leaves running must not block the directory.
func TestOrphanedProvider(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	tf, log := open(t, script(t, stubborn), dir)
	go func() {
		log.wait(t, "server: creating…")
		if pid, running, err := Running(dir); err != nil || !running {
			t.Errorf("running: %v, %v", running, err)
		} else if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}()
	if _, err := tf.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("apply: %v", err)
	}
	if _, running, _ := Running(dir); !running {
		t.Fatal("the orphan does not hold the lock")
	}
	next, _ := open(t, script(t, "exit 0"), dir, func(o *Options) { o.LockTimeout = 5 * time.Second })
	if err := next.Destroy(t.Context()); err != nil {
		t.Errorf("destroy: %v", err)
	}
	dead(t, filepath.Join(dir, "child"))
}

func dead(t *testing.T, pidFile string) {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, pidFile)))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d lives on: %s", pid, stat)
		}
	}
}

// tfbake is killed: terraform is interrupted, goes on without us and its output, and finishes.
func TestParentDies(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs the parent-death signal")
	}
	b := script(t, `trap 'echo interrupted > interrupted' INT
echo '{"type":"apply_start"}'; touch started
while [ ! -e interrupted ]; do sleep 0.05; done
echo '{"@message":"a line that would be SIGPIPE"}'; echo more >&2; sleep 0.5; touch finished`)
	dir := write(t, nil)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TFBAKE_TEST_APPLY_IN="+dir, "TFBAKE_TEST_PROGRAM="+b.Path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	appears(t, filepath.Join(dir, "started"))
	if _, running, err := Running(dir); !running || err != nil {
		t.Errorf("running: %v, %v", running, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	appears(t, filepath.Join(dir, "interrupted"))

	// The next tfbake waits for it.
	next, log := open(t, script(t, "ls finished"), dir)
	if err := next.Destroy(t.Context()); err != nil {
		t.Errorf("destroy: %v", err)
	}
	if !strings.Contains(log.String(), "which still works in this directory") {
		t.Errorf("story: %s", log)
	}
	if got := read(t, filepath.Join(dir, LogFile)); !strings.Contains(got, "SIGPIPE") || !strings.Contains(got, "more") {
		t.Errorf("log: %s", got)
	}
}

func appears(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s never appeared", path)
		}
	}
}

func TestPredecessorThatStays(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	first, log := open(t, script(t, stubborn), dir)
	done := make(chan error)
	go func() { _, err := first.Apply(context.Background()); done <- err }()
	log.wait(t, "creating…")
	second, _ := open(t, script(t, "exit 0"), dir, func(o *Options) { o.LockTimeout = 300 * time.Millisecond })
	if err := second.Destroy(t.Context()); err == nil || !strings.Contains(err.Error(), "still works in") {
		t.Errorf("error: %v", err)
	}
	first.Kill()
	<-done
}

// Long lines, output that is no JSON, a crash and a state that could not be written: all of it is told.
func TestCrash(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	tf, _ := open(t, script(t, `head -c 300000 /dev/zero | tr '\0' x; echo; echo "panic: oh" >&2; echo '{}' > errored.tfstate; echo x > crash.log; exit 11`), dir)
	_, err := tf.Apply(t.Context())
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Output, "panic: oh") || e.ErroredState != filepath.Join(dir, "errored.tfstate") || e.CrashLog != filepath.Join(dir, "crash.log") {
		t.Fatalf("error: %#v", err)
	}
	if s := err.Error(); !strings.Contains(s, "exit status 11") || !strings.Contains(s, "terraform state push") || len(s) > 4000 {
		t.Errorf("text: %.300s", s)
	}
	missing, _ := open(t, Binary{Path: "/nonexistent/terraform", Version: "1.11.4"}, dir)
	if err := missing.Init(t.Context()); err == nil || !strings.Contains(err.Error(), "/nonexistent/terraform") {
		t.Errorf("missing program: %v", err)
	}
}

// Terraform before 1.9 has no JSON output for init.
func TestOldInit(t *testing.T) {
	t.Parallel()
	b := script(t, `[ "$1" = init ] || exit 9; case "$*" in *-json*) exit 8;; esac; echo "Error: no such provider"; exit 1`)
	text := strings.ReplaceAll(read(t, b.Path), "1.11.4", "1.5.7")
	if err := os.WriteFile(b.Path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	b.Version = "1.5.7"
	tf, _ := open(t, b, write(t, nil))
	if err := tf.Init(t.Context()); err == nil || !strings.Contains(err.Error(), "Error: no such provider") {
		t.Errorf("error: %v", err)
	}
}

// Two that trip over one another do not try again at once.
func TestInitAfterTripping(t *testing.T) {
	t.Parallel()
	const trips = `[ "$1" = init ] || exit 9; echo x >>tries; [ $(wc -l <tries) -gt 3 ] || { echo 'Error: pq: schema "s" already exists' >&2; exit 1; }`
	dir := write(t, nil)
	tf, _ := open(t, script(t, trips), dir)
	began := time.Now()
	if err := tf.Init(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 3*tripPause {
		t.Errorf("three tries more in %s", took)
	}
	if tries := read(t, filepath.Join(dir, "tries")); tries != "x\nx\nx\nx\n" {
		t.Errorf("tries: %q", tries)
	}
}

func TestPushState(t *testing.T) {
	t.Parallel()
	b := programs(t)[0]
	dir := write(t, map[string]string{"main.tf": rootModule})
	tf, _ := open(t, b, dir)
	if err := tf.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := tf.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, StateFile)
	if err := os.Rename(state, filepath.Join(dir, ErroredFile)); err != nil {
		t.Fatal(err)
	}
	if err := tf.PushStateLocked(t.Context(), ErroredFile, time.Minute); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadState(dir); err != nil || s.Status != StateFilled {
		t.Errorf("state: %+v, %v", s, err)
	}
}
