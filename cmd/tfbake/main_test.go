package main

import (
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/provider"
)

var update = flag.Bool("update", false, "rewrite the golden parts of scripts and docs")

func TestMain(m *testing.M) {
	if os.Getenv("TFBAKE_TEST_MAIN") != "" || provider.StartedByTerraform() { // a test, or terraform in one, started us as the program
		setTestClock(os.Getenv("TFBAKE_TEST_CLOCK"))
		main()
		return
	}
	// The tests here wait for clouds and servers most of the time: more at once than there are processors.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set("8")
	}
	testscript.Main(m, map[string]func(){"tfbake": main})
}

// setTestClock puts the program's time of day off by what the file holds at that moment, as a duration, so that a test can
// make it jump.
func setTestClock(file string) {
	if file == "" {
		return
	}
	real := clock.Now
	clock.Now = func() time.Time {
		text, _ := os.ReadFile(file) // not there yet: the time is right
		off, _ := time.ParseDuration(string(text))
		return real().Add(off)
	}
}

// TestScripts runs the real program against a real terraform and the simulated cloud.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script") }

func runScripts(t *testing.T, dir string) {
	if _, err := exec.LookPath("terraform"); err != nil {
		if _, err := exec.LookPath("tofu"); err != nil {
			t.Fatal("the scripts need terraform or tofu in PATH")
		}
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           dir,
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", examples)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("NO_COLOR", "1")
			e.Setenv("NCLOUD_METADATA_API_ENDPOINT", "http://127.0.0.1:1") // nobody: this machine has no server role
			return os.CopyFS(filepath.Join(e.WorkDir, "examples"), os.DirFS(examples))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"left":      cmdLeft,
			"setimage":  cmdSetImage,
			"rundir":    cmdRunDir,
			"waitcloud": cmdWaitCloud,
			"exits":     cmdExits,
		},
	})
}

// cmdLeft checks the inventory that the script printed last: nothing but the given number of images.
func cmdLeft(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: left NUMBER-OF-IMAGES (after `tfbake local inventory`)")
	}
	var inv localcloud.Inventory
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &inv))
	if neg == (len(inv.Left()) == 0) {
		ts.Fatalf("left in the cloud: %v", inv.Left())
	}
	if got := len(inv.Images); args[0] != "-" && args[0] != jsonNumber(got) {
		ts.Fatalf("%d images, want %s: %v", got, args[0], inv.Images)
	}
}

func jsonNumber(n int) string { b, _ := json.Marshal(n); return string(b) }

// cmdExits runs tfbake and checks its exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARGUMENTS-OF-TFBAKE")
	}
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](ts.Exec("tfbake", args[1:]...)); ok {
		code = exit.ExitCode()
	}
	if args[0] != jsonNumber(code) {
		ts.Fatalf("tfbake exits with %d, want %s:\n%s", code, args[0], ts.ReadFile("stderr"))
	}
}

// cmdSetImage sets an environment variable to the image number that the last command printed.
func cmdSetImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: setimage NAME")
	}
	no := strings.TrimSpace(ts.ReadFile("stdout"))
	if no == "" || strings.ContainsAny(no, " \n") {
		ts.Fatalf("standard output is not one image number: %q", no)
	}
	ts.Setenv(args[0], no)
}

// cmdRunDir sets an environment variable to the newest run directory.
func cmdRunDir(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: rundir NAME")
	}
	dirs, err := filepath.Glob(ts.MkAbs(filepath.Join(".tfbake", "runs", "*")))
	ts.Check(err)
	if len(dirs) == 0 {
		ts.Fatalf("there is no run directory")
	}
	ts.Setenv(args[0], dirs[len(dirs)-1])
}

// cmdWaitCloud waits until the simulated cloud of a data directory answers, and sets the variables its clients need.
func cmdWaitCloud(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitcloud LOCKFILE")
	}
	var endpoint string
	for deadline := time.Now().Add(time.Minute); endpoint == ""; time.Sleep(50 * time.Millisecond) {
		b, _ := os.ReadFile(ts.MkAbs(args[0]))
		if _, after, ok := strings.Cut(string(b), " at "); ok && strings.HasSuffix(after, "\n") {
			endpoint = strings.TrimSpace(after)
			if resp, err := http.Get(endpoint + "/_local/inventory"); err != nil {
				endpoint = "" // an earlier one's
			} else {
				resp.Body.Close()
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody serves %s: %q", args[0], b)
		}
	}
	ts.Setenv("NCLOUD_API_GW", endpoint)
	ts.Setenv("NCLOUD_ACCESS_KEY", localcloud.DefaultAccessKey)
	ts.Setenv("NCLOUD_SECRET_KEY", localcloud.DefaultSecretKey)
	ts.Setenv("NCLOUD_REGION", localcloud.DefaultRegion)
}
