//go:build unix

package provision

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/localcloud/guest"
	"github.com/tfbake/tfbake/internal/redact"
)

// bootGuest boots a simulated server and returns its directory and SSH port.
func bootGuest(t *testing.T, system string) (dir string, port int) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "guest")
	if err := guest.NewRoot(dir, system); err != nil {
		t.Fatal(err)
	}
	var g *guest.Guest
	booted := make(chan struct{})
	g, err := guest.Boot(t.Context(), guest.Config{
		Dir: dir, Hostname: "tfb-test", OS: system, RootPassword: testPassword, FirstBoot: true,
		OnPowerOff: func(reboot bool) {
			<-booted
			if reboot {
				g.Reboot(t.Context())
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	close(booted)
	t.Cleanup(g.Kill)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go g.Serve(l, 22)
	return dir, l.Addr().(*net.TCPAddr).Port
}

// A whole bake's provisioning on simulated servers: files both ways, scripts, a reboot, and what is left in the image.
func TestGuests(t *testing.T) {
	t.Parallel()
	for system, method := range map[string]string{"ubuntu-22.04": "sftp", "rocky-8.10": "scp", "centos-7.9": ""} {
		t.Run(system+" "+method, func(t *testing.T) {
			t.Parallel()
			dir, port := bootGuest(t, system)
			src, out := makeTree(t), t.TempDir()
			b := template(t, `[
  {"type": "file", "source": `+quote(src)+`, "destination": "/opt"},
  {"type": "file", "content": "port = 8080\n", "destination": "/etc/app.conf"},
  {"type": "shell", "environment_vars": ["NAME=it's me"], "inline": ["echo \"hello $NAME of $PACKER_BUILD_NAME\" | tee /root/greeting", "uname -s", "test $(id -u) = 0"]},
  {"type": "shell", "expect_disconnect": true, "inline": ["cat /proc/sys/kernel/random/boot_id > /root/boot1", "reboot"]},
  {"type": "shell", "inline": ["cat /proc/sys/kernel/random/boot_id > /root/boot2", "cmp -s /root/boot1 /root/boot2 && exit 9; echo rebooted"]},
  {"type": "file", "direction": "download", "source": "/root/greeting", "destination": `+quote(out+"/")+`},
  {"type": "file", "direction": "download", "source": "/opt/app/", "destination": `+quote(out+"/app")+`},
  {"type": "shell", "inline": ["exit 4"], "valid_exit_codes": [4]}
]`)
			target := Target{Host: "127.0.0.1", Port: port, User: "root", Password: testPassword}
			comm := config.Communicator{FileTransferMethod: method, Timeout: 20 * time.Second, DisableAgentForwarding: true}
			c, err := Connect(t.Context(), comm, target, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			r := redact.New()
			story, text := newStory(r)
			err = Run(t.Context(), Options{Steps: b.Steps, Comm: c, Communicator: comm, Target: target, Story: story, Redactor: r,
				Values: config.RunValues{BuildName: "web", BuilderType: "ncloud"}})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			for _, want := range []string{"hello it's me of web\n", "    Linux\n", "    rebooted\n"} {
				if !strings.Contains(text.String(), want) {
					t.Errorf("the story lacks %q:\n%s", want, text)
				}
			}
			if got, _ := os.ReadFile(out + "/greeting"); string(got) != "hello it's me of web\n" {
				t.Errorf("greeting: %q", got)
			}
			if got, want := tree(t, out+"/app"), tree(t, src); got != want {
				t.Errorf("the directory came back as\n%s\nwant\n%s", got, want)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "tmp", "script_*")); len(left) > 0 {
				t.Errorf("left in the image: %q", left)
			}
		})
	}
}

func TestGuestRefusesWrongPassword(t *testing.T) {
	t.Parallel()
	_, port := bootGuest(t, "ubuntu-22.04")
	err := attemptSSH(t, Target{Host: "127.0.0.1", Port: port, User: "root", Password: "wrong"}, config.Communicator{}, 30*time.Second)
	connectError(t, err, StageAuth, "by password")
}
