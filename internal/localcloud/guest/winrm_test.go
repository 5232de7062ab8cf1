package guest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/masterzen/winrm"
)

// The recipe of the builder's documentation.
const winrmRecipe = `CreateObject("WScript.Shell").run("cmd.exe /c powershell Set-ExecutionPolicy RemoteSigned & winrm quickconfig -q & sc config WinRM start= auto & winrm set winrm/config/service/auth @{Basic=""true""} & winrm set winrm/config/service @{AllowUnencrypted=""true""} & winrm get winrm/config/service")`

type winServer struct {
	*server
	ports map[int]int
}

func newWindows(t *testing.T, userData string) *winServer {
	t.Helper()
	s := &winServer{server: newServer(t, "windows-2019", func(c *Config) { c.UserData = userData }), ports: map[int]int{}}
	for _, port := range []int{5985, 5986} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go s.Serve(l, port)
		t.Cleanup(func() { l.Close() })
		s.ports[port] = l.Addr().(*net.TCPAddr).Port
	}
	return s
}

func (s *winServer) winrm(t *testing.T, https, ntlm bool, password string) *winrm.Client {
	t.Helper()
	port := s.ports[5985]
	if https {
		port = s.ports[5986]
	}
	params := *winrm.DefaultParameters
	if ntlm {
		params.TransportDecorator = func() winrm.Transporter { return &winrm.ClientNTLM{} }
	}
	c, err := winrm.NewClientWithParameters(winrm.NewEndpoint("127.0.0.1", port, https, true, nil, nil, nil, 10*time.Second), "Administrator", password, &params)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ready waits until the init script has opened WinRM.
func (s *winServer) ready(t *testing.T) *winrm.Client {
	t.Helper()
	c := s.winrm(t, false, false, testPassword)
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, _, code, err := c.RunWithString("exit 0", ""); err == nil && code == 0 {
			return c
		} else if time.Now().After(deadline) {
			t.Fatalf("WinRM does not answer: %v; init log: %s", err, fileIn(s.server, "ProgramData/tfbake/init.log"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestWinRM(t *testing.T) {
	t.Parallel()
	s := newWindows(t, winrmRecipe)
	c := s.ready(t)
	if _, _, _, err := s.winrm(t, false, false, "wrong").RunWithString("ver", ""); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, _, _, err := s.winrm(t, true, false, testPassword).RunWithString("ver", ""); err == nil {
		t.Error("5986 answers before an HTTPS listener was made")
	}
	for _, tc := range []struct {
		cmd, out string
		code     int
	}{
		{"echo hello", "hello\r\n", 0},
		{"exit 7", "", 7},
		{"cmd /c exit /b 3", "", 3},
		{`echo %COMPUTERNAME% & hostname`, "TFB-TEST \r\ntfb-test\r\n", 0},
		{`set X=1&& set Y=2&& cmd /c echo %X%`, "1\r\n", 0},
		{`mkdir C:\a\b && echo one> c:\A\B\f.txt && echo two>> C:/a/b/F.TXT && type C:\a\b\f.txt`, "one\r\ntwo\r\n", 0},
		{`if exist C:\a\b\f.txt (echo yes) else (echo no)`, "yes\r\n", 0},
		{`if not exist C:\nope echo missing`, "missing\r\n", 0},
		{`copy C:\a\b\f.txt C:\a\g.txt >nul && del C:\a\b\f.txt && dir /b C:\a`, "b\r\ng.txt\r\n", 0},
		{`nosuchprogram`, "", 1},
		{`type C:\nope.txt || echo failed`, "failed\r\n", 0},
		{`type C:\a\g.txt | findstr two`, "two\r\n", 0},
		{`type Z:\x`, "", 1},
		{`dir \\server\share`, "", 1},
		{`(echo a & echo b) > C:\t.txt & type C:\t.txt`, "a \r\nb\r\n", 0},
		{`net user bob Pa55-word /add`, "The command completed successfully.\r\n", 0},
	} {
		out, errOut, code, err := c.RunWithString(tc.cmd, "")
		if err != nil || out != tc.out || code != tc.code {
			t.Errorf("%s\n got %d %q (stderr %q) %v\nwant %d %q", tc.cmd, code, out, errOut, err, tc.code, tc.out)
		}
	}
	// A batch file.
	bat := "@echo off\r\nset NAME=%1\r\nif \"%NAME%\"==\"x\" (\r\n  echo is x\r\n) else (\r\n  echo is not x\r\n)\r\nfor %%i in (1 2) do echo n%%i\r\ngoto end\r\necho never\r\n:end\r\nexit /b 5\r\n"
	if err := s.rootView().WriteFile("/b.bat", []byte(bat), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _, code, _ := c.RunWithString(`C:\b.bat x`, ""); out != "is x\r\nn1\r\nn2\r\n" || code != 5 {
		t.Errorf("batch: %d %q", code, out)
	}
	if _, _, code, _ := s.winrm(t, false, true, testPassword).RunWithString("exit 4", ""); code != 4 {
		t.Errorf("NTLM: exit %d", code)
	}
	if _, _, _, err := s.winrm(t, false, true, "wrong").RunWithString("exit 4", ""); err == nil {
		t.Error("NTLM with a wrong password got in")
	}
	if out, _, _, err := c.RunWithString("winrm quickconfig -q -transport:https", ""); !strings.Contains(out, "WinRM") {
		t.Errorf("https listener: %q %v", out, err)
	}
	if out, _, _, err := s.winrm(t, true, false, testPassword).RunWithString("echo over tls", ""); out != "over tls\r\n" {
		t.Errorf("https: %q %v", out, err)
	}
	// Much output comes in pieces; standard input reaches the command.
	out, _, code, err := c.RunPSWithString(`1..4000 | ForEach-Object { "line $_ " + ('x' * 60) }`, "")
	if err != nil || code != 0 || strings.Count(out, "\r\n") != 4000 || !strings.HasSuffix(out, "xxx\r\n") {
		t.Errorf("much output: %d bytes, %d lines, exit %d, %v", len(out), strings.Count(out, "\r\n"), code, err)
	}
	var fed, stderr bytes.Buffer
	if _, err = c.RunWithInput(`findstr b`, &fed, &stderr, strings.NewReader("abc\r\nxyz\r\nb\r\n")); fed.String() != "abc\r\nb\r\n" || err != nil {
		t.Errorf("stdin: %q %q %v", fed.String(), stderr.String(), err)
	}
}

func TestPowerShell(t *testing.T) {
	t.Parallel()
	s := newWindows(t, winrmRecipe)
	c := s.ready(t)
	for _, tc := range []struct {
		script, out string
		code        int
	}{
		{`Write-Output "hello $env:COMPUTERNAME"`, "hello TFB-TEST\r\n", 0},
		{`$x = 1; $x += 2; "x is $x and $($x * 2)"; 'no $x'`, "x is 3 and 6\r\nno $x\r\n", 0},
		{`exit 9`, "", 9},
		{`throw "boom"`, "", 1},
		{`try { throw "boom" } catch { "caught: $_" } finally { "done" }`, "caught: boom\r\ndone\r\n", 0},
		{`$ErrorActionPreference = 'Stop'; try { Get-Content C:\nope } catch { "caught" }; Get-Item C:\nope; "never"`, "caught\r\n", 1},
		{`Get-Content C:\nope -ErrorAction SilentlyContinue; "goes on"`, "goes on\r\n", 0},
		{`NoSuch-Command; "goes on"`, "goes on\r\n", 0},
		{`if (Test-Path C:\Windows) { "win" } elseif ($true) { "x" } else { "y" }`, "win\r\n", 0},
		{`New-Item -ItemType Directory -Force -Path C:\ps\d | Out-Null; Set-Content -Path C:\ps\d\f.txt -Value "a","b"; Add-Content C:\ps\d\f.txt "c"; (Get-Content c:\PS\D\F.TXT).Count; Get-Content C:\ps\d\f.txt -Raw`, "3\r\na\r\nb\r\nc\r\n\r\n", 0},
		{`Copy-Item C:\ps\d\f.txt C:\ps\g.txt; Remove-Item -Recurse -Force C:\ps\d; Get-ChildItem C:\ps | Select-Object -ExpandProperty Name; Test-Path C:\ps\d`, "g.txt\r\nFalse\r\n", 0},
		{`foreach ($i in 1..3) { if ($i -eq 2) { continue }; $i }; for ($j = 0; $j -lt 2; $j++) { "j$j" }; while ($j -gt 0) { $j--; "w$j" }`, "1\r\n3\r\nj0\r\nj1\r\nw1\r\nw0\r\n", 0},
		{`function Add($a, $b = 10) { return $a + $b }; Add 1 2; Add 5; Add -b 1 -a 1`, "3\r\n15\r\n2\r\n", 0},
		{`$h = @{ a = 1; b = "two" }; $h.b; $h['a']; $h.Keys.Count; @(1,2,3)[-1]; "abc".ToUpper().Substring(1)`, "two\r\n1\r\n2\r\n3\r\nBC\r\n", 0},
		{`"{0:D3}-{1}" -f 7, 'x'; 'a,b' -split ','; ('a','b') -join '+'; 'abc' -replace 'b','X'; 'abc' -match '^a(.)'; $Matches[1]; 'x.txt' -like '*.txt'`, "007-x\r\na\r\nb\r\na+b\r\naXc\r\nTrue\r\nb\r\nTrue\r\n", 0},
		{`1,2,3 | Where-Object { $_ -gt 1 } | ForEach-Object { $_ * 10 }; (1,2,3 | Measure-Object).Count`, "20\r\n30\r\n3\r\n", 0},
		{`cmd /c exit 5; "code $LASTEXITCODE"`, "code 5\r\n", 0},
		{`cmd /c "echo from cmd"; $o = hostname; "got $o"`, "from cmd\r\ngot tfb-test\r\n", 0},
		{`& { param($n) "block $n" } 7; & "C:\Windows\System32\whoami.exe"`, "block 7\r\ntfb-test\\administrator\r\n", 0},
		{`Set-Content C:\s.ps1 'param($p) $global:y = 5; "script $p $env:V"; exit 3'; $env:V = 'v'; & C:\s.ps1 -p z; "code $LASTEXITCODE"; . C:\s.ps1 q`, "script z v\r\ncode 3\r\nscript q v\r\n", 3},
		{`[Console]::Out.WriteLine('raw'); [Console]::Error.WriteLine('err'); [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes('hi')); [IO.Path]::Combine('C:\a','b'); [Environment]::ExpandEnvironmentVariables('%SystemRoot%\x')`, "raw\r\naGk=\r\nC:\\a\\b\r\nC:\\Windows\\x\r\n", 0},
		{"$s = @'\nline $x\n'@\n$s\n@\"\nsum $(1+1)\n\"@", "line $x\r\nsum 2\r\n", 0},
		{`switch ("b") { "a" { 1 } "b" { 2 } default { 3 } }; $null -eq $nope; !$true; -not $false`, "2\r\nTrue\r\nFalse\r\nTrue\r\n", 0},
		{`Install-WindowsFeature Web-Server | Out-Null; (Get-Service WinRM).Status; Set-ItemProperty -Path HKLM:\Software\X -Name n -Value 5; (Get-ItemProperty HKLM:\Software\X).n; Test-Path HKLM:\Software\Nope`, "Running\r\n5\r\nFalse\r\n", 0},
		{`Invoke-WebRequest http://example.com -OutFile C:\x`, "", 1},
		{`$ProgressPreference='SilentlyContinue'; if (Test-Path variable:global:ProgressPreference) { "has" }`, "has\r\n", 0},
		{`Get-Content 'C:\..\..\etc\passwd' -ErrorAction SilentlyContinue; [IO.File]::Exists('C:\..\..\..\etc\passwd')`, "False\r\n", 0},
		{`$n = 3; while (($n = $n - 1) -gt 0) { "n$n" }`, "n2\r\nn1\r\n", 0},
		{`if (`, "", 1},
	} {
		out, errOut, code, err := c.RunPSWithString(tc.script, "")
		if err != nil || out != tc.out || code != tc.code {
			t.Errorf("%s\n got %d %q (stderr %q) %v\nwant %d %q", tc.script, code, out, errOut, err, tc.code, tc.out)
		}
	}
	if _, errOut, _, _ := c.RunPSWithString("NoSuch-Command", ""); !strings.Contains(errOut, "is not recognized as the name of a cmdlet") {
		t.Errorf("unknown cmdlet: %q", errOut)
	}
}

// TestWinRMUpload moves a file the way Packer's WinRM communicator does: base64 lines appended by cmd.exe to a file in
// %TEMP%, decoded by a PowerShell script that uses .NET streams.
func TestWinRMUpload(t *testing.T) {
	t.Parallel()
	s := newWindows(t, winrmRecipe)
	c := s.ready(t)
	content := bytes.Repeat([]byte("some binary \x00\xff data\r\n"), 900)
	shell, err := c.CreateShell()
	if err != nil {
		t.Fatal(err)
	}
	run := func(line string) int {
		cmd, err := shell.Execute(line)
		if err != nil {
			t.Fatal(err)
		}
		defer cmd.Close()
		go drain(cmd.Stderr)
		drain(cmd.Stdout)
		cmd.Wait()
		return cmd.ExitCode()
	}
	for rest := content; len(rest) > 0; {
		n := min(len(rest), 5900)
		if code := run(fmt.Sprintf(`echo %s >> "%%TEMP%%\up-1.tmp"`, base64.StdEncoding.EncodeToString(rest[:n]))); code != 0 {
			t.Fatalf("chunk: exit %d", code)
		}
		rest = rest[n:]
	}
	if code := run("echo " + strings.Repeat("x", 9000)); code == 0 {
		t.Error("a line longer than cmd.exe takes was taken")
	}
	restore := `
$from = [System.IO.Path]::GetFullPath("$env:TEMP\up-1.tmp")
$to = [System.IO.Path]::GetFullPath("c:/Windows/Temp/deep/x.bin".Trim("'"))
if (Test-Path $to) { rm $to } else {
	$dir = ([System.IO.Path]::GetDirectoryName($to))
	New-Item -ItemType directory -Force -ErrorAction SilentlyContinue -Path $dir | Out-Null
}
$r = [System.IO.File]::OpenText($from)
$w = [System.IO.File]::OpenWrite($to)
try {
	for(;;) {
		$line = $r.ReadLine()
		if ($line -eq $null) { break }
		$bytes = [System.Convert]::FromBase64String($line)
		$w.write($bytes, 0, $bytes.Length)
	}
} finally { $r.Close(); $w.Close() }
Remove-Item $from -ErrorAction SilentlyContinue
`
	if code := run(winrm.Powershell(restore)); code != 0 {
		t.Fatalf("restore: exit %d", code)
	}
	if err := shell.Close(); err != nil {
		t.Error(err)
	}
	if got, err := s.rootView().ReadFile("/Windows/Temp/deep/x.bin"); err != nil || !bytes.Equal(got, content) {
		t.Errorf("uploaded %d of %d bytes, %v", len(got), len(content), err)
	}
	out, _, _, err := c.RunPSWithString(`$file=[System.IO.File]::ReadAllBytes("c:/windows/temp/deep/x.bin"); Write-Output $([System.Convert]::ToBase64String($file))`, "")
	back, derr := base64.StdEncoding.DecodeString(strings.TrimSpace(out))
	if err != nil || derr != nil || !bytes.Equal(back, content) {
		t.Errorf("downloaded %d bytes: %v %v", len(back), err, derr)
	}
}

func drain(r interface{ Read([]byte) (int, error) }) {
	buf := make([]byte, 4096)
	for {
		if _, err := r.Read(buf); err != nil {
			return
		}
	}
}

func TestWindowsRestartAndSysprep(t *testing.T) {
	t.Parallel()
	s := newWindows(t, winrmRecipe)
	c := s.ready(t)
	boot := func() string {
		out, _, _, _ := c.RunPSWithString(`$os = Get-WmiObject Win32_OperatingSystem; [Management.ManagementDateTimeConverter]::ToDateTime($os.LastBootUpTime).ToFileTimeUtc()`, "")
		return strings.TrimSpace(out)
	}
	before := boot()
	if n, err := strconv.ParseInt(before, 10, 64); err != nil || n == 0 {
		t.Fatalf("boot time %q", before)
	}
	if _, _, code, err := c.RunWithString(`shutdown /r /f /t 60 /c "test"`, ""); err != nil || code != 0 {
		t.Errorf("schedule: %d %v", code, err)
	}
	if _, _, code, _ := c.RunWithString(`shutdown /r /f /t 60 /c "test"`, ""); code != 1190 {
		t.Errorf("schedule twice: %d", code)
	}
	if _, _, code, _ := c.RunWithString(`shutdown /a`, ""); code != 0 {
		t.Errorf("abort: %d", code)
	}
	if _, _, code, err := c.RunWithString(`shutdown /r /f /t 0 /c "restart"`, ""); err != nil || code != 0 {
		t.Errorf("restart: %d %v", code, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if after := boot(); after != "" && after != before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the server did not restart")
		}
		time.Sleep(50 * time.Millisecond)
	}
	// Elevated: a scheduled task of the COM scheduler runs a command with a password.
	out, errOut, code, err := c.RunPSWithString(`
$s = New-Object -ComObject "Schedule.Service"; $s.Connect()
$t = $s.NewTask($null)
$xml = [xml]@'
<Task><Actions><Exec><Command>cmd</Command><Arguments>/c powershell -command &quot;Write-Output elevated&quot; &gt; C:\Windows\Temp\e.log 2&gt;&amp;1</Arguments></Exec></Actions></Task>
'@
$t.XmlText = $xml.OuterXml
$f = $s.GetFolder("\")
$f.RegisterTaskDefinition("up", $t, 6, "Administrator", "`+testPassword+`", 1, $null) | Out-Null
$t = $f.GetTask("\up"); $t.Run($null) | Out-Null
do { Start-Sleep -m 20 } while (!($t.state -eq 3))
Get-Content C:\Windows\Temp\e.log
exit $t.LastTaskResult`, "")
	if out != "elevated\r\n" || code != 0 || err != nil {
		t.Errorf("elevated: %d %q %q %v", code, out, errOut, err)
	}
	// The documentation's last provisioner: the server shuts itself down.
	c.RunPSWithString(`$Env:SystemRoot\System32\Sysprep\Sysprep.exe /oobe /generalize /shutdown /quiet "/unattend:C:\Program Files (x86)\NBP\nserver64.xml" `, "")
	for deadline := time.Now().Add(10 * time.Second); len(s.powered()) < 2 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if got := fmt.Sprint(s.powered()); got != "[true false]" {
		t.Errorf("power events %v", got)
	}
	if _, _, _, err := c.RunWithString("ver", ""); err == nil {
		t.Error("WinRM answers after sysprep /shutdown")
	}
}

func TestWinRMClosedUntilEnabled(t *testing.T) {
	t.Parallel()
	s := newWindows(t, "")
	if _, _, _, err := s.winrm(t, false, false, testPassword).RunWithString("ver", ""); err == nil {
		t.Error("WinRM answers though nothing enabled it")
	}
	if _, err := vbCommands("WScript.Echo 1"); err == nil {
		t.Error("a VBScript without commands was taken")
	}
	got, err := vbCommands("' comment\nSet sh = CreateObject(\"WScript.Shell\")\ncmd = \"cmd.exe /c echo \"\"a\"\"\"\nsh.Run cmd & \" b\", 0, True\n")
	if err != nil || fmt.Sprint(got) != `[cmd.exe /c echo "a" b]` {
		t.Errorf("%q %v", got, err)
	}
}

func TestWindowsImage(t *testing.T) {
	t.Parallel()
	s := newWindows(t, winrmRecipe)
	c := s.ready(t)
	if _, _, code, err := c.RunWithString(`echo kept> C:\kept.txt`, ""); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/copy"
	if err := errors.Join(CopyRoot(dir, s.dir)); err != nil {
		t.Fatal(err)
	}
	s2 := bootServer(t, dir, "windows-2019", func(c *Config) { c.RootPassword = "An0ther-one" })
	if s2.checkWindowsPassword("administrator", testPassword) || !s2.checkWindowsPassword("ADMINISTRATOR", "An0ther-one") {
		t.Error("passwords of the new server")
	}
	if got := fileIn(s2, "kept.txt"); got != "kept\r\n" {
		t.Errorf("kept.txt %q", got)
	}
}
