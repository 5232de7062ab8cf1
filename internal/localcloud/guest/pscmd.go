package guest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

// psBound are the arguments of a cmdlet.
type psBound struct {
	named map[string]any
	pos   []any
	input []any
	piped bool
}

func (b *psBound) get(names ...string) (any, bool) {
	for _, n := range names {
		if v, ok := b.named[n]; ok {
			return v, true
		}
	}
	return nil, false
}

// text is a named argument, or the i-th positional one (-1 for none).
func (b *psBound) text(i int, names ...string) string {
	if v, ok := b.get(names...); ok {
		return psString(v)
	}
	if i >= 0 && i < len(b.pos) {
		return psString(b.pos[i])
	}
	return ""
}

func (b *psBound) list(i int, names ...string) []string {
	var out []string
	v, ok := b.get(names...)
	if !ok && i >= 0 && i < len(b.pos) {
		v, ok = b.pos[i], true
	}
	if !ok {
		return nil
	}
	for _, x := range psList(v) {
		out = append(out, psString(x))
	}
	return out
}

func (b *psBound) sw(names ...string) bool { v, ok := b.get(names...); return ok && psTrue(v) }

// psSwitches take no value.
var psSwitches = map[string]bool{}

func init() {
	for _, s := range strings.Fields("force recurse recursive passthru confirm whatif verbose debug nonewline silent usebasicparsing asjob wait append noclobber includemanagementtools restart leaf isvalid quiet simplematch casesensitive notmatch allmatches unique descending raw asstring notypeinformation asbytestream useminimalheader hidden directory file skippublishercheck allowclobber acceptlicense useconnectedaccount all includeallsubfeature literal skipnetworkprofilecheck nonewwindow parent resolve passthrough usedefaultcredentials first1 compress ashashtable noelement expandproperty1 norestart online allowprerelease enabled disabled neverexpires accountneverexpires passwordneverexpires nopassword asplaintext name1 system readonly followsymlink updatefrequently") {
		psSwitches[s] = true
	}
}

// psCmdlets by lower-case name.
var psCmdlets map[string]func(c *psCtx, b *psBound)

var psAliases = map[string]string{"echo": "write-output", "write": "write-output", "cat": "get-content", "gc": "get-content", "type": "get-content", "ls": "get-childitem", "dir": "get-childitem", "gci": "get-childitem",
	"rm": "remove-item", "del": "remove-item", "erase": "remove-item", "rd": "remove-item", "ri": "remove-item", "rmdir": "remove-item", "cp": "copy-item", "copy": "copy-item", "cpi": "copy-item", "mv": "move-item", "move": "move-item", "mi": "move-item",
	"ren": "rename-item", "rni": "rename-item", "md": "mkdir", "ni": "new-item", "cd": "set-location", "chdir": "set-location", "sl": "set-location", "pwd": "get-location", "gl": "get-location", "pushd": "push-location", "popd": "pop-location",
	"select": "select-object", "where": "where-object", "?": "where-object", "foreach": "foreach-object", "%": "foreach-object", "sort": "sort-object", "measure": "measure-object", "group": "group-object",
	"sleep": "start-sleep", "iex": "invoke-expression", "iwr": "invoke-webrequest", "wget": "invoke-webrequest", "curl": "invoke-webrequest", "irm": "invoke-restmethod", "gi": "get-item", "si": "set-item", "sc": "set-content", "ac": "add-content",
	"ft": "format-table", "fl": "format-list", "gsv": "get-service", "sasv": "start-service", "spsv": "stop-service", "ps": "get-process", "gps": "get-process", "kill": "stop-process", "start": "start-process", "saps": "start-process",
	"set": "set-variable", "sv": "set-variable", "gv": "get-variable", "gcm": "get-command", "gm": "get-member", "gp": "get-itemproperty", "sp": "set-itemproperty", "tee": "tee-object", "oh": "out-host", "gwmi": "get-wmiobject", "gcim": "get-ciminstance", "icm": "invoke-command", "cls": "clear-host", "clear": "clear-host", "clc": "clear-content", "sls": "select-string", "compare": "compare-object", "history": "get-history"}

func (cmd *psCommand) run(c *psCtx, input []any, piped bool) {
	target := cmd.name(c)
	if b, ok := target.(*psBlock); ok {
		args, named := cmd.values(c)
		c.run.ok = true
		if cmd.call == '.' {
			c.call(b, args, named, input, true)
		} else {
			d := *c
			d.vars = newVars(c.vars)
			d.call(b, args, named, input, true)
		}
		return
	}
	name := strings.TrimSpace(psString(target))
	l := strings.ToLower(name)
	if name == "" {
		c.throw("The expression after '%c' in a pipeline element produced an object that was not valid.", max(cmd.call, '&'))
	}
	if f := c.run.funcs[l]; f != nil {
		args, named := cmd.values(c)
		c.run.ok = true
		d := *c
		d.vars = newVars(c.vars)
		d.call(f, args, named, input, len(f.params) == 0)
		return
	}
	if a, ok := psAliases[l]; ok && cmd.call == 0 {
		l = a
	}
	if f := psCmdlets[l]; f != nil {
		b := cmd.bound(c)
		b.input, b.piped = input, piped
		c.run.ok = true
		f(c, b)
		return
	}
	// A script or a program.
	file := c.run.w.find(name)
	if ext := strings.ToLower(winExt(file)); file != "" && ext == ".ps1" {
		cmd.runScript(c, file, input)
		return
	}
	if file == "" && !isWindowsProgram(l) {
		c.run.ok = false
		c.throw("%s : The term '%s' is not recognized as the name of a cmdlet, function, script file, or operable program. Check the spelling of the name, or if a path was included, verify that the path is correct and try again.", name, name)
	}
	argv := []string{name}
	if file != "" {
		argv[0] = file
	}
	for _, a := range cmd.args {
		switch {
		case a.name != "" && a.value != nil:
			argv = append(argv, "-"+a.name+":"+psString(a.value(c)))
		case a.name != "":
			argv = append(argv, "-"+a.name)
		default:
			for _, v := range psList(a.value(c)) {
				argv = append(argv, psString(v))
			}
		}
	}
	w := *c.run.w
	if piped {
		var b strings.Builder
		for _, v := range input {
			b.WriteString(psDisplay(v) + "\r\n")
		}
		w.in = strings.NewReader(b.String())
	}
	var mu sync.Mutex
	var pending string
	w.out = writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		pending += string(p)
		for {
			line, rest, ok := strings.Cut(pending, "\n")
			if !ok {
				return len(p), nil
			}
			pending = rest
			c.out(strings.TrimSuffix(line, "\r"))
		}
	})
	code := w.program(argv)
	if pending != "" {
		c.out(pending)
	}
	c.run.w.dir = w.dir
	c.vars.global().set("LASTEXITCODE", code)
	c.run.ok = code == 0
}

func (cmd *psCommand) runScript(c *psCtx, file string, input []any) {
	text, err := c.run.w.readText(file)
	if err != nil {
		c.throw("%s : %s", file, why(err))
	}
	b, err := psParse(text)
	if err != nil {
		c.throw("%v", err)
	}
	args, named := cmd.values(c)
	old := c.run.script
	c.run.script = file
	defer func() { c.run.script = old }()
	c.run.ok = true
	if cmd.call == '.' {
		c.call(b, args, named, input, true)
		return
	}
	d := *c
	d.vars = newVars(c.vars)
	func() {
		defer func() {
			if r := recover(); r != nil {
				e, ok := r.(psExit)
				if !ok {
					panic(r)
				}
				// exit in a script that was called ends that script.
				c.vars.global().set("LASTEXITCODE", e.code)
				c.run.ok = e.code == 0
			}
		}()
		d.vars.set("args", args)
		d.callScript(b, args, named, input)
	}()
}

// callScript runs a script file: errors that nobody catches end their statement only.
func (c *psCtx) callScript(b *psBlock, args []any, named map[string]any, input []any) {
	if b.process != nil || len(b.params) > 0 {
		c.call(b, args, named, input, false)
		return
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(psReturn); !ok {
				panic(r)
			}
		}
	}()
	for _, s := range append(slices.Clone(b.begin), b.end...) {
		c.check()
		s(c)
	}
}

// values gives the arguments of a function: positional and named.
func (cmd *psCommand) values(c *psCtx) ([]any, map[string]any) {
	b := cmd.bound(c)
	return b.pos, b.named
}

func (cmd *psCommand) bound(c *psCtx) *psBound {
	b := &psBound{named: map[string]any{}}
	for i := 0; i < len(cmd.args); i++ {
		a := cmd.args[i]
		l := strings.ToLower(a.name)
		switch {
		case a.name != "" && a.value != nil:
			b.named[l] = a.value(c)
		case a.name != "":
			if psSwitches[l] || i+1 >= len(cmd.args) || cmd.args[i+1].name != "" {
				b.named[l] = true
				continue
			}
			i++
			b.named[l] = cmd.args[i].value(c)
		default:
			v := a.value(c)
			if s, ok := v.(psSplat); ok {
				if h, ok := s.v.(*psHash); ok {
					for _, k := range h.keys {
						b.named[strings.ToLower(k)] = h.get(k)
					}
				} else {
					b.pos = append(b.pos, psList(s.v)...)
				}
				continue
			}
			b.pos = append(b.pos, v)
		}
	}
	return b
}

func plainValue(v any) any {
	if n, ok := v.(psBareNumber); ok {
		return n.n
	}
	return v
}

// items are a cmdlet's input: what came down the pipeline, or the argument.
func (b *psBound) items(i int, names ...string) []any {
	if b.piped {
		return b.input
	}
	if v, ok := b.get(names...); ok {
		return psList(v)
	}
	if i < len(b.pos) {
		return psList(b.pos[i])
	}
	return nil
}

func (b *psBound) encoding() string { return strings.ToLower(b.text(-1, "encoding")) }

func encodeText(s, enc string) []byte {
	switch enc {
	case "unicode", "utf16", "utf-16":
		return append([]byte{0xff, 0xfe}, utf16le(s)...)
	}
	return []byte(s)
}

func utf16le(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func decodeUTF16(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	return string(utf16.Decode(u))
}

// textOf decodes a file's bytes.
func textOf(b []byte) string {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 0xfe {
		return decodeUTF16(b[2:])
	}
	return strings.TrimPrefix(string(b), "\ufeff")
}

// isRegistry tells provider paths that are no files.
func isRegistry(p string) bool {
	l := strings.ToLower(p)
	for _, r := range []string{"hklm:", "hkcu:", "hkcr:", "hku:", "registry::", "hkey_", "wsman:", "cert:"} {
		if strings.HasPrefix(l, r) {
			return true
		}
	}
	return false
}

func (c *psCtx) itemInfo(full string, fi *fileInfo) *psObject {
	name := winBase(full)
	o := newObject("System.IO.FileInfo", "Name", name, "FullName", full, "PSIsContainer", fi.IsDir(), "Extension", winExt(full), "BaseName", strings.TrimSuffix(name, winExt(full)),
		"DirectoryName", winDir(full), "LastWriteTime", fi.ModTime().UTC(), "LastWriteTimeUtc", fi.ModTime().UTC(), "CreationTime", fi.ModTime().UTC(), "Exists", true, "Mode", map[bool]string{true: "d-----", false: "-a----"}[fi.IsDir()])
	if !fi.IsDir() {
		o.props.set("Length", int(fi.Size()))
	} else {
		o.typ = "System.IO.DirectoryInfo"
	}
	o.text = func() string { return full }
	o.methods["delete"] = func(c *psCtx, _ []any) any { c.run.w.v.RemoveAll(c.run.w.path(full)); return nil }
	return o
}

// matches expands wildcards in the last part of a path.
func (c *psCtx) matches(p string) []string {
	w := c.run.w
	if !strings.ContainsAny(winBase(p), "*?[") {
		return []string{w.abs(p)}
	}
	dir := winDir(w.abs(p))
	entries, err := w.v.ReadDir(w.path(dir))
	if err != nil {
		return nil
	}
	re := psRegexp(c, wildcard(winBase(p)), false)
	var out []string
	for _, e := range entries {
		if re.MatchString(e.name) {
			out = append(out, strings.TrimSuffix(dir, `\`)+`\`+e.name)
		}
	}
	return out
}

func (c *psCtx) notFound(b *psBound, name string) {
	c.complain(b, fmt.Sprintf("Cannot find path '%s' because it does not exist.", c.run.w.abs(name)))
}

func (b *psBound) paths(i int) []string {
	if b.piped {
		var out []string
		for _, v := range b.input {
			if o, ok := v.(*psObject); ok && o.props.get("FullName") != nil {
				v = o.props.get("FullName")
			}
			out = append(out, psString(v))
		}
		return out
	}
	return b.list(i, "path", "literalpath", "filepath", "pspath", "lp")
}

func init() {
	nothing := func(*psCtx, *psBound) {}
	psCmdlets = map[string]func(c *psCtx, b *psBound){
		"write-output": func(c *psCtx, b *psBound) {
			for _, v := range b.items(0, "inputobject") {
				c.out(plainValue(v))
			}
			if !b.piped && len(b.pos) > 1 {
				for _, v := range b.pos[1:] {
					c.out(plainValue(v))
				}
			}
		},
		"write-host": func(c *psCtx, b *psBound) {
			var parts []string
			for _, v := range b.items(0, "object") {
				parts = append(parts, psDisplay(v))
			}
			if !b.piped && len(b.pos) > 1 {
				for _, v := range b.pos[1:] {
					parts = append(parts, psDisplay(v))
				}
			}
			end := "\r\n"
			if b.sw("nonewline") {
				end = ""
			}
			io.WriteString(c.run.w.out, strings.Join(parts, " ")+end)
		},
		"out-host":    func(c *psCtx, b *psBound) { writeAll(c, b.input) },
		"out-default": func(c *psCtx, b *psBound) { writeAll(c, b.input) },
		"write-error": func(c *psCtx, b *psBound) {
			msg := b.text(0, "message", "exception", "errorrecord")
			if b.piped && msg == "" {
				msg = psString(psValue(b.input))
			}
			c.complain(b, "Write-Error: "+msg)
		},
		"write-warning": func(c *psCtx, b *psBound) {
			fmt.Fprintf(c.run.w.out, "WARNING: %s\r\n", b.text(0, "message"))
		},
		"write-verbose": func(c *psCtx, b *psBound) {
			if b.sw("verbose") || strings.EqualFold(psString(c.vars.get("VerbosePreference")), "continue") {
				fmt.Fprintf(c.run.w.out, "VERBOSE: %s\r\n", b.text(0, "message"))
			}
		},
		"write-information": func(c *psCtx, b *psBound) {}, "write-debug": nothing, "write-progress": nothing, "clear-host": nothing,
		"out-null": nothing,
		"out-string": func(c *psCtx, b *psBound) {
			var s strings.Builder
			for _, v := range b.input {
				s.WriteString(psDisplay(v) + "\r\n")
			}
			c.out(s.String())
		},
		"out-file": func(c *psCtx, b *psBound) {
			name := b.text(0, "filepath", "path", "literalpath")
			f, err := c.run.w.create(name, b.sw("append"))
			if err != nil {
				c.complain(b, fmt.Sprintf("Out-File : Could not find a part of the path '%s'.", c.run.w.abs(name)))
				return
			}
			defer f.Close()
			for _, v := range b.items(1, "inputobject") {
				end := "\r\n"
				if b.sw("nonewline") {
					end = ""
				}
				f.Write(encodeText(psDisplay(v)+end, map[bool]string{true: ""}[b.encoding() == ""]))
			}
		},
		"tee-object": func(c *psCtx, b *psBound) {
			if f, err := c.run.w.create(b.text(0, "filepath"), b.sw("append")); err == nil {
				for _, v := range b.input {
					io.WriteString(f, psDisplay(v)+"\r\n")
				}
				f.Close()
			}
			passOn(c, b.input)
		},
		"set-content": func(c *psCtx, b *psBound) { c.writeContent(b, false) },
		"add-content": func(c *psCtx, b *psBound) { c.writeContent(b, true) },
		"clear-content": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				if f, err := c.run.w.create(n, false); err == nil {
					f.Close()
				}
			}
		},
		"get-content": func(c *psCtx, b *psBound) {
			for _, p := range b.paths(0) {
				for _, n := range c.matches(p) {
					data, err := c.run.w.v.ReadFile(c.run.w.path(n))
					if err != nil {
						c.notFound(b, n)
						continue
					}
					if b.encoding() == "byte" || b.sw("asbytestream") {
						c.out(data)
						continue
					}
					text := textOf(data)
					if b.sw("raw") {
						c.out(text)
						continue
					}
					all := splitLines(strings.ReplaceAll(text, "\r\n", "\n"))
					if v, ok := b.get("totalcount", "first", "head"); ok {
						all = all[:min(len(all), int(psNumber(v)))]
					}
					if v, ok := b.get("tail", "last"); ok {
						all = all[max(0, len(all)-int(psNumber(v))):]
					}
					for _, l := range all {
						c.out(l)
					}
				}
			}
		},
		"test-path": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				kind := strings.ToLower(b.text(1, "pathtype", "type"))
				if l := strings.ToLower(n); strings.HasPrefix(l, "env:") {
					_, ok := c.run.w.getenv(strings.Trim(n[4:], `\/`))
					c.out(ok)
					continue
				} else if strings.HasPrefix(l, "variable:") {
					name := n[len("variable:"):]
					if i := strings.LastIndexByte(name, ':'); i >= 0 {
						name = name[i+1:]
					}
					_, ok := c.vars.lookup(strings.Trim(name, `\/`))
					c.out(ok)
					continue
				} else if strings.HasPrefix(l, "function:") {
					c.out(c.run.funcs[strings.Trim(l[len("function:"):], `\/`)] != nil)
					continue
				}
				if isRegistry(n) {
					c.out(c.run.w.registry().has(n))
					continue
				}
				hit := false
				for _, m := range c.matches(n) {
					fi, err := c.run.w.v.Stat(c.run.w.path(m))
					hit = hit || err == nil && (kind == "" || kind == "any" || (kind == "container") == fi.IsDir())
				}
				c.out(hit)
			}
		},
		"new-item": func(c *psCtx, b *psBound) {
			names := b.list(0, "path")
			if n := b.text(-1, "name"); n != "" {
				base := "."
				if len(names) > 0 {
					base = names[0]
				}
				names = []string{base + `\` + n}
			}
			for _, n := range names {
				if isRegistry(n) {
					c.run.w.registry().add(n)
					if strings.HasPrefix(strings.ToLower(n), "wsman:") && strings.Contains(strings.ToLower(n), "listener") {
						t := strings.ToLower(b.text(-1, "transport"))
						c.run.w.g.winrm.configure(func(w *winrmConfig) { w.Enabled, w.HTTPS = true, w.HTTPS || t == "https" })
					}
					continue
				}
				kind := strings.ToLower(b.text(1, "itemtype", "type"))
				guestPath := c.run.w.path(n)
				_, err := c.run.w.v.Stat(guestPath)
				if strings.HasPrefix("directory", kind) && kind != "" {
					if err == nil && !b.sw("force") {
						c.complain(b, fmt.Sprintf("New-Item : An item with the specified name %s already exists.", c.run.w.abs(n)))
						continue
					}
					err = c.run.w.v.MkdirAll(guestPath, 0o755)
				} else {
					if err == nil && !b.sw("force") {
						c.complain(b, fmt.Sprintf("New-Item : The file '%s' already exists.", c.run.w.abs(n)))
						continue
					}
					if b.sw("force") {
						c.run.w.v.MkdirAll(parentOf(guestPath), 0o755)
					}
					err = c.run.w.v.WriteFile(guestPath, []byte(b.text(-1, "value")), 0o644)
				}
				if err != nil {
					c.complain(b, fmt.Sprintf("New-Item : Could not find a part of the path '%s'.", c.run.w.abs(n)))
					continue
				}
				if made, serr := c.run.w.v.Stat(guestPath); serr == nil {
					c.out(c.itemInfo(c.run.w.abs(n), made))
				}
			}
		},
		"mkdir": func(c *psCtx, b *psBound) {
			for _, n := range b.list(0, "path", "name") {
				g := c.run.w.path(n)
				if c.run.w.v.exists(g) && !b.sw("force") {
					c.complain(b, fmt.Sprintf("mkdir : An item with the specified name %s already exists.", c.run.w.abs(n)))
					continue
				}
				if err := c.run.w.v.MkdirAll(g, 0o755); err != nil {
					c.complain(b, why(err))
				} else if fi, err := c.run.w.v.Stat(g); err == nil {
					c.out(c.itemInfo(c.run.w.abs(n), fi))
				}
			}
		},
		"remove-item": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				if strings.HasPrefix(strings.ToLower(n), "env:") {
					c.run.w.setenv(strings.Trim(n[4:], `\/`), "")
					continue
				}
				if isRegistry(n) {
					c.run.w.registry().remove(n)
					continue
				}
				ms := c.matches(n)
				for _, m := range ms {
					g := c.run.w.path(m)
					fi, err := c.run.w.v.Lstat(g)
					if err != nil {
						c.notFound(b, m)
						continue
					}
					if g == "/" || c.run.w.v.mountedOn(g[1:]) {
						c.complain(b, "Remove-Item : Cannot remove the item at '"+m+"' because it is in use.")
						continue
					}
					if entries, _ := c.run.w.v.ReadDir(g); fi.IsDir() && len(entries) > 0 && !b.sw("recurse", "recursive", "r") {
						c.complain(b, fmt.Sprintf("Remove-Item : Cannot remove item %s: The directory is not empty.", m))
						continue
					}
					if err := c.run.w.v.RemoveAll(g); err != nil {
						c.complain(b, fmt.Sprintf("Remove-Item : Cannot remove item %s: %s", m, why(err)))
					}
				}
			}
		},
		"copy-item": func(c *psCtx, b *psBound) {
			dst := b.text(1, "destination")
			if b.piped {
				dst = b.text(0, "destination")
			}
			for _, n := range b.paths(0) {
				ms := c.matches(n)
				if len(ms) == 0 {
					c.notFound(b, n)
				}
				for _, m := range ms {
					if err := c.run.w.copy(m, dst, b.sw("recurse", "recursive")); err != nil {
						c.complain(b, fmt.Sprintf("Copy-Item : %s: %s", m, why(err)))
					}
				}
			}
		},
		"move-item": func(c *psCtx, b *psBound) { c.rename(b, b.text(1, "destination"), true) },
		"rename-item": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				c.rename(&psBound{named: b.named, pos: []any{n}}, winDir(c.run.w.abs(n))+`\`+winBase(b.text(1, "newname")), false)
			}
		},
		"get-childitem": func(c *psCtx, b *psBound) {
			names := b.paths(0)
			if len(names) == 0 {
				names = []string{c.run.w.dir}
			}
			filter := b.text(1, "filter", "include")
			var list func(dir string, depth int)
			show := func(full string, fi *fileInfo) {
				if filter != "" && !psRegexp(c, wildcard(filter), false).MatchString(fi.name) || b.sw("directory") && !fi.IsDir() || b.sw("file") && fi.IsDir() {
					return
				}
				if b.sw("name") {
					c.out(fi.name)
					return
				}
				c.out(c.itemInfo(full, fi))
			}
			list = func(dir string, depth int) {
				c.check()
				entries, err := c.run.w.v.ReadDir(c.run.w.path(dir))
				if err != nil {
					c.notFound(b, dir)
					return
				}
				for _, e := range entries {
					full := strings.TrimSuffix(dir, `\`) + `\` + e.name
					show(full, e)
					if e.IsDir() && b.sw("recurse", "recursive", "r") && depth < 100 {
						list(full, depth+1)
					}
				}
			}
			for _, n := range names {
				if isRegistry(n) {
					continue
				}
				if strings.EqualFold(strings.TrimRight(n, `\/:`), "env") {
					for _, k := range c.run.w.envNames() {
						v, _ := c.run.w.getenv(k)
						o := newObject("DictionaryEntry", "Name", k, "Key", k, "Value", v)
						c.out(o)
					}
					continue
				}
				for _, m := range c.matches(n) {
					fi, err := c.run.w.v.Stat(c.run.w.path(m))
					switch {
					case err != nil:
						c.notFound(b, m)
					case fi.IsDir() && !strings.ContainsAny(winBase(n), "*?"):
						list(m, 0)
					default:
						show(m, fi)
					}
				}
			}
		},
		"get-item": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				if l := strings.ToLower(n); strings.HasPrefix(l, "env:") {
					v, _ := c.run.w.getenv(n[4:])
					c.out(newObject("DictionaryEntry", "Name", n[4:], "Value", v))
					continue
				}
				if isRegistry(n) {
					c.out(newObject("RegistryKey", "Name", n))
					continue
				}
				ms := c.matches(n)
				for _, m := range ms {
					fi, err := c.run.w.v.Stat(c.run.w.path(m))
					if err != nil {
						c.notFound(b, m)
						continue
					}
					c.out(c.itemInfo(m, fi))
				}
			}
		},
		"resolve-path": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				for _, m := range c.matches(n) {
					if !c.run.w.v.exists(c.run.w.path(m)) {
						c.notFound(b, m)
						continue
					}
					c.out(newPathInfo(m))
				}
			}
		},
		"convert-path": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				c.out(c.run.w.abs(n))
			}
		},
		"join-path": func(c *psCtx, b *psBound) {
			for _, p := range b.list(0, "path") {
				c.out(strings.TrimRight(p, `\/`) + `\` + strings.TrimLeft(b.text(1, "childpath"), `\/`))
			}
		},
		"split-path": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				switch {
				case b.sw("leaf"):
					c.out(winBase(n))
				default:
					c.out(winDir(n))
				}
			}
		},
		"set-location": func(c *psCtx, b *psBound) {
			n := b.text(0, "path", "literalpath")
			if isRegistry(n) {
				return
			}
			if !c.run.w.v.isDir(c.run.w.path(n)) {
				c.notFound(b, n)
				return
			}
			c.run.w.dir = c.run.w.abs(n)
		},
		"get-location": func(c *psCtx, _ *psBound) { c.out(newPathInfo(c.run.w.dir)) },
		"push-location": func(c *psCtx, b *psBound) {
			c.run.w.stack = append(c.run.w.stack, c.run.w.dir)
			if n := b.text(0, "path"); n != "" {
				if !c.run.w.v.isDir(c.run.w.path(n)) {
					c.notFound(b, n)
					return
				}
				c.run.w.dir = c.run.w.abs(n)
			}
		},
		"pop-location": func(c *psCtx, _ *psBound) {
			if n := len(c.run.w.stack); n > 0 {
				c.run.w.dir, c.run.w.stack = c.run.w.stack[n-1], c.run.w.stack[:n-1]
			}
		},
		"set-variable": func(c *psCtx, b *psBound) {
			name := b.text(0, "name")
			if i := strings.LastIndexByte(name, ':'); i >= 0 {
				name = name[i+1:]
			}
			var v any
			if x, ok := b.get("value"); ok {
				v = x
			} else if len(b.pos) > 1 {
				v = b.pos[1]
			}
			if s := strings.ToLower(b.text(-1, "scope")); s == "global" || s == "script" || strings.Contains(strings.ToLower(b.text(0, "name")), "global:") {
				c.vars.global().set(name, plainValue(v))
				return
			}
			c.vars.set(name, plainValue(v))
		},
		"new-variable": func(c *psCtx, b *psBound) {
			v, _ := b.get("value")
			c.vars.set(b.text(0, "name"), plainValue(v))
		},
		"get-variable": func(c *psCtx, b *psBound) {
			v := c.vars.get(b.text(0, "name"))
			if b.sw("valueonly") {
				c.out(v)
				return
			}
			c.out(newObject("PSVariable", "Name", b.text(0, "name"), "Value", v))
		},
		"remove-variable": func(c *psCtx, b *psBound) { delete(c.vars.m, strings.ToLower(b.text(0, "name"))) },
		"foreach-object": func(c *psCtx, b *psBound) {
			var blocks []*psBlock
			for _, v := range b.pos {
				if bl, ok := v.(*psBlock); ok {
					blocks = append(blocks, bl)
				}
			}
			for _, k := range []string{"process"} {
				if bl, ok := b.named[k].(*psBlock); ok {
					blocks = append(blocks, bl)
				}
			}
			if bl, ok := b.named["begin"].(*psBlock); ok {
				c.call(bl, nil, nil, nil, true)
			}
			member := b.text(0, "membername")
			old, had := c.vars.m["_"]
			for _, v := range b.input {
				c.check()
				c.vars.set("_", v)
				if len(blocks) == 0 {
					if m := c.member(v, member); m != nil {
						c.out(m)
					}
					continue
				}
				c.call(blocks[len(blocks)-1], nil, nil, []any{v}, true)
			}
			if bl, ok := b.named["end"].(*psBlock); ok {
				c.call(bl, nil, nil, nil, true)
			}
			if had {
				c.vars.m["_"] = old
			} else {
				delete(c.vars.m, "_")
			}
		},
		"where-object": func(c *psCtx, b *psBound) {
			bl, _ := first(b.pos).(*psBlock)
			if v, ok := b.named["filterscript"].(*psBlock); ok {
				bl = v
			}
			old, had := c.vars.m["_"]
			for _, v := range b.input {
				c.check()
				c.vars.set("_", v)
				ok := false
				if bl != nil {
					ok = psTrue(psValue(c.invoke(bl, nil, nil)))
				} else {
					m := c.member(v, b.text(0, "property"))
					ok = psTrue(m)
					for _, op := range []string{"eq", "ne", "like", "notlike", "match", "notmatch", "gt", "lt", "ge", "le", "contains", "in"} {
						if x, has := b.named[op]; has {
							ok = psTrue(psBinary(c, "-"+op, m, x))
						}
					}
				}
				if ok {
					c.out(v)
				}
			}
			if had {
				c.vars.m["_"] = old
			}
		},
		"select-object": func(c *psCtx, b *psBound) {
			in := b.input
			if v, ok := b.get("skip"); ok {
				in = in[min(len(in), max(0, int(psNumber(v)))):]
			}
			if v, ok := b.get("first"); ok {
				in = in[:min(len(in), max(0, int(psNumber(v))))]
			}
			if v, ok := b.get("last"); ok {
				in = in[max(0, len(in)-int(psNumber(v))):]
			}
			if b.sw("unique") {
				seen := map[string]bool{}
				in = slices.DeleteFunc(slices.Clone(in), func(v any) bool { k := psString(v); d := seen[k]; seen[k] = true; return d })
			}
			if e := b.text(-1, "expandproperty"); e != "" {
				for _, v := range in {
					passOn(c, psList(c.member(v, e)))
				}
				return
			}
			props := b.list(0, "property")
			for _, v := range in {
				if len(props) == 0 || props[0] == "*" {
					c.out(v)
					continue
				}
				o := newObject("PSCustomObject")
				for _, p := range props {
					o.props.set(p, c.member(v, p))
				}
				c.out(o)
			}
		},
		"sort-object": func(c *psCtx, b *psBound) {
			in := slices.Clone(b.input)
			key := func(v any) any {
				if p := first(b.pos); p != nil {
					if bl, ok := p.(*psBlock); ok {
						c.vars.set("_", v)
						return psValue(c.invoke(bl, nil, nil))
					}
					return c.member(v, psString(p))
				}
				if p := b.text(-1, "property"); p != "" {
					return c.member(v, p)
				}
				return v
			}
			slices.SortStableFunc(in, func(x, y any) int {
				r := 0
				if psCompare("-lt", key(x), key(y), false) == true {
					r = -1
				} else if psCompare("-gt", key(x), key(y), false) == true {
					r = 1
				}
				if b.sw("descending") {
					r = -r
				}
				return r
			})
			if b.sw("unique") {
				in = slices.CompactFunc(in, func(x, y any) bool { return psString(key(x)) == psString(key(y)) })
			}
			passOn(c, in)
		},
		"measure-object": func(c *psCtx, b *psBound) {
			psMeasure(c, b)
		},
		"select-string": func(c *psCtx, b *psBound) {
			pat := b.text(0, "pattern")
			if b.sw("simplematch") {
				pat = regexp.QuoteMeta(pat)
			}
			re := psRegexp(c, pat, b.sw("casesensitive"))
			var all []string
			for _, v := range b.input {
				all = append(all, psString(v))
			}
			for _, n := range b.list(1, "path") {
				if t, err := c.run.w.readText(n); err == nil {
					all = append(all, splitLines(strings.ReplaceAll(t, "\r\n", "\n"))...)
				}
			}
			for i, l := range all {
				if re.MatchString(l) {
					if b.sw("quiet") {
						c.out(true)
						return
					}
					o := newObject("MatchInfo", "Line", l, "LineNumber", i+1)
					o.text = func() string { return l }
					c.out(o)
				}
			}
			if b.sw("quiet") {
				c.out(false)
			}
		},
		"format-table": func(c *psCtx, b *psBound) { passOn(c, b.input) }, "format-list": func(c *psCtx, b *psBound) { passOn(c, b.input) },
		"convertto-xml": func(c *psCtx, b *psBound) {
			var s strings.Builder
			s.WriteString(`<?xml version="1.0" encoding="utf-8"?><Objects>`)
			for _, v := range b.input {
				s.WriteString("<Object>")
				if o, ok := v.(*psObject); ok {
					for _, k := range o.props.keys {
						fmt.Fprintf(&s, `<Property Name="%s">%s</Property>`, k, html.EscapeString(psString(o.props.get(k))))
					}
				} else {
					s.WriteString(html.EscapeString(psString(v)))
				}
				s.WriteString("</Object>")
			}
			s.WriteString("</Objects>")
			c.out(s.String())
		},
		"convertto-json": func(c *psCtx, b *psBound) { c.out(psJSON(psValue(b.items(0, "inputobject")), 0)) },
		"convertto-securestring": func(c *psCtx, b *psBound) {
			o := newObject("System.Security.SecureString", "plain", b.text(0, "string"))
			c.out(o)
		},
		"start-sleep": func(c *psCtx, b *psBound) {
			d := psNumber(firstOf2(b, 0, "seconds", "s")) * float64(time.Second)
			if v, ok := b.get("milliseconds", "m", "ms"); ok {
				d = psNumber(v) * float64(time.Millisecond)
			}
			c.run.w.sleep(time.Duration(d))
			c.check()
		},
		"invoke-expression": func(c *psCtx, b *psBound) {
			for _, v := range b.items(0, "command") {
				bl, err := psParse(psString(v))
				if err != nil {
					c.throw("%v", err)
				}
				c.call(bl, nil, nil, nil, true)
			}
		},
		"invoke-command": func(c *psCtx, b *psBound) {
			bl, ok := first(b.pos).(*psBlock)
			if v, has := b.named["scriptblock"].(*psBlock); has {
				bl, ok = v, true
			}
			if ok {
				args, _ := b.get("argumentlist")
				c.call(bl, psList(args), nil, b.input, false)
			}
		},
		"get-command": func(c *psCtx, b *psBound) {
			for _, n := range b.list(0, "name") {
				l := strings.ToLower(n)
				if psCmdlets[l] == nil && c.run.funcs[l] == nil && psAliases[l] == "" && c.run.w.find(n) == "" && !isWindowsProgram(l) {
					c.complain(b, fmt.Sprintf("Get-Command : The term '%s' is not recognized as the name of a cmdlet, function, script file, or operable program.", n))
					continue
				}
				c.out(newObject("CommandInfo", "Name", n, "Source", c.run.w.find(n)))
			}
		},
		"get-date": func(c *psCtx, b *psBound) {
			t := time.Now().UTC()
			if f := b.text(-1, "format"); f != "" {
				c.out(dotNetTime(t, f))
				return
			}
			if f := b.text(-1, "uformat"); f != "" {
				c.out(strftime(strings.TrimPrefix(f, "+"), t))
				return
			}
			c.out(t)
		},
		"get-random": func(c *psCtx, b *psBound) {
			buf := make([]byte, 4)
			randomReader{c.run.w.ctx}.Read(buf)
			n := int(buf[0])<<16 | int(buf[1])<<8 | int(buf[2])
			if v, ok := b.get("maximum"); ok && psNumber(v) >= 1 {
				n %= int(psNumber(v))
			}
			c.out(n)
		},
		"get-host":      func(c *psCtx, _ *psBound) { c.out(newObject("InternalHost", "Name", "simulated", "Version", "5.1")) },
		"get-culture":   func(c *psCtx, _ *psBound) { c.out(newObject("CultureInfo", "Name", "en-US")) },
		"get-wmiobject": cmdletWMI, "get-ciminstance": cmdletWMI,
		"get-computerinfo": func(c *psCtx, b *psBound) { cmdletWMI(c, &psBound{pos: []any{"Win32_OperatingSystem"}}) },
		"new-object":       func(c *psCtx, b *psBound) { c.out(c.newObject(b)) },
		"new-timespan":     func(c *psCtx, _ *psBound) { c.out(0) },
		"get-process": func(c *psCtx, b *psBound) {
			for _, n := range b.list(0, "name") {
				if !slices.Contains([]string{"lsass", "svchost", "system"}, strings.ToLower(n)) {
					c.complain(b, fmt.Sprintf("Get-Process : Cannot find a process with the name \"%s\".", n))
				}
			}
		},
		"stop-process": nothing, "wait-process": nothing,
		"start-process": func(c *psCtx, b *psBound) {
			argv := append([]string{b.text(0, "filepath")}, b.list(1, "argumentlist", "args")...)
			if len(argv) == 2 {
				argv = append(argv[:1], winWords(argv[1])...)
			}
			w := *c.run.w
			code := w.program(argv)
			if code == notProgram {
				c.throw("Start-Process : This command cannot be run due to the error: The system cannot find the file specified.")
			}
			if b.sw("passthru") {
				o := newObject("System.Diagnostics.Process", "ExitCode", code, "HasExited", true, "Id", 4000)
				o.methods["waitforexit"] = func(*psCtx, []any) any { return true }
				c.out(o)
			}
		},
		"restart-computer": func(c *psCtx, _ *psBound) { c.run.w.g.selfPower(true, 0) },
		"stop-computer":    func(c *psCtx, _ *psBound) { c.run.w.g.selfPower(false, 0) },
		"rename-computer": func(c *psCtx, b *psBound) {
			if err := c.run.w.g.setHostname(b.text(0, "newname")); err != nil {
				c.complain(b, why(err))
			}
		},
		"enable-psremoting": func(c *psCtx, _ *psBound) {
			c.run.w.g.winrm.configure(func(w *winrmConfig) { w.Enabled = true })
		},
		"set-wsmanquickconfig": func(c *psCtx, b *psBound) {
			c.run.w.g.winrm.configure(func(w *winrmConfig) { w.Enabled = true; w.HTTPS = w.HTTPS || b.sw("usessl") })
		},
		"set-item": func(c *psCtx, b *psBound) {
			n, v := b.text(0, "path", "literalpath"), b.text(1, "value")
			l := strings.ToLower(strings.ReplaceAll(n, "/", `\`))
			switch {
			case strings.HasPrefix(l, "env:"):
				c.run.w.setenv(n[4:], v)
			case strings.HasPrefix(l, "wsman:"):
				on := strings.EqualFold(v, "true")
				c.run.w.g.winrm.configure(func(w *winrmConfig) {
					if strings.HasSuffix(l, `service\auth\basic`) {
						w.Basic = on
					}
					if strings.HasSuffix(l, `service\allowunencrypted`) {
						w.Unencrypted = on
					}
				})
			case isRegistry(n):
				c.run.w.registry().set(n, "(default)", v)
			}
		},
		"get-itemproperty": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				if isRegistry(n) {
					vals, ok := c.run.w.registry().values(n)
					if !ok {
						c.notFound(b, n)
						continue
					}
					o := newObject("PSCustomObject")
					for k, v := range vals {
						o.props.set(k, v)
					}
					if name := b.text(1, "name"); name != "" && o.props.get(name) == nil {
						c.complain(b, fmt.Sprintf("Get-ItemProperty : Property %s does not exist at path %s.", name, n))
						continue
					}
					c.out(o)
					continue
				}
				if fi, err := c.run.w.v.Stat(c.run.w.path(n)); err == nil {
					c.out(c.itemInfo(c.run.w.abs(n), fi))
				} else {
					c.notFound(b, n)
				}
			}
		},
		"get-itempropertyvalue": func(c *psCtx, b *psBound) {
			if vals, ok := c.run.w.registry().values(b.text(0, "path")); ok {
				if v, ok := vals[b.text(1, "name")]; ok {
					c.out(v)
					return
				}
			}
			c.complain(b, fmt.Sprintf("Property %s does not exist.", b.text(1, "name")))
		},
		"set-itemproperty":    cmdletItemProperty,
		"new-itemproperty":    cmdletItemProperty,
		"remove-itemproperty": func(c *psCtx, b *psBound) { c.run.w.registry().unset(b.text(0, "path"), b.text(1, "name")) },
		"get-service":         cmdletService, "start-service": cmdletService, "stop-service": cmdletService, "restart-service": cmdletService, "set-service": cmdletService, "new-service": cmdletService,
		"install-windowsfeature": cmdletFeature, "add-windowsfeature": cmdletFeature, "uninstall-windowsfeature": cmdletFeature, "get-windowsfeature": cmdletFeature, "enable-windowsoptionalfeature": cmdletFeature, "disable-windowsoptionalfeature": cmdletFeature, "remove-windowsfeature": cmdletFeature,
		"add-windowscapability": cmdletFeature, "get-windowscapability": cmdletFeature,
		"new-localuser": func(c *psCtx, b *psBound) {
			pw := ""
			if o, ok := b.named["password"].(*psObject); ok {
				pw = psString(o.props.get("plain"))
			}
			c.run.w.g.setWindowsPassword(b.text(0, "name"), pw)
			c.run.w.v.MkdirAll("/Users/"+winBase(b.text(0, "name")), 0o755)
		},
		"set-localuser": func(c *psCtx, b *psBound) {
			if o, ok := b.named["password"].(*psObject); ok {
				c.run.w.g.setWindowsPassword(b.text(0, "name"), psString(o.props.get("plain")))
			}
		},
		"get-localuser": func(c *psCtx, b *psBound) {
			for _, n := range c.run.w.g.windowsUsers() {
				if want := b.text(0, "name"); want == "" || strings.EqualFold(want, n) {
					c.out(newObject("LocalUser", "Name", n, "Enabled", true))
				}
			}
		},
		"invoke-webrequest": func(c *psCtx, b *psBound) {
			c.throw("Invoke-WebRequest : The remote name could not be resolved: '%s' (no network: this server is simulated by tfbake)", b.text(0, "uri"))
		},
		"invoke-restmethod": func(c *psCtx, b *psBound) {
			c.throw("Invoke-RestMethod : The remote name could not be resolved: '%s' (no network: this server is simulated by tfbake)", b.text(0, "uri"))
		},
		"test-connection": func(c *psCtx, _ *psBound) { c.out(false) }, "test-netconnection": func(c *psCtx, _ *psBound) { c.out(newObject("TestNetConnectionResult", "TcpTestSucceeded", false)) },
		"get-filehash": func(c *psCtx, b *psBound) {
			for _, n := range b.paths(0) {
				data, err := c.run.w.v.ReadFile(c.run.w.path(n))
				if err != nil {
					c.notFound(b, n)
					continue
				}
				alg := strings.ToUpper(b.text(1, "algorithm"))
				if alg == "" {
					alg = "SHA256"
				}
				c.out(newObject("FileHash", "Algorithm", alg, "Hash", hashHex(alg, data), "Path", c.run.w.abs(n)))
			}
		},
		"expand-archive":      func(c *psCtx, b *psBound) { c.expandArchive(b) },
		"unblock-file":        nothing,
		"new-guid":            func(c *psCtx, _ *psBound) { c.out(newGUID()) },
		"get-hotfix":          nothing,
		"get-netipaddress":    nothing,
		"get-executionpolicy": func(c *psCtx, _ *psBound) { c.out("RemoteSigned") },
		"get-history":         nothing,
		"get-member":          nothing,
		"get-acl":             func(c *psCtx, _ *psBound) { c.out(lenientObject("FileSecurity")) },
		"get-timezone":        func(c *psCtx, _ *psBound) { c.out(newObject("TimeZoneInfo", "Id", "UTC")) },
		"get-netadapter":      func(c *psCtx, _ *psBound) { c.out(newObject("NetAdapter", "Name", "Ethernet", "Status", "Up")) },
		"get-netfirewallrule": nothing,
		"get-scheduledtask":   nothing,
		"get-disk":            nothing,
		"get-package":         nothing,
		"get-packageprovider": nothing,
		"get-module":          nothing,
		"get-psrepository":    nothing,
		"get-eventlog":        nothing,
		"get-winevent":        nothing,
		"get-mppreference":    nothing,
		"get-netconnectionprofile": func(c *psCtx, _ *psBound) {
			c.out(newObject("NetConnectionProfile", "Name", "Network", "NetworkCategory", "Private", "InterfaceIndex", 1))
		},
	}
	// Settings that are taken and change nothing in a simulation; they are noted in a log of the guest.
	for _, n := range strings.Fields("set-executionpolicy set-strictmode set-psdebug import-module install-module install-packageprovider install-package register-psrepository set-psrepository update-help set-timezone new-netfirewallrule set-netfirewallprofile enable-netfirewallrule disable-netfirewallrule set-netfirewallrule remove-netfirewallrule set-netconnectionprofile set-netadapterbinding disable-netadapterbinding set-mppreference add-mppreference set-acl disable-scheduledtask enable-scheduledtask register-scheduledtask unregister-scheduledtask set-winuserlanguagelist set-winsystemlocale set-culture set-date powercfg clear-eventlog clear-recyclebin optimize-volume resize-partition add-type add-localgroupmember remove-localgroupmember new-localgroup enable-localuser disable-localuser remove-localuser clear-dnsclientcache set-dnsclientserveraddress set-smbserverconfiguration remove-appxpackage remove-appxprovisionedpackage checkpoint-computer disable-computerrestore wevtutil set-alias new-alias start-transcript stop-transcript import-certificate new-selfsignedcertificate start-job receive-job wait-job remove-job trace-command set-psreadlineoption disable-psremoting set-vmhost import-pfxcertificate new-netroute set-itempropertyvalue") {
		if psCmdlets[n] == nil {
			psCmdlets[n] = func(c *psCtx, b *psBound) { c.run.w.g.winLog(n) }
		}
	}
	psCmdlets["new-selfsignedcertificate"] = func(c *psCtx, _ *psBound) {
		c.out(newObject("X509Certificate2", "Thumbprint", "0000000000000000000000000000000000000000", "Subject", "CN=simulated"))
	}
	psCmdlets["import-module"] = nothing
}

func firstOf2(b *psBound, i int, names ...string) any {
	if v, ok := b.get(names...); ok {
		return v
	}
	if i < len(b.pos) {
		return b.pos[i]
	}
	return nil
}

func passOn(c *psCtx, vs []any) {
	for _, v := range vs {
		c.out(v)
	}
}

func writeAll(c *psCtx, vs []any) {
	for _, v := range vs {
		io.WriteString(c.run.w.out, psDisplay(v)+"\r\n")
	}
}

func psJSON(v any, depth int) string {
	if depth > 20 {
		return "null"
	}
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strings.ToLower(psString(v))
	case int, float64:
		return psString(v)
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, psJSON(x, depth+1))
		}
		return "[" + strings.Join(out, ",") + "]"
	case *psHash:
		var out []string
		for _, k := range v.keys {
			out = append(out, strconv.Quote(k)+":"+psJSON(v.get(k), depth+1))
		}
		return "{" + strings.Join(out, ",") + "}"
	case *psObject:
		if v.text == nil {
			return psJSON(v.props, depth)
		}
	}
	return strconv.Quote(psString(v))
}

func (c *psCtx) writeContent(b *psBound, add bool) {
	names := b.paths(0)
	values := b.items(1, "value")
	if b.piped {
		names = b.list(0, "path", "literalpath", "filepath")
	}
	for _, n := range names {
		f, err := c.run.w.create(n, add)
		if err != nil {
			c.complain(b, fmt.Sprintf("Could not find a part of the path '%s'.", c.run.w.abs(n)))
			continue
		}
		for i, v := range values {
			if data, ok := v.([]byte); ok {
				f.Write(data)
				continue
			}
			if b.encoding() == "byte" || b.sw("asbytestream") {
				f.Write([]byte{byte(int(psNumber(v)))})
				continue
			}
			end := "\r\n"
			if b.sw("nonewline") {
				end = ""
			}
			enc := b.encoding()
			text := encodeText(psString(v)+end, enc)
			if i > 0 && len(text) > 2 && text[0] == 0xff {
				text = text[2:]
			}
			f.Write(text)
		}
		f.Close()
	}
}

func (c *psCtx) rename(b *psBound, to string, mayEnter bool) {
	for _, n := range b.paths(0) {
		ms := c.matches(n)
		for _, m := range ms {
			from, dst := c.run.w.path(m), c.run.w.path(to)
			if mayEnter && c.run.w.v.isDir(dst) {
				dst += "/" + winBase(m)
			}
			if err := c.run.w.v.move(from, dst); err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					c.notFound(b, m)
				} else {
					c.complain(b, why(err))
				}
			}
		}
	}
}

func cmdletItemProperty(c *psCtx, b *psBound) {
	for _, n := range b.paths(0) {
		if isRegistry(n) {
			var v any
			if x, ok := b.get("value", "propertyvalue"); ok {
				v = x
			} else if len(b.pos) > 2 {
				v = b.pos[2]
			}
			c.run.w.registry().set(n, b.text(1, "name"), psString(v))
		}
	}
}

func cmdletWMI(c *psCtx, b *psBound) {
	class := strings.ToLower(b.text(0, "class", "classname", "query"))
	boot := c.run.w.g.bootTime().UTC()
	switch {
	case strings.Contains(class, "win32_operatingsystem"):
		o := newObject("Win32_OperatingSystem", "Caption", c.run.w.g.sys.Pretty, "Version", c.run.w.g.sys.Kernel, "BuildNumber", c.run.w.g.sys.build(), "CSName", c.run.w.g.hostname(), "OSArchitecture", "64-bit", "LastBootUpTime", boot,
			"SystemDirectory", `C:\Windows\system32`, "FreePhysicalMemory", 3200000, "TotalVisibleMemorySize", 4028440, "ProductType", 3)
		o.methods["converttodatetime"] = func(_ *psCtx, a []any) any { return first(a) }
		o.methods["win32shutdown"] = func(c *psCtx, a []any) any { c.run.w.g.selfPower(psNumber(first(a)) == 6, 0); return nil }
		o.methods["reboot"] = func(c *psCtx, _ []any) any { c.run.w.g.selfPower(true, 0); return nil }
		c.out(o)
	case strings.Contains(class, "win32_computersystem"):
		o := newObject("Win32_ComputerSystem", "Name", c.run.w.g.hostname(), "Manufacturer", "tfbake", "Model", "simulated", "Domain", "WORKGROUP", "NumberOfLogicalProcessors", 2, "TotalPhysicalMemory", 4125122560)
		o.lenient = false
		c.out(o)
	case strings.Contains(class, "win32_logicaldisk"):
		for _, m := range c.run.w.g.allMounts() {
			_, used := m.disk.usage()
			c.out(newObject("Win32_LogicalDisk", "DeviceID", winName("/" + m.at)[:2], "Size", int(m.size), "FreeSpace", int(max(0, m.size-used))))
		}
	case strings.Contains(class, "win32_service"):
		for name, s := range c.run.w.g.services() {
			c.out(newObject("Win32_Service", "Name", name, "State", s.state, "StartMode", s.start))
		}
	case strings.Contains(class, "win32_"):
		// classes without instances
	default:
		c.complain(b, fmt.Sprintf("Get-WmiObject : Invalid class \"%s\"", b.text(0, "class", "classname")))
	}
}

func cmdletService(c *psCtx, b *psBound) {
	all := c.run.w.g.services()
	names := b.list(0, "name")
	if b.piped {
		for _, v := range b.input {
			names = append(names, psString(c.member(v, "Name")))
		}
	}
	if len(names) == 0 {
		for n := range all {
			names = append(names, n)
		}
		slices.Sort(names)
	}
	start := b.text(-1, "startuptype", "starttype")
	for _, n := range names {
		key := ""
		for k := range all {
			if strings.EqualFold(k, n) || psRegexp(c, wildcard(n), false).MatchString(k) {
				key = k
			}
		}
		if key == "" {
			if strings.ContainsAny(n, "*?") {
				continue
			}
			c.complain(b, fmt.Sprintf("Cannot find any service with service name '%s'.", n))
			continue
		}
		s := all[key]
		if start != "" {
			s.start = start
		}
		if v := b.text(-1, "status"); v != "" {
			s.state = v
		}
		all[key] = s
		// The verb is not passed on: it is told by what is asked of the service table below.
		o := newObject("System.ServiceProcess.ServiceController", "Name", key, "DisplayName", key, "Status", s.state, "StartType", s.start, "ServiceName", key)
		o.methods["waitforstatus"] = func(*psCtx, []any) any { return nil }
		o.methods["refresh"] = o.methods["waitforstatus"]
		c.out(o)
	}
	if start != "" || b.text(-1, "status") != "" {
		c.run.w.g.saveServices(all)
	}
}

func init() {
	// Start, stop and restart differ in the state they leave, and in silence.
	for verb, state := range map[string]string{"start-service": "Running", "stop-service": "Stopped", "restart-service": "Running", "set-service": "", "new-service": "Stopped"} {
		psCmdlets[verb] = func(c *psCtx, b *psBound) {
			d := *c
			if !b.sw("passthru") {
				d.out = func(any) {}
			}
			if verb == "new-service" {
				all := c.run.w.g.services()
				all[b.text(0, "name")] = winService{state: state, start: "Automatic"}
				c.run.w.g.saveServices(all)
				return
			}
			if state != "" {
				b.named["status"] = state
			}
			cmdletService(&d, b)
		}
	}
}

func cmdletFeature(c *psCtx, b *psBound) {
	for _, n := range b.list(0, "name", "featurename") {
		c.run.w.g.winLog("feature " + n)
		c.out(newObject("FeatureOperationResult", "Success", true, "RestartNeeded", "No", "ExitCode", "Success", "FeatureResult", n+" (simulated by tfbake)", "Name", n, "Installed", true, "InstallState", "Installed", "State", "Enabled"))
	}
}

func newGUID() string {
	b := make([]byte, 16)
	randomReader{ctxBackground}.Read(b)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// psFile is an open file of .NET.
func (c *psCtx) openFile(name string, flag int) *psObject {
	w := c.run.w
	if strings.TrimSpace(name) == "" {
		c.throw("Exception calling \"Open\": \"Empty path name is not legal.\"")
	}
	f, err := w.v.OpenFile(w.path(name), flag, 0o644)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			c.throw("Exception calling \"Open\": \"Could not find file '%s'.\"", w.abs(name))
		}
		c.throw("Exception calling \"Open\": \"Access to the path '%s' is denied.\" (%s)", w.abs(name), why(err))
	}
	w.track(f)
	o := newObject("System.IO.FileStream", "Name", w.abs(name))
	lines := &lineScanner{r: f}
	bytesArg := func(a []any) []byte {
		switch v := first(a).(type) {
		case []byte:
			return v
		case []any:
			out := make([]byte, len(v))
			for i, x := range v {
				out[i] = byte(int(psNumber(x)))
			}
			return out
		}
		return nil
	}
	window := func(a []any) []byte {
		b := bytesArg(a)
		if len(a) >= 3 {
			off, n := int(psNumber(a[1])), int(psNumber(a[2]))
			if off < 0 || n < 0 || off+n > len(b) {
				c.throw("Offset and length were out of bounds for the array.")
			}
			return b[off : off+n]
		}
		return b
	}
	write := func(b []byte) {
		if _, err := f.Write(b); err != nil {
			c.throw("Exception calling \"Write\": \"There is not enough space on the disk.\" (%s)", why(err))
		}
	}
	closeIt := func(*psCtx, []any) any { f.Close(); w.untrack(f); return nil }
	o.methods["close"], o.methods["dispose"] = closeIt, closeIt
	o.methods["flush"] = func(*psCtx, []any) any { return nil }
	o.methods["write"] = func(_ *psCtx, a []any) any {
		if s, ok := first(a).(string); ok {
			write([]byte(s))
		} else {
			write(window(a))
		}
		return nil
	}
	o.methods["writeline"] = func(_ *psCtx, a []any) any { write([]byte(psString(first(a)) + "\r\n")); return nil }
	o.methods["read"] = func(_ *psCtx, a []any) any {
		n, _ := f.Read(window(a))
		return n
	}
	o.methods["readline"] = func(*psCtx, []any) any {
		if l, ok := lines.next(); ok {
			return l
		}
		return nil
	}
	o.methods["readtoend"] = func(*psCtx, []any) any {
		data, _ := io.ReadAll(io.LimitReader(f, 256<<20))
		return textOf(append(lines.buf, data...))
	}
	o.methods["setlength"] = func(_ *psCtx, a []any) any { f.Truncate(int64(psNumber(first(a)))); return nil }
	o.dynamic = func(n string) (any, bool) {
		if n == "length" {
			if fi, err := f.f.Stat(); err == nil {
				return int(fi.Size()), true
			}
		}
		return nil, false
	}
	return o
}

func (c *psCtx) newObject(b *psBound) any {
	t := strings.TrimPrefix(strings.ToLower(b.text(0, "typename")), "system.")
	args, _ := b.get("argumentlist", "args")
	list := psList(args)
	if len(b.pos) > 1 {
		list = append(list, psList(b.pos[1])...)
	}
	if com := b.text(-1, "comobject", "com"); com != "" {
		if strings.EqualFold(com, "schedule.service") {
			return c.scheduler()
		}
		c.throw("New-Object : Retrieving the COM class factory for component %s failed: it is not simulated.", com)
	}
	switch t {
	case "byte[]":
		n := int(psNumber(first(list)))
		if n < 0 || n > 64<<20 {
			c.throw("Array dimensions exceeded supported range.")
		}
		return make([]byte, n)
	case "object", "psobject", "management.automation.psobject", "pscustomobject":
		o := newObject("PSCustomObject")
		if h, ok := b.named["property"].(*psHash); ok {
			for _, k := range h.keys {
				o.props.set(k, h.get(k))
			}
		}
		return o
	case "io.streamreader", "io.streamwriter":
		if o, ok := first(list).(*psObject); ok {
			return o
		}
		if t == "io.streamreader" {
			return c.openFile(psString(first(list)), os.O_RDONLY)
		}
		flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
		if len(list) > 1 && psTrue(list[1]) {
			flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
		}
		return c.openFile(psString(first(list)), flag)
	case "collections.arraylist", "collections.generic.list[string]", "collections.generic.list[object]":
		o := newObject("System.Collections.ArrayList")
		var items []any
		o.methods["add"] = func(_ *psCtx, a []any) any { items = append(items, first(a)); return len(items) - 1 }
		o.dynamic = func(n string) (any, bool) {
			if n == "count" {
				return len(items), true
			}
			return nil, false
		}
		return o
	case "net.webclient":
		o := newObject("System.Net.WebClient")
		no := func(c *psCtx, a []any) any {
			c.throw("Exception calling \"DownloadFile\": \"The remote name could not be resolved: '%s'\" (no network: this server is simulated by tfbake)", psString(first(a)))
			return nil
		}
		for _, m := range []string{"downloadfile", "downloadstring", "downloaddata", "uploadfile", "openread"} {
			o.methods[m] = no
		}
		o.props.set("Headers", lenientObject("WebHeaderCollection"))
		return o
	case "random":
		o := newObject("System.Random")
		o.methods["next"] = func(*psCtx, []any) any { return 4 }
		return o
	}
	if strings.HasPrefix(t, "xml.") {
		return lenientObject(t)
	}
	if strings.HasPrefix(t, "text.utf8encoding") || strings.HasPrefix(t, "management.automation.pscredential") || strings.HasPrefix(t, "security.") {
		return lenientObject(t)
	}
	c.throw("New-Object : Cannot find type [%s]: verify that the assembly containing this type is loaded. (not simulated)", b.text(0, "typename"))
	return nil
}

var taskArguments = regexp.MustCompile(`(?s)<Arguments>(.*?)</Arguments>`)
var taskCommand = regexp.MustCompile(`(?s)<Command>(.*?)</Command>`)

// scheduler is the COM object of the task scheduler, through which tools run commands elevated.
func (c *psCtx) scheduler() *psObject {
	g := c.run.w.g
	svc := newObject("ITaskService")
	svc.methods["connect"] = func(*psCtx, []any) any { return nil }
	tasks := map[string]*psObject{}
	svc.methods["newtask"] = func(*psCtx, []any) any {
		def := newObject("ITaskDefinition", "XmlText", "", "RegistrationInfo", lenientObject("IRegistrationInfo"), "Principal", lenientObject("IPrincipal"), "Settings", lenientObject("ITaskSettings"), "Triggers", lenientObject("ITriggerCollection"))
		actions := newObject("IActionCollection")
		actions.methods["create"] = func(*psCtx, []any) any {
			a := newObject("IExecAction", "Path", "", "Arguments", "", "WorkingDirectory", "")
			def.props.set("action", a)
			return a
		}
		def.props.set("Actions", actions)
		return def
	}
	folder := newObject("ITaskFolder")
	folder.methods["registertaskdefinition"] = func(c *psCtx, a []any) any {
		if len(a) < 2 {
			c.throw("Exception calling \"RegisterTaskDefinition\": \"not enough arguments\"")
		}
		def, ok := a[1].(*psObject)
		if !ok {
			c.throw("Exception calling \"RegisterTaskDefinition\": \"no task definition\"")
		}
		if len(a) > 5 {
			user, pw := psString(a[3]), psString(a[4])
			user = winBase(user)
			service := slices.Contains([]string{"system", "localservice", "networkservice", "local service", "network service"}, strings.ToLower(user))
			if !service && psNumber(a[5]) == 1 && !g.checkWindowsPassword(user, pw) {
				c.throw("Exception calling \"RegisterTaskDefinition\" with \"7\" argument(s): \"(41,4):UserId: The user name or password is incorrect. (Exception from HRESULT: 0x8007052E)\"")
			}
		}
		line := ""
		if x, ok := def.props.get("action").(*psObject); ok {
			line = psString(x.props.get("Path")) + " " + psString(x.props.get("Arguments"))
		} else if m := taskArguments.FindStringSubmatch(psString(def.props.get("XmlText"))); m != nil {
			cmd := "cmd"
			if mc := taskCommand.FindStringSubmatch(psString(def.props.get("XmlText"))); mc != nil {
				cmd = html.UnescapeString(mc[1])
			}
			line = cmd + " " + html.UnescapeString(m[1])
		}
		var mu sync.Mutex
		state, result := 3, 267011 // ready, has not run yet
		t := newObject("IRegisteredTask", "Name", psString(a[0]))
		t.dynamic = func(n string) (any, bool) {
			mu.Lock()
			defer mu.Unlock()
			switch n {
			case "state":
				return state, true
			case "lasttaskresult":
				return result, true
			}
			return nil, false
		}
		t.methods["run"] = func(c *psCtx, _ []any) any {
			mu.Lock()
			state = 4
			mu.Unlock()
			w := *c.run.w
			w.out, w.err, w.in = io.Discard, io.Discard, nil
			w.env = cloneEnv(w.env)
			w.ps = nil
			go func() {
				code := w.command(line)
				mu.Lock()
				state, result = 3, code
				mu.Unlock()
			}()
			return t
		}
		t.methods["stop"] = func(*psCtx, []any) any { return nil }
		tasks[strings.ToLower(strings.TrimPrefix(psString(a[0]), `\`))] = t
		return t
	}
	folder.methods["gettask"] = func(c *psCtx, a []any) any {
		if t := tasks[strings.ToLower(strings.TrimPrefix(psString(first(a)), `\`))]; t != nil {
			return t
		}
		c.throw("Exception calling \"GetTask\": \"The system cannot find the file specified.\"")
		return nil
	}
	folder.methods["deletetask"] = func(_ *psCtx, a []any) any {
		delete(tasks, strings.ToLower(strings.TrimPrefix(psString(first(a)), `\`)))
		return nil
	}
	svc.methods["getfolder"] = func(*psCtx, []any) any { return folder }
	return svc
}

func (r *psRun) setStatic(t, name string, v any) {
	// Settings of the runtime (TLS versions, the working directory) change nothing here.
}

// static is [Type]::Member or [Type]::Method(args).
func (c *psCtx) static(t, name string, args []any, call bool) any {
	for i := range args {
		args[i] = plainValue(args[i])
	}
	arg := func(i int) string {
		if i < len(args) {
			return psString(args[i])
		}
		return ""
	}
	w := c.run.w
	l := strings.ToLower(name)
	t = strings.TrimPrefix(t, "system.")
	fail := func() any {
		c.throw("Unable to find type or member [%s]::%s: it is not simulated.", t, name)
		return nil
	}
	switch t {
	case "io.path":
		switch l {
		case "getfullpath":
			return w.abs(arg(0))
		case "getdirectoryname":
			return winDir(arg(0))
		case "getfilename":
			return winBase(arg(0))
		case "getextension":
			return winExt(arg(0))
		case "getfilenamewithoutextension":
			return strings.TrimSuffix(winBase(arg(0)), winExt(arg(0)))
		case "gettemppath":
			v, _ := w.getenv("TEMP")
			return v + `\`
		case "gettempfilename":
			v, _ := w.getenv("TEMP")
			n := v + `\tmp` + randomName(6) + ".tmp"
			w.v.WriteFile(w.path(n), nil, 0o644)
			return n
		case "getrandomfilename":
			return randomName(8) + "." + randomName(3)
		case "combine":
			out := ""
			for i := range args {
				if s := arg(i); isAbsWin(s) || out == "" {
					out = s
				} else if s != "" {
					out = strings.TrimRight(out, `\/`) + `\` + strings.TrimLeft(s, `\/`)
				}
			}
			return out
		case "ispathrooted":
			return isAbsWin(arg(0))
		case "directoryseparatorchar":
			return `\`
		}
	case "io.directory":
		switch l {
		case "createdirectory":
			if err := w.v.MkdirAll(w.path(arg(0)), 0o755); err != nil {
				c.throw("Exception calling \"CreateDirectory\": \"%s\"", why(err))
			}
			return newPathInfo(w.abs(arg(0)))
		case "exists":
			return w.v.isDir(w.path(arg(0)))
		case "delete":
			w.v.RemoveAll(w.path(arg(0)))
			return nil
		case "getfiles", "getdirectories":
			var out []any
			entries, _ := w.v.ReadDir(w.path(arg(0)))
			for _, e := range entries {
				if e.IsDir() == (l == "getdirectories") {
					out = append(out, strings.TrimRight(w.abs(arg(0)), `\`)+`\`+e.name)
				}
			}
			return out
		case "getcurrentdirectory":
			return w.dir
		}
	case "io.file":
		check := func(err error) {
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					c.throw("Exception calling \"%s\" with \"%d\" argument(s): \"Could not find file '%s'.\"", name, len(args), w.abs(arg(0)))
				}
				c.throw("Exception calling \"%s\": \"%s\"", name, why(err))
			}
		}
		switch l {
		case "exists":
			fi, err := w.v.Stat(w.path(arg(0)))
			return err == nil && !fi.IsDir()
		case "readallbytes":
			data, err := w.v.ReadFile(w.path(arg(0)))
			check(err)
			return data
		case "readalltext":
			data, err := w.v.ReadFile(w.path(arg(0)))
			check(err)
			return textOf(data)
		case "readalllines":
			data, err := w.v.ReadFile(w.path(arg(0)))
			check(err)
			var out []any
			for _, s := range splitLines(strings.ReplaceAll(textOf(data), "\r\n", "\n")) {
				out = append(out, s)
			}
			return out
		case "writealltext", "writealllines":
			text := ""
			if l == "writealllines" && len(args) > 1 {
				for _, s := range psList(args[1]) {
					text += psString(s) + "\r\n"
				}
			} else {
				text = arg(1)
			}
			check(w.v.WriteFile(w.path(arg(0)), []byte(text), 0o644))
			return nil
		case "appendalltext":
			check(w.v.appendFile(w.path(arg(0)), arg(1)))
			return nil
		case "writeallbytes":
			b, _ := c.cast("byte[]", args[min(1, len(args)-1)]).([]byte)
			check(w.v.WriteFile(w.path(arg(0)), b, 0o644))
			return nil
		case "delete":
			w.v.Remove(w.path(arg(0)))
			return nil
		case "copy":
			check(w.copy(arg(0), arg(1), false))
			return nil
		case "move":
			check(w.v.move(w.path(arg(0)), w.path(arg(1))))
			return nil
		case "create", "createtext":
			return c.openFile(arg(0), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		case "openwrite":
			return c.openFile(arg(0), os.O_WRONLY|os.O_CREATE)
		case "openread", "opentext":
			return c.openFile(arg(0), os.O_RDONLY)
		case "appendtext":
			return c.openFile(arg(0), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
		case "open":
			flag := map[string]int{"open": os.O_RDONLY, "create": os.O_RDWR | os.O_CREATE | os.O_TRUNC, "createnew": os.O_RDWR | os.O_CREATE | os.O_EXCL, "openorcreate": os.O_RDWR | os.O_CREATE,
				"append": os.O_WRONLY | os.O_CREATE | os.O_APPEND, "truncate": os.O_RDWR | os.O_TRUNC}[strings.ToLower(arg(1))]
			if a := strings.ToLower(arg(2)); a == "write" || a == "readwrite" {
				flag = flag&^(os.O_RDONLY|os.O_WRONLY) | os.O_RDWR
			}
			return c.openFile(arg(0), flag)
		case "getlastwritetime", "getlastwritetimeutc":
			fi, err := w.v.Stat(w.path(arg(0)))
			check(err)
			return fi.ModTime().UTC()
		}
	case "convert":
		switch l {
		case "frombase64string":
			s := strings.Map(func(r rune) rune {
				if r == '\r' || r == '\n' || r == ' ' || r == '\t' {
					return -1
				}
				return r
			}, arg(0))
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				c.throw("Exception calling \"FromBase64String\" with \"1\" argument(s): \"The input is not a valid Base-64 string\"")
			}
			return b
		case "tobase64string":
			b, _ := c.cast("byte[]", first(args)).([]byte)
			if len(args) >= 3 {
				off, n := int(psNumber(args[1])), int(psNumber(args[2]))
				if off < 0 || n < 0 || off+n > len(b) {
					c.throw("Offset and length must refer to a position in the array.")
				}
				b = b[off : off+n]
			}
			return base64.StdEncoding.EncodeToString(b)
		case "toint32", "toint64":
			return c.cast("int", first(args))
		case "tostring":
			return arg(0)
		case "toboolean":
			return psTrue(first(args))
		}
	case "text.encoding":
		enc := newObject("Encoding", "EncodingName", name)
		wide := l == "unicode"
		enc.methods["getstring"] = func(c *psCtx, a []any) any {
			b, _ := c.cast("byte[]", first(a)).([]byte)
			if len(a) >= 3 {
				if off, n := int(psNumber(a[1])), int(psNumber(a[2])); off >= 0 && n >= 0 && off+n <= len(b) {
					b = b[off : off+n]
				}
			}
			if wide {
				return decodeUTF16(b)
			}
			return string(b)
		}
		enc.methods["getbytes"] = func(_ *psCtx, a []any) any {
			if wide {
				return utf16le(psString(first(a)))
			}
			return []byte(psString(first(a)))
		}
		return enc
	case "console":
		stream := func(out io.Writer) *psObject {
			o := newObject("TextWriter")
			o.methods["writeline"] = func(c *psCtx, a []any) any {
				s := psString(first(a))
				if len(a) > 1 {
					s = psFormat(c, s, a[1:])
				}
				io.WriteString(out, s+"\r\n")
				return nil
			}
			o.methods["write"] = func(_ *psCtx, a []any) any { io.WriteString(out, psString(first(a))); return nil }
			o.methods["flush"] = func(*psCtx, []any) any { return nil }
			return o
		}
		switch l {
		case "out":
			return stream(w.out)
		case "error":
			return stream(w.err)
		case "writeline", "write":
			return stream(w.out).methods[l](c, args)
		case "in":
			o := newObject("TextReader")
			lines := &lineScanner{r: w.stdin()}
			o.methods["readline"] = func(*psCtx, []any) any {
				if s, ok := lines.next(); ok {
					return s
				}
				return nil
			}
			o.methods["readtoend"] = func(*psCtx, []any) any {
				b, _ := io.ReadAll(io.LimitReader(w.stdin(), 256<<20))
				return string(b)
			}
			return o
		case "readline":
			if s, ok := (&lineScanner{r: w.stdin()}).next(); ok {
				return s
			}
			return nil
		case "outputencoding", "inputencoding":
			return lenientObject("Encoding")
		}
	case "environment":
		switch l {
		case "expandenvironmentvariables":
			return w.expand(arg(0))
		case "getenvironmentvariable":
			if v, ok := w.getenv(arg(0)); ok {
				return v
			}
			if v := w.g.machineEnv()[strings.ToUpper(arg(0))]; v != "" {
				return v
			}
			return nil
		case "setenvironmentvariable":
			switch strings.ToLower(arg(2)) {
			case "machine", "user":
				w.g.setMachineEnv(arg(0), arg(1))
			default:
				w.setenv(arg(0), arg(1))
			}
			return nil
		case "getenvironmentvariables":
			h := newHash()
			for _, k := range w.envNames() {
				v, _ := w.getenv(k)
				h.set(k, v)
			}
			return h
		case "machinename":
			return strings.ToUpper(w.g.hostname())
		case "username":
			return w.user
		case "newline":
			return "\r\n"
		case "exit":
			panic(psExit{int(psNumber(first(args)))})
		case "osversion":
			return newObject("OperatingSystem", "Version", newObject("Version", "Major", 10, "Minor", 0, "Build", int(psNumber(w.g.sys.build()))), "Platform", "Win32NT")
		case "getfolderpath":
			return map[string]string{"system": `C:\Windows\system32`, "windows": `C:\Windows`, "programfiles": `C:\Program Files`, "userprofile": `C:\Users\` + w.user, "commonapplicationdata": `C:\ProgramData`}[strings.ToLower(arg(0))]
		case "is64bitoperatingsystem", "is64bitprocess":
			return true
		case "tickcount":
			return int(time.Since(w.g.bootTime()).Milliseconds())
		case "processorcount":
			return 2
		case "currentdirectory":
			return w.dir
		}
	case "net.dns":
		if l == "gethostname" {
			return w.g.hostname()
		}
	case "management.managementdatetimeconverter":
		return first(args)
	case "datetime":
		switch l {
		case "now", "utcnow", "today":
			return time.Now().UTC()
		case "parse":
			return c.cast("datetime", first(args))
		}
	case "guid":
		return newGUID()
	case "string":
		switch l {
		case "isnullorempty":
			return arg(0) == ""
		case "isnullorwhitespace":
			return strings.TrimSpace(arg(0)) == ""
		case "join":
			var parts []string
			for _, v := range args[1:] {
				for _, x := range psList(v) {
					parts = append(parts, psString(x))
				}
			}
			return strings.Join(parts, arg(0))
		case "format":
			return psFormat(c, arg(0), args[1:])
		case "empty":
			return ""
		case "concat":
			return strings.Join(strings.Fields(psString(args)), "")
		}
	case "int", "int32", "int64", "long":
		switch l {
		case "parse":
			return c.cast("int", first(args))
		case "maxvalue":
			return 1<<31 - 1
		}
	case "math":
		n := psNumber(first(args))
		switch l {
		case "max":
			return number(max(n, psNumber(args[len(args)-1])))
		case "min":
			return number(min(n, psNumber(args[len(args)-1])))
		case "floor":
			return c.cast("int", float64(int64(n)))
		case "round":
			return c.cast("int", n)
		case "abs":
			return number(max(n, -n))
		case "ceiling":
			if f := float64(int64(n)); f < n {
				return int(f) + 1
			}
			return int(n)
		}
	case "regex", "text.regularexpressions.regex":
		switch l {
		case "escape":
			return regexp.QuoteMeta(arg(0))
		case "replace":
			return psRegexp(c, arg(1), true).ReplaceAllString(arg(0), goReplacement(arg(2)))
		case "ismatch":
			return psRegexp(c, arg(1), true).MatchString(arg(0))
		}
	case "runtime.interopservices.marshal":
		if strings.HasPrefix(l, "securestringtobstr") || strings.HasPrefix(l, "ptrtostring") {
			if o, ok := first(args).(*psObject); ok {
				return psString(o.props.get("plain"))
			}
			return first(args)
		}
		return 0
	case "security.principal.windowsidentity":
		return newObject("WindowsIdentity", "Name", strings.ToUpper(w.g.hostname())+`\`+w.user)
	case "security.principal.windowsprincipal", "security.principal.windowsbuiltinrole":
		o := lenientObject("WindowsPrincipal")
		o.methods["isinrole"] = func(*psCtx, []any) any { return true }
		return o
	case "threading.thread":
		if l == "sleep" {
			w.sleep(time.Duration(psNumber(first(args)) * float64(time.Millisecond)))
			return nil
		}
	case "gc":
		return nil
	case "scriptblock":
		return c.cast("scriptblock", first(args))
	case "timespan":
		return psNumber(first(args))
	}
	if strings.HasPrefix(t, "net.") || strings.HasPrefix(t, "security") || strings.HasPrefix(t, "microsoft.") || strings.HasPrefix(t, "io.compression") || strings.HasPrefix(t, "reflection") {
		if t == "io.compression.zipfile" && l == "extracttodirectory" {
			c.expandArchive(&psBound{named: map[string]any{}, pos: args})
			return nil
		}
		return lenientObject(t)
	}
	return fail()
}

// psMeasure is Measure-Object: it counts, and works out what it is asked for.
func psMeasure(c *psCtx, b *psBound) {
	property := b.text(0, "property")
	if b.sw("line", "word", "character") {
		lines, words, chars := 0, 0, 0
		for _, v := range b.input {
			s := psString(v)
			lines, words, chars = lines+len(splitLines(s)), words+len(strings.Fields(s)), chars+len([]rune(s))
		}
		o := newObject("Microsoft.PowerShell.Commands.TextMeasureInfo", "Lines", nil, "Words", nil, "Characters", nil, "Property", nil)
		for name, n := range map[string]int{"Line": lines, "Word": words, "Character": chars} {
			if b.sw(strings.ToLower(name)) {
				o.props.set(name+"s", n)
			}
		}
		c.out(o)
		return
	}
	values := b.input
	if property != "" {
		values = nil
		for _, v := range b.input {
			if m := c.member(v, property); m != nil {
				values = append(values, m)
			}
		}
	}
	var count, sum, average, largest, smallest any = len(values), nil, nil, nil, nil
	if b.sw("sum", "average") {
		total := 0.0
		for _, v := range values {
			total += psNumber(v)
		}
		if b.sw("sum") {
			sum = number(total)
		}
		if b.sw("average") && len(values) > 0 {
			average = number(total / float64(len(values)))
		}
	}
	for _, v := range values {
		if b.sw("maximum") && (largest == nil || psCompare("-gt", v, largest, false) == true) {
			largest = v
		}
		if b.sw("minimum") && (smallest == nil || psCompare("-lt", v, smallest, false) == true) {
			smallest = v
		}
	}
	c.out(newObject("Microsoft.PowerShell.Commands.GenericMeasureInfo", "Count", count, "Average", average, "Sum", sum, "Maximum", largest, "Minimum", smallest, "Property", property))
}
