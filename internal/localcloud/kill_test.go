//go:build unix

package localcloud

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// Tests that kill run their other half in a process of its own: this test binary, told by an environment variable what
// to be.
const childVar = "TFBAKE_LOCALCLOUD_TEST_CHILD"

func TestMain(m *testing.M) {
	what, arg, _ := strings.Cut(os.Getenv(childVar), " ")
	switch what {
	case "cloud": // runs a cloud on a directory until killed
		c, err := Start(context.Background(), Options{Dir: arg, guests: &fakeGuests{}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(c.Endpoint())
		select {}
	case "client": // makes keys until killed
		_, v, _ := clients(arg, DefaultAccessKey, DefaultSecretKey)
		for i := range 5 {
			if _, err := v.ImportLoginKey(&vserver.ImportLoginKeyRequest{KeyName: p(fmt.Sprintf("key-%d", i)), PublicKey: p(testKey().public)}); err != nil {
				fmt.Println(err)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// A cloud that is killed in the middle of its work is found by the next one as its last answer left it.
func TestCloudKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := child(t, "cloud "+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	endpoint, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, v, _ := clients(strings.TrimSpace(endpoint), DefaultAccessKey, DefaultSecretKey)
	var made []string
	for i := range 20 {
		name := fmt.Sprintf("script-%02d", i)
		if _, err := v.CreateInitScript(&vserver.CreateInitScriptRequest{InitScriptName: &name, InitScriptContent: p("x"), OsTypeCode: p("LNX")}); err != nil {
			t.Fatal(err)
		}
		made = append(made, name)
	}
	if _, err := Start(t.Context(), Options{Dir: dir, guests: &fakeGuests{}}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", cmd.Process.Pid)) {
		t.Errorf("directory of a living cloud: %v", err)
	}
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()

	c := start(t, Options{Dir: dir})
	var kept []string
	for _, s := range c.Inventory().InitScripts {
		kept = append(kept, s.Name)
	}
	if strings.Join(kept, " ") != strings.Join(made, " ") {
		t.Errorf("kept %v, made %v", kept, made)
	}
}

// A client that is killed before its third call is processed has done two things, killed after it three. The test learns
// the client's process number while that waits at its first call, and orders the kill then.
func TestClientKilled(t *testing.T) {
	t.Parallel()
	for when, want := range map[When]int{Before: 2, After: 3} {
		t.Run(string(when), func(t *testing.T) {
			t.Parallel()
			c := start(t, Options{})
			id := c.inject(Fault{Mutating: true, Nth: 1, Kind: Pause})
			cmd := child(t, "client "+c.Endpoint())
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "client at its first call", func() bool { return c.Faults()[0].Waiting })
			// The call that waits was counted before: the third is the second from here.
			c.inject(Fault{Mutating: true, Nth: 2, Kind: Signal, When: when, PID: cmd.Process.Pid})
			if err := c.Release(id); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("client ended with %v", err)
			}
			eventually(t, "third call ended", func() bool {
				calls := c.Calls()
				return len(calls) == 3 && calls[2].Done
			})
			if n := len(c.Inventory().LoginKeys); n != want {
				t.Errorf("%d keys, want %d", n, want)
			}
		})
	}
}
