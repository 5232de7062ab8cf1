package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Programs for disks, partitions and file systems. What they do is in blockdev.go; here are their options and words.

func init() {
	register(cmdDf, "df")
	register(cmdLsblk, "lsblk")
	register(cmdFindmnt, "findmnt")
	register(cmdMountpoint, "mountpoint")
	registerAdmin(cmdBlkid, "blkid")
	registerAdmin(cmdMount, "mount")
	registerAdmin(cmdUmount, "umount")
	registerAdmin(func(*proc) int { return 0 }, "swapon", "swapoff", "mkswap", "partx")
	registerAdmin(cmdMkfs, "mkfs", "mkfs.ext2", "mkfs.ext3", "mkfs.ext4", "mkfs.xfs", "mke2fs")
	registerAdmin(cmdLabel, "e2label", "xfs_admin", "tune2fs")
	registerAdmin(cmdFdisk, "fdisk")
	registerAdmin(cmdParted, "parted")
	registerAdmin(cmdSfdisk, "sfdisk")
	registerAdmin(cmdWipefs, "wipefs")
	registerAdmin(cmdBlockdev, "blockdev")
	registerAdmin(cmdFsck, "fsck", "fsck.ext4", "e2fsck", "xfs_repair")
	registerAdmin(func(p *proc) int { return p.fail("LVM is not simulated by tfbake") }, "pvcreate", "vgcreate", "lvcreate", "pvs", "vgs", "lvs")
}

// blockSize prints a size as lsblk does: 20G, 1.5T.
func blockSize(n int64) string {
	f, unit := float64(n), 0
	for f >= 1023.95 && unit < 4 {
		f /= 1024
		unit++
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + string("BKMGT"[unit])
}

// mountsOf lists where a device is mounted, as paths.
func (g *Guest) mountsOf(d device) []string {
	var list []string
	if d.path() == g.rootPartition() {
		list = append(list, "/")
	}
	for _, m := range g.tree.mounted() {
		if m.source == d.path() {
			list = append(list, "/"+m.at)
		}
	}
	return list
}

// table prints rows in columns; those of right are aligned right.
func (p *proc) table(rows [][]string, right func(column int) bool) {
	width := map[int]int{}
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	for _, r := range rows {
		line := ""
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-len([]rune(c)))
			if i > 0 {
				line += " "
			}
			if right(i) {
				line += pad + c
			} else {
				line += c + pad
			}
		}
		p.printf("%s\n", strings.TrimRight(line, " "))
	}
}

func cmdLsblk(p *proc) int {
	o, ok := p.parse("aAbdfnlrpPJo:Oite:I:mSzT", "all=a bytes=b nodeps=d fs=f noheadings=n list=l raw=r paths=p pairs=P json=J output:=o ascii=i exclude:=e include:=I tree?=T", false)
	if !ok {
		return 1
	}
	g := p.g
	columns := []string{"NAME", "MAJ:MIN", "RM", "SIZE", "RO", "TYPE", "MOUNTPOINT"}
	if o.has("f") {
		columns = []string{"NAME", "FSTYPE", "LABEL", "UUID", "MOUNTPOINT"}
	}
	if v := o.value["o"]; v != "" {
		if !strings.HasPrefix(v, "+") {
			columns = nil
		}
		columns = append(columns, strings.Split(strings.ToUpper(strings.TrimPrefix(v, "+")), ",")...)
	}
	all := g.devices()
	value := func(d device, column string) (string, bool) {
		f := d.fs
		if f == nil {
			f = &fileSystem{}
		}
		name := d.name
		if o.has("p") {
			name = d.path()
		}
		switch column {
		case "NAME", "KNAME":
			return name, true
		case "PATH":
			return d.path(), true
		case "PKNAME":
			if d.n > 0 {
				return strings.TrimRight(d.name, "0123456789"), true
			}
			return "", true
		case "MAJ:MIN":
			return fmt.Sprintf("%d:%d", g.major(), d.minor), true
		case "RM", "RO":
			return "0", true
		case "SIZE":
			if o.has("b") {
				return strconv.FormatInt(d.size, 10), true
			}
			return blockSize(d.size), true
		case "TYPE":
			return map[bool]string{true: "part", false: "disk"}[d.n > 0], true
		case "MOUNTPOINT", "MOUNTPOINTS":
			return strings.Join(g.mountsOf(d), ","), true
		case "FSTYPE":
			return f.Type, true
		case "LABEL":
			return f.Label, true
		case "UUID":
			return f.UUID, true
		case "PARTUUID":
			if d.part != nil {
				return d.part.UUID, true
			}
			return "", true
		case "PTTYPE":
			if d.disk != nil {
				return d.disk.layout.Table, true
			}
			return "", true
		case "MODEL", "SERIAL", "VENDOR", "TRAN", "OWNER", "GROUP", "MODE", "FSAVAIL", "FSUSE%", "FSVER", "PARTLABEL", "HCTL", "WWN":
			return "", true
		}
		return "", false
	}
	for _, c := range columns {
		if _, ok := value(all[0], c); !ok {
			return p.fail("unknown column: %s", c)
		}
	}
	chosen, code := all, 0
	if len(o.rest) > 0 {
		chosen = nil
		for _, n := range o.rest {
			d, ok := g.deviceAt(p.v, p.abs(n))
			if !ok {
				fmt.Fprintf(p.err, "lsblk: %s: not a block device\n", n)
				code = 32
				continue
			}
			for _, e := range all {
				if e.name == d.name || d.n == 0 && e.n > 0 && e.disk == d.disk {
					chosen = append(chosen, e)
				}
			}
		}
	}
	if o.has("d") {
		chosen = slices.DeleteFunc(slices.Clone(chosen), func(d device) bool { return d.n > 0 && len(o.rest) == 0 })
	}
	if o.has("J") {
		type object = map[string]any
		var top []object
		for _, d := range chosen {
			obj := object{}
			for _, c := range columns {
				v, _ := value(d, c)
				switch key := strings.ToLower(c); {
				case c == "RM" || c == "RO":
					obj[key] = false
				case c == "SIZE" && o.has("b"):
					obj[key] = d.size
				case c == "MOUNTPOINTS":
					list := []any{nil}
					if m := g.mountsOf(d); len(m) > 0 {
						list = nil
						for _, at := range m {
							list = append(list, at)
						}
					}
					obj[key] = list
				case v == "":
					obj[key] = nil
				default:
					obj[key] = v
				}
			}
			if d.n > 0 && len(top) > 0 && !o.has("l") {
				last := top[len(top)-1]
				list, _ := last["children"].([]object)
				last["children"] = append(list, obj)
				continue
			}
			top = append(top, obj)
		}
		data, _ := json.MarshalIndent(object{"blockdevices": top}, "", "   ")
		p.printf("%s\n", data)
		return code
	}
	plain := o.has("l", "r", "P", "d") || !slices.Contains(columns, "NAME")
	var rows [][]string
	if !o.has("n") && !o.has("P") {
		rows = append(rows, columns)
	}
	for i, d := range chosen {
		var row []string
		for _, c := range columns {
			v, _ := value(d, c)
			if c == "NAME" && d.n > 0 && !plain && i > 0 {
				branch := "├─"
				if i+1 == len(chosen) || chosen[i+1].n == 0 {
					branch = "└─"
				}
				if o.has("i") {
					branch = map[string]string{"├─": "|-", "└─": "`-"}[branch]
				}
				v = branch + v
			}
			if o.has("P") {
				v = fmt.Sprintf("%s=%q", strings.ReplaceAll(c, ":", "_"), v)
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	if o.has("r", "P") {
		for _, r := range rows {
			p.printf("%s\n", strings.Join(r, " "))
		}
		return code
	}
	p.table(rows, func(i int) bool { return slices.Contains([]string{"SIZE", "RM", "RO"}, columns[i]) })
	return code
}

func cmdBlkid(p *proc) int {
	o, ok := p.parse("s:o:L:U:pc:t:gkl", "match-tag:=s output:=o label:=L uuid:=U probe=p", false)
	if !ok {
		return 4
	}
	find := func(spec string) int {
		if d, ok := p.g.deviceOf(p.v, spec); ok {
			p.printf("%s\n", d.path())
			return 0
		}
		return 2
	}
	switch {
	case o.has("L"):
		return find("LABEL=" + o.value["L"])
	case o.has("U"):
		return find("UUID=" + o.value["U"])
	}
	list := p.g.devices()
	if len(o.rest) > 0 {
		list = nil
		for _, n := range o.rest {
			if d, ok := p.g.deviceAt(p.v, p.abs(n)); ok {
				list = append(list, d)
			}
		}
	}
	code := 2
	for _, d := range list {
		var tags [][2]string
		add := func(key, value string) {
			if value != "" && (!o.has("s") || slices.Contains(o.all["s"], key)) {
				tags = append(tags, [2]string{key, value})
			}
		}
		if d.fs != nil {
			add("LABEL", d.fs.Label)
			add("UUID", d.fs.UUID)
			add("BLOCK_SIZE", "4096")
			add("TYPE", d.fs.Type)
		}
		if d.part != nil {
			add("PARTUUID", d.part.UUID)
		} else if d.disk != nil && d.n == 0 && d.disk.layout.Table != "" {
			add("PTUUID", d.disk.layout.UUID)
			add("PTTYPE", d.disk.layout.Table)
		}
		if k, v, ok := strings.Cut(o.value["t"], "="); ok && !slices.Contains(tags, [2]string{k, v}) {
			continue
		}
		if len(tags) == 0 {
			continue
		}
		code = 0
		switch o.value["o"] {
		case "value":
			for _, t := range tags {
				p.printf("%s\n", t[1])
			}
		case "device":
			p.printf("%s\n", d.path())
		case "export", "udev":
			prefix := ""
			if o.value["o"] == "udev" {
				prefix = "ID_FS_"
			} else {
				p.printf("DEVNAME=%s\n", d.path())
			}
			for _, t := range tags {
				p.printf("%s%s=%s\n", prefix, t[0], t[1])
			}
		default:
			p.printf("%s:", d.path())
			for _, t := range tags {
				p.printf(" %s=%q", t[0], t[1])
			}
			p.printf("\n")
		}
	}
	return code
}

// allMounts is the table with the root in front.
func (g *Guest) allMounts() []mount {
	root := mount{disk: g.tree.main, source: g.rootPartition(), fstype: "ext4", opts: "rw,relatime", size: g.devices()[1].size}
	return append([]mount{root}, g.tree.mounted()...)
}

// mountHolding is the one that a path is in.
func (p *proc) mountHolding(name string) (mount, error) {
	list := p.g.allMounts()
	if d, ok := p.g.deviceAt(p.v, name); ok {
		for _, m := range slices.Backward(list) {
			if m.source == d.path() {
				return m, nil
			}
		}
	}
	rel, err := p.v.resolve(name, true)
	if err == nil {
		_, err = p.v.tree.Lstat(rel)
	}
	if err != nil {
		return mount{}, err
	}
	for _, m := range slices.Backward(list) {
		if m.at == "" || rel == m.at || strings.HasPrefix(rel, m.at+"/") {
			return m, nil
		}
	}
	return list[0], nil
}

func cmdDf(p *proc) int {
	o, ok := p.parse("hHTPkmiaxt:x:lB:", "human-readable=h si=H print-type=T portability=P output? type:=t exclude-type:=x local=l total all=a block-size:=B inodes=i", false)
	if !ok {
		return 1
	}
	list, code := p.g.allMounts(), 0
	if len(o.rest) > 0 {
		list = nil
		for _, n := range o.rest {
			m, err := p.mountHolding(p.abs(n))
			if err != nil {
				code = p.fail("%s: %s", n, why(err))
				continue
			}
			list = append(list, m)
		}
		if len(list) == 0 {
			return code
		}
	}
	unit, letter := int64(1024), ""
	switch b := o.value["B"]; {
	case o.has("m"):
		unit = mib
	case b != "":
		if strings.Trim(b, "0123456789") == b { // only a letter: it is printed, too
			letter, b = b[:1], "1"+b
		}
		n, err := parseSize(b)
		if err != nil || n <= 0 {
			return p.fail("invalid --block-size argument '%s'", o.value["B"])
		}
		unit = n
	}
	human := o.has("h", "H")
	num := func(n int64) string {
		if human {
			return humanSize(n)
		}
		return strconv.FormatInt((n+unit-1)/unit, 10) + letter
	}
	title := map[string]string{"source": "Filesystem", "fstype": "Type", "size": "1K-blocks", "used": "Used", "avail": "Available", "pcent": "Use%", "target": "Mounted on"}
	switch {
	case human:
		title["size"], title["avail"] = "Size", "Avail"
	case unit != 1024:
		title["size"] = blockSize(unit) + "-blocks"
	case o.has("P"):
		title["size"], title["pcent"] = "1024-blocks", "Capacity"
	}
	columns := []string{"source", "size", "used", "avail", "pcent", "target"}
	if o.has("T") {
		columns = slices.Insert(columns, 1, "fstype")
	}
	if o.has("output") {
		columns = []string{"source", "fstype", "size", "used", "avail", "pcent", "target"}
		if v := o.value["output"]; v != "" {
			columns = strings.Split(v, ",")
		}
	}
	var head []string
	for _, c := range columns {
		if title[c] == "" {
			return p.fail("option --output: field '%s' unknown, or not simulated by tfbake", c)
		}
		head = append(head, title[c])
	}
	rows := [][]string{head}
	for _, m := range list {
		if o.has("t") && !slices.Contains(o.all["t"], m.fstype) || slices.Contains(o.all["x"], m.fstype) {
			continue
		}
		_, used := m.disk.usage()
		v := map[string]string{"source": m.source, "fstype": m.fstype, "size": num(m.size), "used": num(used), "avail": num(max(0, m.size-used)),
			"pcent": strconv.FormatInt((used*100+m.size-1)/max(1, m.size), 10) + "%", "target": "/" + m.at}
		var row []string
		for _, c := range columns {
			row = append(row, v[c])
		}
		rows = append(rows, row)
	}
	p.table(rows, func(i int) bool { return slices.Contains([]string{"size", "used", "avail", "pcent"}, columns[i]) })
	return code
}

func cmdFindmnt(p *proc) int {
	o, ok := p.parse("no:rlJPT:S:M:t:aeuscDmkvxO:fR", "noheadings=n output:=o raw=r list=l json=J pairs=P target:=T source:=S mountpoint:=M types:=t first-only=f fstab=s verify=x real", false)
	if !ok {
		return 1
	}
	if o.has("x") {
		p.printf("\nSuccess, no errors or warnings detected\n")
		return 0
	}
	columns := []string{"TARGET", "SOURCE", "FSTYPE", "OPTIONS"}
	if v := o.value["o"]; v != "" {
		columns = strings.Split(strings.ToUpper(v), ",")
	}
	list := p.g.allMounts()
	if o.has("s") {
		list = nil
		for _, e := range p.g.fstab(p.v) {
			list = append(list, mount{at: strings.TrimPrefix(e.at, "/"), source: e.source, fstype: e.fstype, opts: e.opts})
		}
	}
	keep := func(f func(m mount) bool) {
		list = slices.DeleteFunc(list, func(m mount) bool { return !f(m) })
	}
	at := func(name string) func(mount) bool {
		rel, err := p.v.resolve(p.abs(name), true)
		return func(m mount) bool { return err == nil && path.Join("/", m.at) == path.Join("/", rel) }
	}
	from := func(spec string) func(mount) bool {
		d, ok := p.g.deviceOf(p.v, spec)
		return func(m mount) bool { return m.source == spec || ok && m.source == d.path() }
	}
	if v := o.value["T"]; v != "" {
		h, err := p.mountHolding(p.abs(v))
		keep(func(m mount) bool { return err == nil && m.at == h.at && m.source == h.source })
	}
	if v := o.value["S"]; v != "" {
		keep(from(v))
	}
	if v := o.value["M"]; v != "" {
		keep(at(v))
	}
	if v := o.value["t"]; v != "" {
		keep(func(m mount) bool { return slices.Contains(strings.Split(v, ","), m.fstype) })
	}
	for i, a := range o.rest {
		switch s, m := from(a), at(a); {
		case i > 0:
			keep(m)
		default:
			keep(func(x mount) bool { return s(x) || m(x) })
		}
	}
	if len(list) == 0 {
		return 1
	}
	var rows [][]string
	var objects []map[string]string
	if !o.has("n") {
		rows = append(rows, columns)
	}
	for _, m := range list {
		v := map[string]string{"TARGET": "/" + m.at, "SOURCE": m.source, "FSTYPE": m.fstype, "OPTIONS": m.opts, "SIZE": blockSize(m.size)}
		if d, ok := p.g.deviceOf(p.v, m.source); ok && d.fs != nil {
			v["UUID"], v["LABEL"] = d.fs.UUID, d.fs.Label
		}
		var row []string
		obj := map[string]string{}
		for _, c := range columns {
			if _, ok := v[c]; !ok && c != "UUID" && c != "LABEL" {
				return p.fail("unknown column: %s", c)
			}
			row = append(row, v[c])
			obj[strings.ToLower(c)] = v[c]
		}
		rows = append(rows, row)
		objects = append(objects, obj)
	}
	switch {
	case o.has("J"):
		data, _ := json.MarshalIndent(map[string]any{"filesystems": objects}, "", "   ")
		p.printf("%s\n", data)
	case o.has("r"):
		for _, r := range rows {
			p.printf("%s\n", strings.Join(r, " "))
		}
	default:
		p.table(rows, func(int) bool { return false })
	}
	return 0
}

func cmdMountpoint(p *proc) int {
	o, ok := p.parse("qdx", "quiet=q", false)
	if !ok || len(o.rest) != 1 {
		return p.fail("bad usage")
	}
	rel, err := p.v.resolve(p.abs(o.rest[0]), true)
	if err == nil && (rel == "." || p.v.mountedOn(rel)) {
		if !o.has("q") {
			p.printf("%s is a mountpoint\n", o.rest[0])
		}
		return 0
	}
	if !o.has("q") {
		if err != nil || !p.v.exists(p.abs(o.rest[0])) {
			return p.fail("%s: No such file or directory", o.rest[0])
		}
		p.printf("%s is not a mountpoint\n", o.rest[0])
	}
	return 1
}

func cmdMount(p *proc) int {
	o, ok := p.parse("at:o:rwvnL:U:lfBMR", "all=a types:=t options:=o bind=B rbind=R move=M read-only=r rw=w verbose=v make-private make-rprivate make-shared make-rshared", false)
	if !ok {
		return 1
	}
	g := p.g
	if len(o.rest) == 0 && !o.has("a", "L", "U") {
		for _, m := range g.allMounts() {
			if o.value["t"] == "" || o.value["t"] == m.fstype {
				p.printf("%s on /%s type %s (%s)\n", m.source, m.at, m.fstype, m.opts)
			}
			if m.at == "" && o.value["t"] == "" {
				p.printf("proc on /proc type proc (rw)\n")
			}
		}
		return 0
	}
	if p.who.uid != 0 {
		return p.fail("must be superuser to use mount.")
	}
	if o.has("a") {
		code := 0
		for _, err := range g.mountFstab(p.v) {
			code = p.failCode(32, "%v.", err)
		}
		return code
	}
	opts := strings.Join(o.all["o"], ",")
	if o.has("r") {
		opts = "ro," + opts
	}
	var source, at string
	switch {
	case o.has("L"):
		source = "LABEL=" + o.value["L"]
	case o.has("U"):
		source = "UUID=" + o.value["U"]
	}
	rest := o.rest
	if source == "" && len(rest) > 0 {
		source, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		at, rest = rest[0], rest[1:]
	}
	words := strings.Split(opts, ",")
	switch {
	case len(rest) > 0:
		return p.fail("bad usage")
	case slices.Contains(words, "remount"):
		name := source
		if at != "" {
			name = at
		}
		if rel, err := p.v.resolve(p.abs(name), true); err == nil && (rel == "." || p.v.mountedOn(rel)) {
			return 0
		}
		return p.failCode(32, "%s: mount point not mounted or bad option.", name)
	case o.has("B", "R", "M") || slices.Contains(words, "bind") || slices.Contains(words, "loop") || o.value["t"] != "" && !isDiskType(o.value["t"]):
		return p.failCode(32, "%s: only file systems of disks can be mounted: the server is simulated by tfbake", source)
	}
	fstype := o.value["t"]
	if at == "" { // by its line in /etc/fstab
		i := slices.IndexFunc(g.fstab(p.v), func(e fstabEntry) bool { return e.source == source || path.Clean(e.at) == path.Clean(p.abs(source)) })
		if i < 0 {
			return p.failCode(32, "%s: can't find in /etc/fstab.", source)
		}
		e := g.fstab(p.v)[i]
		source, at, fstype = e.source, e.at, e.fstype
		opts = strings.Trim(e.opts+","+opts, ",")
	}
	if err := g.mountDevice(p.v, source, p.abs(at), fstype, opts); err != nil {
		return p.failCode(32, "%v.", err)
	}
	return 0
}

// isDiskType tells whether a file system of this type can be made here.
func isDiskType(t string) bool {
	return slices.Contains([]string{"auto", "ext2", "ext3", "ext4", "xfs"}, t)
}

func cmdUmount(p *proc) int {
	o, ok := p.parse("afldnrvRt:O:q", "all=a force=f lazy=l recursive=R types:=t verbose=v", false)
	if !ok {
		return 1
	}
	if p.who.uid != 0 {
		return p.fail("must be superuser to unmount.")
	}
	g := p.g
	if o.has("a") {
		for _, m := range slices.Backward(g.tree.mounted()) {
			g.detach(m.at)
		}
		return 0
	}
	if len(o.rest) == 0 {
		return p.fail("bad usage")
	}
	code := 0
	for _, n := range o.rest {
		var at string
		mounts := g.tree.mounted()
		rel, err := p.v.resolve(p.abs(n), true)
		d, isDevice := g.deviceAt(p.v, p.abs(n))
		for _, m := range mounts {
			if err == nil && m.at == rel || isDevice && m.source == d.path() {
				at = m.at
			}
		}
		if at == "" {
			if err == nil && p.v.exists(p.abs(n)) {
				code = p.failCode(32, "%s: not mounted.", n)
			} else {
				code = p.failCode(32, "%s: no mount point specified.", n)
			}
			continue
		}
		below := slices.DeleteFunc(mounts, func(m mount) bool { return !strings.HasPrefix(m.at, at+"/") })
		if len(below) > 0 && !o.has("l", "R") {
			code = p.failCode(32, "%s: target is busy.", n)
			continue
		}
		for _, m := range slices.Backward(below) {
			g.detach(m.at)
		}
		if err := g.detach(at); err != nil {
			code = p.failCode(32, "%s: %v", n, err)
		}
	}
	return code
}

// blockTarget finds the device that a program is to change.
func (p *proc) blockTarget(name string) (device, int) {
	if p.who.uid != 0 {
		return device{}, p.fail("cannot open %s: Permission denied", name)
	}
	d, ok := p.g.deviceAt(p.v, p.abs(name))
	switch {
	case !ok && p.v.exists(p.abs(name)):
		return d, p.fail("%s: not a block device; files as disks are not simulated by tfbake", name)
	case !ok:
		return d, p.fail("cannot open %s: No such file or directory", name)
	case d.disk == nil:
		return d, p.fail("%s is in use: it is the system's own disk", name)
	}
	return d, 0
}

func cmdMkfs(p *proc) int {
	args, fstype := p.args, "ext2"
	switch {
	case strings.HasPrefix(p.name, "mkfs."):
		fstype = strings.TrimPrefix(p.name, "mkfs.")
	case p.name == "mkfs":
		for i := 0; i < len(args); i++ {
			if v, ok := strings.CutPrefix(args[i], "--type="); ok {
				fstype, args = v, slices.Delete(slices.Clone(args), i, i+1)
			} else if args[i] == "-t" && i+1 < len(args) {
				fstype, args = args[i+1], slices.Delete(slices.Clone(args), i, i+2)
			} else if v, ok := strings.CutPrefix(args[i], "-t"); ok && v != "" {
				fstype, args = v, slices.Delete(slices.Clone(args), i, i+1)
			} else {
				continue
			}
			break
		}
	}
	if !isDiskType(fstype) || fstype == "auto" {
		return p.fail("%s is not simulated by tfbake: ext2, ext3, ext4 and xfs are", fstype)
	}
	spec := "b:C:E:FG:g:I:i:J:jL:l:M:m:N:nO:o:qr:ST:t:U:vVcD"
	if fstype == "xfs" {
		spec = "b:c:d:fi:l:L:m:n:N:p:qr:s:KV"
	}
	old := p.args
	p.args = args
	o, ok := p.parse(spec, "", false)
	p.args = old
	if !ok {
		return 1
	}
	if t := o.value["t"]; t != "" && fstype != "xfs" {
		fstype = t
	}
	if len(o.rest) == 0 {
		return p.fail("no device name given")
	}
	d, code := p.blockTarget(o.rest[0])
	if code != 0 {
		return code
	}
	if fstype == "xfs" && !o.has("f") {
		found := ""
		if d.fs != nil {
			found = "an existing filesystem (" + d.fs.Type + ")"
		} else if d.n == 0 && d.disk.layout.Table != "" {
			found = "a partition table (" + d.disk.layout.Table + ")"
		}
		if found != "" {
			return p.fail("%s appears to contain %s.\n%s: Use the -f option to force overwrite.", d.path(), found, p.name)
		}
	}
	made := fileSystem{Type: fstype, Label: o.value["L"]}
	if u := o.value["U"]; fstype != "xfs" && strings.Count(u, "-") == 4 {
		made.UUID = u
	}
	for _, m := range strings.Split(o.value["m"], ",") { // xfs
		if u, ok := strings.CutPrefix(m, "uuid="); ok {
			made.UUID = u
		}
	}
	if made.UUID == "" {
		made.UUID = strings.ToLower(newUUID())
	}
	if err := p.g.format(d, made); err != nil {
		if errors.Is(err, errMounted) {
			return p.fail("%s is mounted; will not make a filesystem here!", d.path())
		}
		return p.fail("%s: %v", d.path(), err)
	}
	if !o.has("q") {
		if fstype == "xfs" {
			p.printf("meta-data=%-22s isize=512    agcount=4, agsize=%d blks (simulated by tfbake)\n", d.path(), d.size/4096/4)
		} else {
			p.printf("Creating filesystem with %d 4k blocks (simulated by tfbake)\nFilesystem UUID: %s\n", d.size/4096, made.UUID)
		}
	}
	return 0
}

func cmdLabel(p *proc) int {
	spec := map[string]string{"xfs_admin": "lL:uU:", "tune2fs": "L:U:m:c:i:lO:o:e:r:E:j"}[p.name]
	o, ok := p.parse(spec, "", false)
	if !ok || len(o.rest) == 0 {
		return p.fail("bad usage")
	}
	label, change := o.value["L"], o.has("L")
	if p.name == "e2label" && len(o.rest) > 1 {
		label, change = o.rest[1], true
	}
	d, code := p.blockTarget(o.rest[0])
	if code != 0 {
		return code
	}
	if d.fs == nil || strings.HasPrefix(p.name, "xfs") != (d.fs.Type == "xfs") {
		return p.fail("Bad magic number in super-block while trying to open %s", o.rest[0])
	}
	if !change {
		if p.name == "e2label" || o.has("l") {
			p.printf("%s\n", d.fs.Label)
		}
		return 0
	}
	err := p.g.change(d, func(l *diskLayout) error {
		made := *d.fs
		made.Label = label
		if d.n == 0 {
			l.FS = &made
		}
		for i := range l.Parts {
			if l.Parts[i].N == d.n {
				l.Parts[i].FS = &made
			}
		}
		return nil
	})
	if err != nil {
		return p.fail("%s: %v", d.path(), err)
	}
	return 0
}

func cmdWipefs(p *proc) int {
	o, ok := p.parse("afqnt:o:b", "all=a force=f quiet=q no-act=n", false)
	if !ok {
		return 1
	}
	for _, n := range o.rest {
		d, code := p.blockTarget(n)
		if code != 0 {
			return code
		}
		kind := ""
		switch {
		case d.fs != nil:
			kind = d.fs.Type
		case d.n == 0:
			kind = d.disk.layout.Table
		}
		if kind == "" {
			continue
		}
		if !o.has("a") || o.has("n") {
			p.printf("DEVICE OFFSET TYPE UUID LABEL\n%s 0x0 %s\n", d.name, kind)
			continue
		}
		err := p.g.change(d, func(l *diskLayout) error {
			if d.n == 0 {
				*l = diskLayout{}
			}
			for i := range l.Parts {
				if l.Parts[i].N == d.n {
					l.Parts[i].FS = nil
				}
			}
			return nil
		})
		if err != nil {
			return p.fail("error: %s: probing initialization failed: Device or resource busy", n)
		}
		if !o.has("q") {
			p.printf("%s: erased (%s)\n", d.path(), kind)
		}
	}
	return 0
}

func cmdBlockdev(p *proc) int {
	if len(p.args) < 2 {
		return p.fail("bad usage")
	}
	for _, n := range p.args {
		if strings.HasPrefix(n, "-") {
			continue
		}
		d, ok := p.g.deviceAt(p.v, p.abs(n))
		if !ok {
			return p.fail("cannot open %s: No such file or directory", n)
		}
		for _, a := range p.args {
			switch a {
			case "--getsize64":
				p.printf("%d\n", d.size)
			case "--getsz", "--getsize":
				p.printf("%d\n", d.size/512)
			case "--getss", "--getpbsz":
				p.printf("512\n")
			case "--getbsz":
				p.printf("4096\n")
			case "--getro":
				p.printf("0\n")
			}
		}
	}
	return 0
}

func cmdFsck(p *proc) int {
	for _, a := range p.args {
		if !strings.HasPrefix(a, "-") {
			if _, ok := p.g.deviceOf(p.v, a); !ok {
				return p.failCode(8, "%s: No such file or directory", a)
			}
			p.printf("%s: clean (simulated by tfbake)\n", a)
		}
	}
	return 0
}

// printDisk is fdisk -l of one disk.
func (p *proc) printDisk(d device) {
	p.printf("Disk %s: %s, %d bytes, %d sectors\nUnits: sectors of 1 * 512 = 512 bytes\nSector size (logical/physical): 512 bytes / 512 bytes\n",
		d.path(), strings.Replace(blockSize(d.size), "G", " GiB", 1), d.size, d.size/512)
	rows := [][]string{{"Device", "Start", "End", "Sectors", "Size", "Type"}}
	switch {
	case d.disk == nil:
		p.printf("Disklabel type: dos\n")
		rows = append(rows, []string{p.g.rootPartition(), "2048", strconv.FormatInt(d.size/512-1, 10), strconv.FormatInt(d.size/512-2048, 10), blockSize(d.size), "Linux"})
	case d.disk.layout.Table != "":
		p.printf("Disklabel type: %s\nDisk identifier: %s\n", d.disk.layout.Table, d.disk.layout.UUID)
		for _, q := range d.disk.layout.Parts {
			rows = append(rows, []string{fmt.Sprintf("%s%d", d.path(), q.N), strconv.FormatInt(q.Start*2048, 10), strconv.FormatInt(q.End*2048-1, 10),
				strconv.FormatInt((q.End-q.Start)*2048, 10), blockSize((q.End - q.Start) * mib), map[string]string{"gpt": "Linux filesystem"}[d.disk.layout.Table] + map[string]string{"dos": "Linux"}[d.disk.layout.Table]})
		}
	}
	if len(rows) > 1 {
		p.printf("\n")
		p.table(rows, func(i int) bool { return i > 0 && i < 5 })
	}
}

// fdisk takes its dialogue from standard input, as scripts give it.
func cmdFdisk(p *proc) int {
	o, ok := p.parse("lb:c?uw:W:t:x", "list=l wipe:=w wipe-partitions:=W", false)
	if !ok {
		return 1
	}
	if o.has("l") {
		first := true
		for _, d := range p.g.devices() {
			named := slices.ContainsFunc(o.rest, func(n string) bool { e, ok := p.g.deviceAt(p.v, p.abs(n)); return ok && e.name == d.name })
			if named || len(o.rest) == 0 && d.n == 0 {
				if !first {
					p.printf("\n\n")
				}
				first = false
				p.printDisk(d)
			}
		}
		if first {
			return p.fail("cannot open %s: No such file or directory", strings.Join(o.rest, " "))
		}
		return 0
	}
	if len(o.rest) != 1 {
		return p.fail("bad usage")
	}
	d, code := p.blockTarget(o.rest[0])
	if code != 0 {
		return code
	}
	if d.n > 0 {
		return p.fail("%s is a partition; partitions in partitions are not simulated by tfbake", d.path())
	}
	input, err := io.ReadAll(&limited{p.ctx, p.stdin(), 1 << 20})
	if err != nil {
		return p.fail("%v", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(input), "\n"), "\n")
	eof := false
	next := func() string {
		if len(lines) == 0 {
			eof = true
			return ""
		}
		l := lines[0]
		lines = lines[1:]
		return strings.TrimSpace(l)
	}
	l := d.disk.layout
	l.Parts = slices.Clone(l.Parts)
	fresh := func(kind string) {
		l = diskLayout{Table: kind, UUID: strings.ToLower(newUUID())}
		if kind == "dos" {
			l.UUID = l.UUID[:8]
		}
		p.printf("Created a new %s disklabel.\n", map[string]string{"dos": "DOS", "gpt": "GPT"}[kind])
	}
	if l.Table == "" {
		fresh("dos")
	}
	for !eof {
		switch c := next(); c {
		case "":
		case "o":
			fresh("dos")
		case "g":
			fresh("gpt")
		case "n":
			n := 0
			if l.Table == "dos" {
				switch kind := next(); kind {
				case "", "p":
				case "e", "l":
					return p.fail("extended partitions are not simulated by tfbake")
				default: // the answer that newer versions do not ask for
					lines = slices.Insert(lines, 0, kind)
				}
			}
			if v := next(); v != "" {
				if n, err = strconv.Atoi(v); err != nil || n < 1 || n > 128 {
					return p.fail("%s: Value out of range.", v)
				}
			}
			start, end := l.freeStart(), int64(-1)
			if v := next(); v != "" {
				s, err := strconv.ParseInt(v, 10, 64)
				if err != nil {
					return p.fail("%s: Value out of range.", v)
				}
				start = (s + 2047) / 2048
			}
			if v := next(); v != "" {
				size, err := parseSize(strings.TrimPrefix(v, "+"))
				switch {
				case err != nil:
					return p.fail("%s: Value out of range.", v)
				case strings.HasPrefix(v, "+") && strings.Trim(v, "+0123456789") != "":
					end = start + size/mib
				case strings.HasPrefix(v, "+"):
					end = start + (size+1)/2048
				default:
					end = (size + 1) / 2048
				}
			}
			if slices.ContainsFunc(l.Parts, func(q partition) bool { return q.N == n }) {
				return p.fail("Value out of range: partition %d exists", n)
			}
			q, err := l.addPartition(d.disk, n, start, end)
			if err != nil {
				return p.fail("%v", err)
			}
			p.printf("Created a new partition %d of type 'Linux' and of size %s.\n", q.N, blockSize((q.End-q.Start)*mib))
		case "d":
			n := 0
			if len(l.Parts) == 1 {
				n = l.Parts[0].N
			} else if n, err = strconv.Atoi(next()); err != nil {
				continue
			}
			l.Parts = slices.DeleteFunc(l.Parts, func(q partition) bool { return q.N == n })
		case "t":
			if len(l.Parts) > 1 {
				next()
			}
			next() // every type is the same here
		case "a":
			if len(l.Parts) > 1 {
				next()
			}
		case "p", "m", "v", "i", "F":
			p.printDisk(device{name: d.name, disk: &blockDisk{Disk: d.disk.Disk, layout: l}, size: d.size})
		case "w":
			if err := p.g.change(d, func(old *diskLayout) error { *old = l; return nil }); err != nil {
				return p.fail("%s: Device or resource busy: %v", d.path(), err)
			}
			p.printf("The partition table has been altered.\nSyncing disks.\n")
			return 0
		case "q":
			return 0
		default:
			p.printf("%s: unknown command\n", c)
		}
	}
	return 1 // the end of the input without w changes nothing
}

// unitMiB reads a place on a disk as parted does: 0%, 100%, 1MiB, 10GB, 2048s; a bare number is in MB.
func unitMiB(s string, size int64) (int64, bool) {
	low := strings.ToLower(s)
	i := strings.IndexFunc(low, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != '-' })
	unit := ""
	if i >= 0 {
		low, unit = low[:i], low[i:]
	}
	f, err := strconv.ParseFloat(low, 64)
	if err != nil {
		return 0, false
	}
	scale := map[string]float64{"%": float64(size) / 100, "mib": 1, "gib": 1024, "tib": 1 << 20, "kib": 1.0 / 1024, "s": 512.0 / mib, "b": 1.0 / mib,
		"": 1e6 / mib, "mb": 1e6 / mib, "m": 1e6 / mib, "gb": 1e9 / mib, "g": 1e9 / mib, "kb": 1e3 / mib, "k": 1e3 / mib, "tb": 1e12 / mib}[unit]
	if scale == 0 {
		return 0, false
	}
	n := int64(f*scale + 0.5)
	if f < 0 || strings.HasPrefix(low, "-") {
		n = size + n
	}
	return n, true
}

func cmdParted(p *proc) int {
	o, ok := p.parse("slmia:", "script=s list=l machine=m align:=a fix=f", true)
	if !ok {
		return 1
	}
	args := o.rest
	if o.has("l") {
		for _, d := range p.g.devices() {
			if d.n == 0 {
				p.printDisk(d)
			}
		}
		return 0
	}
	if len(args) == 0 {
		return p.fail("no device given; the dialogue is not simulated by tfbake: name the device and the commands")
	}
	d, code := p.blockTarget(args[0])
	if code != 0 {
		return code
	}
	if d.n > 0 {
		return p.fail("%s is a partition; partitions in partitions are not simulated by tfbake", d.path())
	}
	// Commands may come as words or as one quoted text.
	words := strings.Fields(strings.Join(args[1:], " "))
	if len(words) == 0 {
		input, _ := io.ReadAll(&limited{p.ctx, p.stdin(), 1 << 20})
		words = strings.Fields(string(input))
	}
	take := func() string {
		if len(words) == 0 {
			return ""
		}
		w := words[0]
		words = words[1:]
		return strings.Trim(w, `"'`)
	}
	size := d.disk.sizeMiB()
	for len(words) > 0 {
		var err error
		switch c := take(); c {
		case "mklabel", "mktable":
			kind := take()
			if kind == "msdos" {
				kind = "dos"
			}
			if kind != "gpt" && kind != "dos" {
				return p.fail("Error: label type %s is not simulated by tfbake: gpt and msdos are", kind)
			}
			err = p.g.newTable(d, kind)
		case "mkpart":
			name := take()
			if name == "extended" || name == "logical" {
				return p.fail("Error: %s partitions are not simulated by tfbake", name)
			}
			from := take()
			start, ok := unitMiB(from, size)
			if !ok { // that was the type of file system
				from = take()
				start, ok = unitMiB(from, size)
			}
			to := take()
			end, ok2 := unitMiB(to, size)
			if !ok || !ok2 {
				return p.fail("Error: mkpart: start and end of the partition are not understood: %q %q", from, to)
			}
			err = p.g.change(d, func(l *diskLayout) error {
				_, err := l.addPartition(d.disk, 0, start, end)
				return err
			})
		case "rm":
			n, cerr := strconv.Atoi(take())
			if cerr != nil {
				return p.fail("Error: rm: Expecting a partition number.")
			}
			err = p.g.change(d, func(l *diskLayout) error {
				l.Parts = slices.DeleteFunc(l.Parts, func(q partition) bool { return q.N == n })
				return nil
			})
		case "print":
			if len(words) > 0 && slices.Contains([]string{"free", "all", "list"}, words[0]) {
				take()
			}
			p.printDisk(d)
		case "set", "toggle":
			take()
			take()
			take()
		case "name":
			take()
			take()
		case "unit", "align-check":
			if take(); c == "align-check" {
				take()
			}
		case "quit", "q":
			return 0
		default:
			return p.fail("Error: %s is not simulated by tfbake", c)
		}
		if err != nil {
			return p.fail("Error: %s: %v", d.path(), err)
		}
	}
	return 0
}

// sfdisk reads lines like "label: gpt", ",,L", "start=2048, size=10G, type=83".
func cmdSfdisk(p *proc) int {
	o, ok := p.parse("ldfqX:u:N:aw:W:n", "list=l dump=d force=f quiet=q label:=X append=a no-reread no-tell-kernel wipe:=w wipe-partitions:=W delete part-type", false)
	if !ok {
		return 1
	}
	if o.has("l") {
		return cmdFdisk(p)
	}
	if len(o.rest) == 0 {
		return p.fail("bad usage")
	}
	d, code := p.blockTarget(o.rest[0])
	if code != 0 {
		return code
	}
	if o.has("d") {
		p.printf("label: %s\ndevice: %s\nunit: sectors\n\n", d.disk.layout.Table, d.path())
		for _, q := range d.disk.layout.Parts {
			p.printf("%s%d : start=%d, size=%d\n", d.path(), q.N, q.Start*2048, (q.End-q.Start)*2048)
		}
		return 0
	}
	if o.has("delete", "part-type", "N") || d.n > 0 {
		return p.fail("this use of sfdisk is not simulated by tfbake")
	}
	input, err := io.ReadAll(&limited{p.ctx, p.stdin(), 1 << 20})
	if err != nil {
		return p.fail("%v", err)
	}
	err = p.g.change(d, func(l *diskLayout) error {
		kind := o.value["X"]
		if !o.has("a") {
			*l = diskLayout{Table: "dos"}
		} else if l.Table == "" {
			l.Table = "dos"
		}
		type entry struct{ start, size string }
		var parts []entry
		for _, line := range strings.FieldsFunc(string(input), func(r rune) bool { return r == '\n' || r == ';' }) {
			line = strings.TrimSpace(line)
			if k, v, ok := strings.Cut(line, ":"); ok && !strings.ContainsAny(k, "=,") && !strings.HasPrefix(k, "/dev/") {
				if strings.TrimSpace(k) == "label" {
					kind = strings.TrimSpace(v)
				}
				continue
			} else if ok && strings.HasPrefix(k, "/dev/") {
				line = strings.TrimSpace(v)
			}
			if line == "" || line[0] == '#' || line == "write" || line == "quit" {
				continue
			}
			var e entry
			for i, f := range strings.Split(line, ",") {
				key, value, named := strings.Cut(strings.TrimSpace(f), "=")
				switch key = strings.TrimSpace(key); {
				case named && key == "start":
					e.start = strings.TrimSpace(value)
				case named && key == "size":
					e.size = strings.TrimSpace(value)
				case !named && i == 0:
					e.start = key
				case !named && i == 1:
					e.size = key
				}
			}
			parts = append(parts, e)
		}
		switch kind {
		case "gpt":
			l.Table = "gpt"
		case "", "dos", "mbr":
		default:
			return fmt.Errorf("label %s is not simulated by tfbake: gpt and dos are", kind)
		}
		if l.UUID == "" {
			if l.UUID = strings.ToLower(newUUID()); l.Table == "dos" {
				l.UUID = l.UUID[:8]
			}
		}
		place := func(s string) (int64, error) { // sectors, or a size with a unit
			n, err := parseSize(strings.TrimPrefix(strings.TrimSuffix(s, "iB"), "+"))
			if err == nil && strings.Trim(s, "+0123456789") == "" {
				return n / 2048, nil
			}
			return n / mib, err
		}
		for _, e := range parts {
			start, end := l.freeStart(), int64(-1)
			var err error
			if e.start != "" && e.start != "-" {
				if start, err = place(e.start); err != nil {
					return err
				}
			}
			if e.size != "" && e.size != "+" && e.size != "-" {
				n, err := place(e.size)
				if err != nil {
					return err
				}
				end = start + n
			}
			if _, err := l.addPartition(d.disk, 0, start, end); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return p.fail("%s: %v", d.path(), err)
	}
	if !o.has("q") {
		p.printf("The partition table has been altered.\n")
	}
	return 0
}
