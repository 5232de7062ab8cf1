package guest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The Windows side of a guest: C:\ is the guest's root with names compared without case. cmd.exe and PowerShell are
// small imitations; programs they do not know fail as they would on a Windows without them.

var ctxBackground = context.Background()

const notProgram = 9009 // what cmd.exe says of an unknown command

func layWindows(v *view, s system) error {
	b := &builder{view: v}
	b.err = v.Chmod("/", 0o755)
	b.dir(0o755, "/Windows/System32/Sysprep/Panther", "/Windows/System32/WindowsPowerShell/v1.0", "/Windows/System32/config", "/Windows/Temp", "/Windows/Panther", "/Windows/Logs",
		"/Program Files/Common Files", "/Program Files (x86)/NBP", "/ProgramData/tfbake", "/ProgramData/ssh", "/Users/Public/Desktop", "/PerfLogs")
	b.windowsHome("Administrator")
	b.file("/tfbake-simulated.txt", strings.ReplaceAll(marker, "\n", "\r\n"), 0o644)
	b.file("/Windows/win.ini", "; for 16-bit app support\r\n", 0o644)
	b.file("/Program Files (x86)/NBP/nserver64.xml", "<?xml version=\"1.0\"?>\r\n<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"></unattend>\r\n", 0o644)
	for _, n := range []string{"cmd.exe", "Sysprep/sysprep.exe", "WindowsPowerShell/v1.0/powershell.exe", "shutdown.exe", "net.exe", "sc.exe", "reg.exe", "winrm.cmd", "ipconfig.exe", "msiexec.exe", "timeout.exe",
		"where.exe", "whoami.exe", "hostname.exe", "netsh.exe", "schtasks.exe", "findstr.exe", "xcopy.exe", "robocopy.exe", "icacls.exe", "takeown.exe", "cscript.exe", "systeminfo.exe", "tasklist.exe", "ping.exe"} {
		b.file("/Windows/System32/"+n, stubText(n), 0o755)
	}
	return b.err
}

func (b *builder) windowsHome(user string) {
	b.dir(0o755, "/Users/"+user+"/AppData/Local/Temp", "/Users/"+user+"/AppData/Roaming", "/Users/"+user+"/Desktop", "/Users/"+user+"/Documents", "/Users/"+user+"/Downloads")
}

func (g *Guest) windowsBoot() error {
	v := g.rootView()
	random := make([]byte, 8)
	randomReader{ctxBackground}.Read(random)
	g.bootID = hex.EncodeToString(random)
	return v.WriteFile("/ProgramData/tfbake/boot-id", []byte(g.bootID+"\r\n"), 0o644)
}

func (g *Guest) winLog(text string) {
	g.rootView().appendFile("/ProgramData/tfbake/simulated.log", text+"\r\n")
}

// --- small databases, kept as JSON files in the guest

const winData = "/ProgramData/tfbake/"

func loadJSON[T any](g *Guest, name string, zero T) T {
	out := zero
	if data, err := g.rootView().ReadFile(winData + name); err == nil {
		json.Unmarshal(data, &out)
	}
	return out
}

func saveJSON(g *Guest, name string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return g.rootView().replaceFile(winData+name, data, 0o600)
}

func (g *Guest) windowsUsers() []string {
	return slices.Sorted(maps.Keys(loadJSON(g, "accounts.json", map[string]string{})))
}

// setWindowsPassword keeps what Windows keeps: the NT hash, which NTLM needs.
func (g *Guest) setWindowsPassword(user, password string) error {
	g.pkgMu.Lock()
	defer g.pkgMu.Unlock()
	all := loadJSON(g, "accounts.json", map[string]string{})
	for k := range all {
		if strings.EqualFold(k, user) {
			user = k
		}
	}
	all[user] = ""
	if password != "" {
		all[user] = hex.EncodeToString(ntHash(password))
	}
	return saveJSON(g, "accounts.json", all)
}

func (g *Guest) windowsHash(user string) (name string, hash []byte) {
	user = user[strings.LastIndexByte(user, '\\')+1:]
	user, _, _ = strings.Cut(user, "@")
	for k, v := range loadJSON(g, "accounts.json", map[string]string{}) {
		if strings.EqualFold(k, user) && v != "" {
			h, err := hex.DecodeString(v)
			if err == nil {
				return k, h
			}
		}
	}
	return "", nil
}

func (g *Guest) checkWindowsPassword(user, password string) bool {
	_, h := g.windowsHash(user)
	return h != nil && password != "" && bytes.Equal(h, ntHash(password))
}

type winService struct{ state, start string }

func (g *Guest) services() map[string]winService {
	out := map[string]winService{"WinRM": {"Stopped", "Manual"}, "wuauserv": {"Running", "Manual"}, "EventLog": {"Running", "Automatic"}, "W32Time": {"Running", "Automatic"}, "BITS": {"Running", "Manual"},
		"WinDefend": {"Running", "Automatic"}, "MpsSvc": {"Running", "Automatic"}, "Spooler": {"Running", "Automatic"}, "Schedule": {"Running", "Automatic"}, "TrustedInstaller": {"Stopped", "Manual"}, "RemoteRegistry": {"Running", "Automatic"}}
	for k, v := range loadJSON(g, "services.json", map[string][2]string{}) {
		out[k] = winService{v[0], v[1]}
	}
	if g.winrm.config().Enabled {
		out["WinRM"] = winService{"Running", out["WinRM"].start}
	}
	return out
}

func (g *Guest) saveServices(all map[string]winService) {
	g.pkgMu.Lock()
	defer g.pkgMu.Unlock()
	out := map[string][2]string{}
	for k, v := range all {
		out[k] = [2]string{v.state, v.start}
	}
	saveJSON(g, "services.json", out)
}

func (g *Guest) machineEnv() map[string]string {
	return loadJSON(g, "environment.json", map[string]string{})
}

func (g *Guest) setMachineEnv(k, v string) {
	g.pkgMu.Lock()
	defer g.pkgMu.Unlock()
	all := g.machineEnv()
	if v == "" {
		delete(all, strings.ToUpper(k))
	} else {
		all[strings.ToUpper(k)] = v
	}
	saveJSON(g, "environment.json", all)
}

// registry is the recorded part of the registry: keys that were written, with their values as text.
type registry struct{ g *Guest }

func (w *winProc) registry() registry { return registry{w.g} }

func regKey(k string) string {
	k = strings.ToLower(strings.ReplaceAll(k, "/", `\`))
	k = strings.TrimPrefix(strings.TrimPrefix(k, "microsoft.powershell.core\\"), "registry::")
	k = strings.Replace(strings.Replace(k, "hkey_local_machine", "hklm", 1), "hkey_current_user", "hkcu", 1)
	k = strings.Replace(strings.Replace(k, "hklm:", "hklm", 1), "hkcu:", "hkcu", 1)
	return strings.TrimRight(k, `\`)
}

var knownKeys = []string{`hklm`, `hkcu`, `hklm\software`, `hklm\system`, `hklm\software\microsoft\windows\currentversion`, `hklm\system\currentcontrolset\services`, `hklm\software\policies\microsoft\windows`,
	`hklm\software\microsoft\windows nt\currentversion`, `hklm\software\microsoft\windows\currentversion\policies\system`, `hklm\system\currentcontrolset\control\session manager`, `hklm\system\currentcontrolset\control\terminal server`}

func (r registry) load() map[string]map[string]string {
	return loadJSON(r.g, "registry.json", map[string]map[string]string{})
}

func (r registry) change(fn func(all map[string]map[string]string)) {
	r.g.pkgMu.Lock()
	defer r.g.pkgMu.Unlock()
	all := r.load()
	fn(all)
	saveJSON(r.g, "registry.json", all)
}

func (r registry) has(k string) bool {
	k = regKey(k)
	if slices.Contains(knownKeys, k) {
		return true
	}
	for have := range r.load() {
		if have == k || strings.HasPrefix(have, k+`\`) {
			return true
		}
	}
	return false
}

func (r registry) add(k string) {
	r.change(func(all map[string]map[string]string) {
		if all[regKey(k)] == nil {
			all[regKey(k)] = map[string]string{}
		}
	})
}

func (r registry) set(k, name, v string) {
	r.change(func(all map[string]map[string]string) {
		if all[regKey(k)] == nil {
			all[regKey(k)] = map[string]string{}
		}
		all[regKey(k)][name] = v
	})
}

func (r registry) unset(k, name string) {
	r.change(func(all map[string]map[string]string) { delete(all[regKey(k)], name) })
}

func (r registry) remove(k string) {
	r.change(func(all map[string]map[string]string) {
		for have := range all {
			if have == regKey(k) || strings.HasPrefix(have, regKey(k)+`\`) {
				delete(all, have)
			}
		}
	})
}

func (r registry) values(k string) (map[string]string, bool) {
	v, ok := r.load()[regKey(k)]
	return v, ok || r.has(k)
}

// --- paths

func winDir(p string) string {
	p = strings.TrimRight(strings.ReplaceAll(p, "/", `\`), `\`)
	i := strings.LastIndexByte(p, '\\')
	switch {
	case i < 0:
		return ""
	case i == 2 && p[1] == ':':
		return p[:3]
	}
	return p[:i]
}

func winBase(p string) string {
	p = strings.TrimRight(strings.ReplaceAll(p, "/", `\`), `\`)
	return p[strings.LastIndexByte(p, '\\')+1:]
}

func winExt(p string) string {
	b := winBase(p)
	if i := strings.LastIndexByte(b, '.'); i >= 0 {
		return b[i:]
	}
	return ""
}

func isAbsWin(p string) bool {
	return len(p) >= 2 && p[1] == ':' || strings.HasPrefix(p, `\`) || strings.HasPrefix(p, "/")
}

func parentOf(guestPath string) string { return path.Dir(guestPath) }

// winToGuest maps what an SFTP client calls a path: /C:/x, C:/x or /x.
func winToGuest(g *Guest) func(string) string {
	w := &winProc{g: g, v: g.rootView(), dir: `C:\`}
	return func(p string) string { return w.path(strings.TrimPrefix(p, "/")) }
}

// winProc is one process of the simulated Windows.
type winProc struct {
	g     *Guest
	ctx   context.Context
	v     *view
	in    io.Reader
	out   io.Writer
	err   io.Writer
	env   map[string][2]string // upper-case name -> name and value
	dir   string               // like C:\Users
	stack []string
	user  string
	pid   int
	depth int
	ps    *psRun
	files *openFiles
}

// openFiles are closed when their process ends.
type openFiles struct {
	mu  sync.Mutex
	set map[io.Closer]bool
}

func (w *winProc) track(c io.Closer) {
	if w.files != nil {
		w.files.mu.Lock()
		w.files.set[c] = true
		w.files.mu.Unlock()
	}
}

func (w *winProc) untrack(c io.Closer) {
	if w.files != nil {
		w.files.mu.Lock()
		delete(w.files.set, c)
		w.files.mu.Unlock()
	}
}

func (f *openFiles) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.set {
		c.Close()
	}
	f.set = map[io.Closer]bool{}
}

func (g *Guest) newWinProc(ctx context.Context, user string, in io.Reader, out, errw io.Writer) *winProc {
	w := &winProc{g: g, ctx: ctx, v: g.rootView(), in: in, out: out, err: errw, env: map[string][2]string{}, user: user, pid: g.nextPID(), files: &openFiles{set: map[io.Closer]bool{}}}
	home := `C:\Users\` + user
	for k, v := range g.machineEnv() {
		w.setenv(k, v)
	}
	for _, kv := range [][2]string{{"SystemRoot", `C:\Windows`}, {"windir", `C:\Windows`}, {"SystemDrive", "C:"}, {"ComSpec", `C:\Windows\system32\cmd.exe`}, {"TEMP", home + `\AppData\Local\Temp`}, {"TMP", home + `\AppData\Local\Temp`},
		{"USERNAME", user}, {"USERPROFILE", home}, {"HOMEDRIVE", "C:"}, {"HOMEPATH", `\Users\` + user}, {"APPDATA", home + `\AppData\Roaming`}, {"LOCALAPPDATA", home + `\AppData\Local`}, {"ProgramFiles", `C:\Program Files`},
		{"ProgramFiles(x86)", `C:\Program Files (x86)`}, {"ProgramData", `C:\ProgramData`}, {"ALLUSERSPROFILE", `C:\ProgramData`}, {"PUBLIC", `C:\Users\Public`}, {"COMPUTERNAME", strings.ToUpper(g.hostname())}, {"OS", "Windows_NT"},
		{"PROCESSOR_ARCHITECTURE", "AMD64"}, {"NUMBER_OF_PROCESSORS", "2"}, {"PATHEXT", ".COM;.EXE;.BAT;.CMD;.PS1"}, {"USERDOMAIN", strings.ToUpper(g.hostname())}} {
		w.setenv(kv[0], kv[1])
	}
	if _, ok := w.getenv("PATH"); !ok {
		w.setenv("Path", `C:\Windows\system32;C:\Windows;C:\Windows\System32\WindowsPowerShell\v1.0`)
	}
	w.dir = home
	if !w.v.isDir(w.path(home)) {
		w.dir = `C:\`
	}
	return w
}

func cloneEnv(m map[string][2]string) map[string][2]string { return maps.Clone(m) }

func (w *winProc) getenv(k string) (string, bool) {
	v, ok := w.env[strings.ToUpper(k)]
	return v[1], ok
}

func (w *winProc) setenv(k, v string) {
	u := strings.ToUpper(k)
	if v == "" {
		delete(w.env, u)
		return
	}
	if old, ok := w.env[u]; ok {
		k = old[0]
	}
	w.env[u] = [2]string{k, v}
}

func (w *winProc) envNames() []string {
	var out []string
	for _, u := range slices.Sorted(maps.Keys(w.env)) {
		out = append(out, w.env[u][0])
	}
	return out
}

func (w *winProc) stdin() io.Reader {
	if w.in == nil {
		return strings.NewReader("")
	}
	return w.in
}

func (w *winProc) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.ctx.Done():
	}
}

var percentVar = regexp.MustCompile(`%([^%\s:]+)%`)

func (w *winProc) expand(s string) string {
	return percentVar.ReplaceAllStringFunc(s, func(m string) string {
		name := strings.Trim(m, "%")
		switch strings.ToUpper(name) {
		case "CD":
			return w.dir
		case "DATE":
			return time.Now().UTC().Format("Mon 01/02/2006")
		case "TIME":
			return time.Now().UTC().Format("15:04:05.00")
		case "RANDOM":
			return strconv.Itoa(int(time.Now().UnixNano() % 32768))
		}
		if v, ok := w.getenv(name); ok {
			return v
		}
		return m
	})
}

// abs is the full Windows path of a name.
func (w *winProc) abs(p string) string {
	p = strings.ReplaceAll(strings.Trim(p, `"'`), "/", `\`)
	p = strings.TrimPrefix(strings.TrimPrefix(p, `\\?\`), `filesystem::`)
	switch {
	case len(p) >= 2 && p[1] == ':':
		p = strings.ToUpper(p[:1]) + p[1:]
		if len(p) == 2 || p[2] != '\\' {
			p = p[:2] + `\` + p[2:]
		}
	case strings.HasPrefix(p, `\\`):
		return p
	case strings.HasPrefix(p, `\`):
		p = w.dir[:2] + p
	case strings.HasPrefix(p, "~"):
		home, _ := w.getenv("USERPROFILE")
		p = home + p[1:]
	default:
		p = strings.TrimRight(w.dir, `\`) + `\` + p
	}
	var out []string
	for _, part := range strings.Split(p[2:], `\`) {
		switch part {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, strings.TrimRight(part, " "))
		}
	}
	return p[:2] + `\` + strings.Join(out, `\`)
}

// winDrive is the drive letter of an absolute name, in capitals.
func winDrive(full string) (string, bool) {
	if len(full) < 3 || full[1] != ':' || full[2] != '\\' || full[0] < 'A' || full[0] > 'Z' {
		return "", false
	}
	return full[:1], true
}

// winName is the inverse of path.
func winName(name string) string {
	drive := "C"
	if rest, ok := strings.CutPrefix(name, "/"+drivePrefix); ok && rest != "" {
		drive, name = rest[:1], rest[1:]
	}
	return drive + ":" + strings.ReplaceAll(name, "/", `\`)
}

// path maps a Windows name to the guest's file, comparing names without case. Drives other than C: are there when they
// are mounted; shares do not exist.
func (w *winProc) path(p string) string {
	full := w.abs(p)
	cur := ""
	if !strings.HasPrefix(full, `C:\`) {
		drive, ok := winDrive(full)
		if !ok || !w.g.tree.mountedOn(drivePrefix+drive) {
			return "/\x01no such drive/" + strings.ReplaceAll(full, `\`, "_")
		}
		cur = "/" + drivePrefix + drive
	}
	for _, part := range strings.Split(full[3:], `\`) {
		if part == "" {
			continue
		}
		next := cur + "/" + part
		if _, err := w.v.Lstat(next); err != nil {
			entries, _ := w.v.ReadDir(cur + "/")
			for _, e := range entries {
				if strings.EqualFold(e.name, part) {
					next = cur + "/" + e.name
					break
				}
			}
		}
		cur = next
	}
	if cur == "" {
		return "/"
	}
	return cur
}

func (w *winProc) readText(p string) (string, error) {
	data, err := w.v.ReadFile(w.path(p))
	return textOf(data), err
}

func (w *winProc) create(p string, add bool) (io.WriteCloser, error) {
	flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if add {
		flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	if strings.TrimSpace(p) == "" {
		return nil, pathError("open", p, fs.ErrInvalid)
	}
	return w.v.OpenFile(w.path(p), flag, 0o644)
}

func (w *winProc) copy(from, to string, recursive bool) error {
	src, dst := w.path(from), w.path(to)
	fi, err := w.v.Stat(src)
	if err != nil {
		return err
	}
	if w.v.isDir(dst) {
		dst = w.path(strings.TrimRight(w.abs(to), `\`) + `\` + winBase(from))
	}
	if fi.IsDir() {
		if err := w.v.MkdirAll(dst, 0o755); err != nil {
			return err
		}
		if !recursive {
			return nil
		}
		if strings.HasPrefix(dst+"/", src+"/") {
			return errors.New("the destination lies inside the source")
		}
		entries, err := w.v.ReadDir(src)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := w.copy(strings.TrimRight(w.abs(from), `\`)+`\`+e.name, winName(dst+"/"+e.name), true); err != nil {
				return err
			}
		}
		return nil
	}
	in, err := w.v.OpenFile(src, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := w.v.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = copyCtx(w.ctx, out, in)
	return errors.Join(err, out.Close(), w.v.Chtimes(dst, time.Time{}, fi.ModTime()))
}

func (c *psCtx) expandArchive(b *psBound) {
	src, dst := b.text(0, "path", "literalpath"), b.text(1, "destinationpath")
	data, err := c.run.w.v.ReadFile(c.run.w.path(src))
	if err != nil {
		c.notFound(b, src)
		return
	}
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		c.throw("Expand-Archive : %s is not a supported archive file format.", src)
	}
	if dst == "" {
		dst = strings.TrimSuffix(winBase(src), winExt(src))
	}
	for _, f := range zr.File {
		name := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(f.Name, `\`, "/")), "/")
		to := c.run.w.path(c.run.w.abs(dst) + `\` + strings.ReplaceAll(name, "/", `\`))
		if strings.HasSuffix(f.Name, "/") {
			c.run.w.v.MkdirAll(to, 0o755)
			continue
		}
		c.run.w.v.MkdirAll(parentOf(to), 0o755)
		in, err := f.Open()
		if err != nil {
			c.throw("Expand-Archive : %v", err)
		}
		out, err := c.run.w.v.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err == nil {
			_, err = copyCtx(c.run.w.ctx, out, in)
			err = errors.Join(err, out.Close())
		}
		in.Close()
		if err != nil {
			c.throw("Expand-Archive : %s", why(err))
		}
	}
}

func hashHex(alg string, data []byte) string {
	switch alg {
	case "MD5":
		return fmt.Sprintf("%X", md5.Sum(data))
	case "SHA1":
		return fmt.Sprintf("%X", sha1.Sum(data))
	}
	return fmt.Sprintf("%X", sha256.Sum256(data))
}

// winWords splits a command line the Windows way: at blanks outside double quotes.
func winWords(s string) []string {
	var out []string
	var cur strings.Builder
	in, quoted := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && s[i+1] == '"':
			cur.WriteByte('"')
			in = true
			i++
		case c == '"':
			quoted = !quoted
			in = true
		case (c == ' ' || c == '\t') && !quoted:
			if in {
				out = append(out, cur.String())
				cur.Reset()
				in = false
			}
		default:
			cur.WriteByte(c)
			in = true
		}
	}
	if in {
		out = append(out, cur.String())
	}
	return out
}

// find looks a program up as the loader does: as given, then with the known extensions, then in PATH.
func (w *winProc) find(name string) string {
	name = strings.Trim(name, `"`)
	if name == "" {
		return ""
	}
	try := func(p string) string {
		for _, ext := range []string{"", ".exe", ".cmd", ".bat", ".com", ".ps1"} {
			if ext == "" && winExt(p) == "" {
				continue
			}
			if fi, err := w.v.Stat(w.path(p + ext)); err == nil && !fi.IsDir() {
				return w.abs(p + ext)
			}
		}
		return ""
	}
	if strings.ContainsAny(name, `\/:`) {
		return try(name)
	}
	if f := try(w.abs(name)); f != "" {
		return f
	}
	search, _ := w.getenv("PATH")
	for _, d := range strings.Split(search, ";") {
		if d = strings.TrimSpace(d); d != "" {
			if f := try(strings.TrimRight(d, `\/`) + `\` + name); f != "" {
				return f
			}
		}
	}
	return ""
}

// windowsInit runs the init script of a Windows server: VBScript whose WScript.Shell runs command lines.
func (g *Guest) windowsInit(ctx context.Context, script string) {
	v := g.rootView()
	v.MkdirAll("/ProgramData/tfbake", 0o755)
	log, err := v.OpenFile("/ProgramData/tfbake/init.log", openAppend, 0o644)
	if err != nil {
		return
	}
	out := &lockedWriter{w: log}
	code := 0
	if strings.TrimSpace(script) != "" {
		lines, err := vbCommands(script)
		if err != nil {
			fmt.Fprintf(out, "%v\r\n", err)
			g.logf("guest %s: init script: %v", g.hostname(), err)
			code = 1
		}
		for _, l := range lines {
			fmt.Fprintf(out, "> %s\r\n", l)
			w := g.newWinProc(ctx, "Administrator", nil, out, out)
			w.dir = `C:\Windows\system32`
			code = w.command(l)
			w.files.close()
		}
	}
	fmt.Fprintf(out, "init script ended with %d\r\n", code)
	log.Close()
	if ctx.Err() == nil {
		v.WriteFile("/ProgramData/tfbake/boot-finished", []byte(strconv.Itoa(code)+"\r\n"), 0o644)
	}
	g.tree.flush()
}

var vbRun = regexp.MustCompile(`(?is)(?:createobject\s*\(\s*"wscript\.shell"\s*\)|\b[a-z_][a-z0-9_]*)\s*\.\s*(?:run|exec)\b\s*\(?\s*`)

// vbCommands finds the command lines a VBScript gives to WScript.Shell. Strings may be joined by &.
func vbCommands(script string) ([]string, error) {
	lower := strings.ToLower(script)
	if !strings.Contains(lower, "wscript.shell") {
		return nil, errors.New("only VBScript that runs commands through WScript.Shell is simulated as a Windows init script")
	}
	// Comments end a line; quotes inside strings are doubled.
	consts := map[string]string{}
	assign := regexp.MustCompile(`(?i)^\s*(?:const\s+)?([a-z_][a-z0-9_]*)\s*=\s*(".*)$`)
	var out []string
	script = regexp.MustCompile(`[ \t]_\r?\n`).ReplaceAllString(script, " ")
	for _, line := range strings.FieldsFunc(script, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if t := strings.TrimSpace(line); strings.HasPrefix(t, "'") || strings.HasPrefix(strings.ToLower(t), "rem ") {
			continue
		}
		if m := assign.FindStringSubmatch(line); m != nil {
			if s, ok := vbString(m[2], consts); ok {
				consts[strings.ToLower(m[1])] = s
			}
			continue
		}
		for _, loc := range vbRun.FindAllStringIndex(line, -1) {
			if s, ok := vbString(line[loc[1]:], consts); ok {
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the VBScript gives WScript.Shell no command line that the simulation can read")
	}
	return out, nil
}

// vbString reads "..." & name & "..." from the beginning of s.
func vbString(s string, consts map[string]string) (string, bool) {
	var out strings.Builder
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case strings.HasPrefix(s, `"`):
			i := 1
			for i < len(s) {
				if s[i] == '"' {
					if i+1 < len(s) && s[i+1] == '"' {
						out.WriteByte('"')
						i += 2
						continue
					}
					break
				}
				out.WriteByte(s[i])
				i++
			}
			if i >= len(s) {
				return "", false
			}
			s = s[i+1:]
		default:
			i := 0
			for i < len(s) && isWord(rune(s[i])) {
				i++
			}
			v, ok := consts[strings.ToLower(s[:i])]
			if !ok {
				return out.String(), out.Len() > 0
			}
			out.WriteString(v)
			s = s[i:]
		}
		s = strings.TrimLeft(s, " \t")
		if !strings.HasPrefix(s, "&") {
			return out.String(), true
		}
		s = s[1:]
	}
}

// runWindows serves an SSH command on Windows with OpenSSH for Windows' default, cmd.exe.
func (c *sshSession) runWindows(command string) int {
	out, errw := io.Writer(&lockedWriter{w: c.ch}), io.Writer(&lockedWriter{w: c.ch.Stderr()})
	w := c.g.newWinProc(c.s.ctx, c.who.name, c.ch, out, errw)
	defer w.files.close()
	if command == "" {
		io.WriteString(errw, "an interactive shell is not simulated on Windows; give a command\r\n")
		return 1
	}
	return w.command(command)
}

func (w *winrmService) sshInstalled() bool { return w.config().SSH }

func decodeCommand(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", err
	}
	return decodeUTF16(b), nil
}
