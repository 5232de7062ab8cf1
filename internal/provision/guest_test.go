//go:build unix

package provision

import (
	"bytes"
	"context"
	"io/fs"
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

// bootGuest boots a simulated server and returns its directory, and the address of its port (22, 5985 or 5986).
func bootGuest(t *testing.T, system string, of int, more ...func(*guest.Config)) (dir string, port int) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "guest")
	if err := guest.NewRoot(dir, system); err != nil {
		t.Fatal(err)
	}
	c := guest.Config{Dir: dir, Hostname: "tfb-test", OS: system, RootPassword: testPassword, FirstBoot: true}
	for _, f := range more {
		f(&c)
	}
	g, err := guest.Boot(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Kill)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go g.Serve(l, of)
	return dir, l.Addr().(*net.TCPAddr).Port
}

// A whole bake's provisioning on simulated servers: files both ways, scripts, a reboot, and what is left in the image.
func TestGuests(t *testing.T) {
	t.Parallel()
	for system, method := range map[string]string{"ubuntu-22.04": "sftp", "rocky-8.10": "scp", "centos-7.9": ""} {
		t.Run(system+" "+method, func(t *testing.T) {
			t.Parallel()
			dir, port := bootGuest(t, system, 22)
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
	_, port := bootGuest(t, "ubuntu-22.04", 22)
	err := attemptSSH(t, Target{Host: "127.0.0.1", Port: port, User: "root", Password: "wrong"}, config.Communicator{}, 30*time.Second)
	connectError(t, err, StageAuth, "by password")
}

// windowsRecipe is what the builder's documentation has an init script do.
const windowsRecipe = `CreateObject("WScript.Shell").run("cmd.exe /c powershell Set-ExecutionPolicy RemoteSigned & winrm set winrm/config/service/auth @{Basic=""true""} & winrm set winrm/config/service @{AllowUnencrypted=""true""} & winrm quickconfig -q & sc config WinRM start= auto & winrm get winrm/config/service")`

// A last step that shuts the server down while it runs: nothing can be removed after it, and no secret stays in the image.
func TestShutdownLeavesNoSecret(t *testing.T) {
	settlePause = 100 * time.Millisecond
	defer func() { settlePause = 5 * time.Second }()
	const secret = "pa55word-of-the-app"
	scripts := t.TempDir()
	os.WriteFile(scripts+"/down.ps1", []byte("Write-Output \"it has $($env:SECRET.Length)\"\r\nStop-Computer -Force\r\nStart-Sleep 600\r\n"), 0o600)
	os.WriteFile(scripts+"/first.sh", []byte("echo first has ${#SECRET}\n"), 0o600)
	os.WriteFile(scripts+"/down.sh", []byte("echo it has ${#SECRET}\npoweroff\nsleep 600\n"), 0o600)
	for name, c := range map[string]struct{ system, step string }{
		"powershell inline":   {"windows-2019", `{"type": "powershell", "inline": ["Write-Output \"it has $($env:SECRET.Length)\"", "Stop-Computer -Force", "Start-Sleep 600"]`},
		"powershell script":   {"windows-2019", `{"type": "powershell", "script": ` + quote(scripts+"/down.ps1")},
		"powershell elevated": {"windows-2019", `{"type": "powershell", "elevated_user": "Administrator", "elevated_password": "` + testPassword + `", "script": ` + quote(scripts+"/down.ps1")},
		"shell": {"ubuntu-22.04", `{"type": "shell", "use_env_var_file": true, "expect_disconnect": true, "scripts": [` +
			quote(scripts+"/first.sh") + `, ` + quote(scripts+"/down.sh") + `]`},
	} {
		t.Run(name, func(t *testing.T) {
			comm, of, user := config.Communicator{Type: "winrm", Timeout: 20 * time.Second}, 5985, "Administrator"
			if c.system != "windows-2019" {
				comm, of, user = config.Communicator{Timeout: 20 * time.Second, DisableAgentForwarding: true}, 22, "root"
			}
			off := make(chan bool, 1)
			dir, port := bootGuest(t, c.system, of, func(g *guest.Config) {
				g.UserData = windowsRecipe
				g.OnPowerOff = func(bool) { off <- true }
			})
			target := Target{Host: "127.0.0.1", Port: port, User: user, Password: testPassword}
			conn, err := Connect(t.Context(), comm, target, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			stopped := false
			r := redact.New()
			story, text := newStory(r)
			b := template(t, `[`+c.step+`, "environment_vars": ["SECRET=`+secret+`"]}]`)
			err = Run(t.Context(), Options{Steps: b.Steps, Comm: conn, Communicator: comm, Target: target, Story: story, Redactor: r,
				Stopped: func(context.Context) (bool, error) {
					select {
					case <-off:
						stopped = true
					default:
					}
					return stopped, nil
				}})
			// What an elevated task writes comes by a file, which the shutdown may overtake.
			if err != nil || !strings.Contains(text.String(), "it has 19\n") && !strings.Contains(name, "elevated") {
				t.Fatalf("%v\n%s", err, text)
			}
			filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					content, _ := os.ReadFile(path)
					if bytes.Contains(content, []byte(secret)) || bytes.Contains(content, []byte(testPassword)) {
						t.Errorf("%s holds a secret:\n%s", path, content)
					}
				}
				return nil
			})
		})
	}
}

// The Windows recipe of the builder's documentation: an init script opens WinRM, and sysprep shuts the server down.
func TestWindowsGuest(t *testing.T) {
	settlePause = 100 * time.Millisecond
	defer func() { settlePause = 5 * time.Second }()
	down := make(chan bool, 10)
	dir, port := bootGuest(t, "windows-2019", 5985, func(c *guest.Config) {
		c.UserData = windowsRecipe
		c.OnPowerOff = func(reboot bool) { down <- reboot }
	})
	src, out := makeTree(t), t.TempDir()
	script := filepath.Join(t.TempDir(), "setup.ps1")
	os.WriteFile(script, []byte("Set-Content -Path C:\\greeting.txt -Value \"hello $env:NAME\"\r\nWrite-Output 'script ran'\r\n"), 0o600)
	b := template(t, `[
  {"type": "file", "source": `+quote(src)+`, "destination": "C:/app-dir"},
  {"type": "file", "content": "port = 8080\n", "destination": "C:/app.conf"},
  {"type": "powershell", "environment_vars": ["NAME=it's $me"], "inline": ["Write-Output \"inline $env:NAME\"", "Write-Output $env:PACKER_BUILD_NAME"]},
  {"type": "powershell", "environment_vars": ["NAME=you"], "script": `+quote(script)+`},
  {"type": "powershell", "elevated_user": "Administrator", "elevated_password": "`+testPassword+`", "inline": ["Write-Output elevated"]},
  {"type": "windows-shell", "environment_vars": ["A=b c"], "inline": ["echo batch %A%"]},
  {"type": "windows-restart"},
  {"type": "file", "direction": "download", "source": "C:/greeting.txt", "destination": `+quote(out+"/")+`},
  {"type": "file", "direction": "download", "source": "C:/app-dir/app/", "destination": `+quote(out+"/app")+`},
  {"type": "powershell", "valid_exit_codes": [5], "inline": ["exit 5"]},
  {"type": "powershell", "inline": ["$Env:SystemRoot\\System32\\Sysprep\\Sysprep.exe /oobe /generalize /shutdown /quiet \"/unattend:C:\\Program Files (x86)\\NBP\\nserver64.xml\" "]}
]`)
	target := Target{Host: "127.0.0.1", Port: port, User: "Administrator", Password: testPassword}
	comm := config.Communicator{Type: "winrm", Timeout: 20 * time.Second}
	c, err := Connect(t.Context(), comm, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := redact.New()
	story, text := newStory(r)
	err = Run(t.Context(), Options{Steps: b.Steps, Comm: c, Communicator: comm, Target: target, Story: story, Redactor: r,
		Values: config.RunValues{BuildName: "web", BuilderType: "ncloud", Password: testPassword, WinRMPassword: testPassword}})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, want := range []string{"inline it's $me\n", "    web\n", "script ran\n", "    elevated\n", "batch b c\n", "The server has restarted"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the story lacks %q:\n%s", want, text)
		}
	}
	if got, _ := os.ReadFile(out + "/greeting.txt"); strings.TrimSpace(string(got)) != "hello you" {
		t.Errorf("greeting: %q", got)
	}
	if got, _ := os.ReadFile(out + "/app/etc/deep/er/secret"); string(got) != "content of etc/deep/er/secret" {
		t.Errorf("a file came back as %q", got)
	}
	for _, want := range []bool{true, false} { // the restart, then sysprep's shutdown
		select {
		case reboot := <-down:
			if reboot != want {
				t.Errorf("reboot is %t, want %t", reboot, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the server has not gone down")
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "Temp", "*")); len(left) > 0 {
		t.Errorf("left in the image: %q", left)
	}
}
