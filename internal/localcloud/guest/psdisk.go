package guest

import (
	"slices"
	"strings"
)

// The Storage module of PowerShell, as far as a new disk needs it. Disk 0 is the system's own; drives are mounted below
// drivePrefix.

func init() {
	for _, s := range strings.Fields("usemaximumsize assigndriveletter full sum average") {
		psSwitches[s] = true
	}
	for name, f := range map[string]func(c *psCtx, b *psBound){
		"get-disk": psGetDisk, "initialize-disk": psInitializeDisk, "clear-disk": psClearDisk, "set-disk": psNothing,
		"new-partition": psNewPartition, "get-partition": psGetPartition, "set-partition": psSetPartition, "format-volume": psFormatVolume, "get-volume": psGetVolume,
	} {
		psCmdlets[name] = f
	}
}

func psNothing(*psCtx, *psBound) {}

// winDisks lists the whole disks; the index is the disk's number.
func (g *Guest) winDisks() []device {
	return slices.DeleteFunc(g.devices(), func(d device) bool { return d.n > 0 })
}

func (c *psCtx) diskObject(number int, d device) *psObject {
	style := "GPT"
	if d.disk != nil {
		style = map[string]string{"gpt": "GPT", "dos": "MBR", "": "RAW"}[d.disk.layout.Table]
	}
	return newObject("MSFT_Disk", "Number", number, "DiskNumber", number, "FriendlyName", "simulated by tfbake", "OperationalStatus", "Online", "HealthStatus", "Healthy",
		"IsOffline", false, "IsReadOnly", false, "IsBoot", d.disk == nil, "IsSystem", d.disk == nil, "Size", int(d.size), "PartitionStyle", style)
}

// diskNumbers are those that a cmdlet is given, piped or named.
func (c *psCtx) diskNumbers(b *psBound, names ...string) []int {
	var list []int
	for _, v := range b.input {
		if o, ok := v.(*psObject); ok {
			list = append(list, int(psNumber(o.props.get("DiskNumber"))))
		}
	}
	if len(list) == 0 {
		if v, ok := b.get(names...); ok {
			for _, n := range psList(v) {
				list = append(list, int(psNumber(n)))
			}
		} else if len(b.pos) > 0 {
			list = append(list, int(psNumber(b.pos[0])))
		}
	}
	return list
}

// extraDisk finds an additional disk to change.
func (c *psCtx) extraDisk(cmd string, n int) device {
	disks := c.run.w.g.winDisks()
	if n < 0 || n >= len(disks) {
		c.throw("%s : No MSFT_Disk objects found with property 'Number' equal to '%d'.", cmd, n)
	}
	if n == 0 {
		c.throw("%s : disk 0 is the system's own; changing it is not simulated by tfbake.", cmd)
	}
	return disks[n]
}

func psGetDisk(c *psCtx, b *psBound) {
	want := c.diskNumbers(b, "number", "disknumber")
	for n, d := range c.run.w.g.winDisks() {
		if len(want) == 0 || slices.Contains(want, n) {
			c.out(c.diskObject(n, d))
		}
	}
	for _, n := range want {
		if n >= len(c.run.w.g.winDisks()) {
			c.complain(b, "Get-Disk : No MSFT_Disk objects found with property 'Number' equal to '"+psString(n)+"'.")
		}
	}
}

func psInitializeDisk(c *psCtx, b *psBound) {
	kind := "gpt"
	if strings.EqualFold(b.text(-1, "partitionstyle"), "mbr") {
		kind = "dos"
	}
	for _, n := range c.diskNumbers(b, "number", "disknumber") {
		d := c.extraDisk("Initialize-Disk", n)
		if d.disk.layout.Table != "" {
			c.complain(b, "Initialize-Disk : The disk has already been initialized.")
			continue
		}
		if err := c.run.w.g.newTable(d, kind); err != nil {
			c.throw("Initialize-Disk : %v", err)
		}
		if b.sw("passthru") {
			c.out(c.diskObject(n, c.run.w.g.winDisks()[n]))
		}
	}
}

func psClearDisk(c *psCtx, b *psBound) {
	for _, n := range c.diskNumbers(b, "number", "disknumber") {
		d := c.extraDisk("Clear-Disk", n)
		c.run.w.g.unmountDrives(d)
		if err := c.run.w.g.change(d, func(l *diskLayout) error { *l = diskLayout{}; return nil }); err != nil {
			c.throw("Clear-Disk : %v", err)
		}
	}
}

// unmountDrives takes a disk's drives away.
func (g *Guest) unmountDrives(d device) {
	for _, p := range d.disk.layout.Parts {
		if p.Letter != "" {
			g.detach(drivePrefix + p.Letter)
		}
	}
}

// freeLetter is the first drive letter that nothing has.
func (g *Guest) freeLetter() string {
	used := ""
	for _, d := range g.devices() {
		if d.part != nil {
			used += d.part.Letter
		}
	}
	for l := 'D'; l <= 'Z'; l++ {
		if !strings.ContainsRune(used, l) {
			return string(l)
		}
	}
	return ""
}

func (c *psCtx) partitionObject(number int, d device) *psObject {
	letter := d.part.Letter
	return newObject("MSFT_Partition", "DiskNumber", number, "PartitionNumber", d.n, "DriveLetter", letter, "Size", int(d.size), "Type", "Basic", "Offset", int(d.part.Start*mib))
}

// winPartitions lists the partitions of additional disks with their disk's number.
func (g *Guest) winPartitions(f func(number int, d device)) {
	number := 0
	for _, d := range g.devices() {
		if d.n == 0 {
			if d.disk != nil {
				number++
			}
		} else if d.part != nil {
			f(number, d)
		}
	}
}

func psNewPartition(c *psCtx, b *psBound) {
	g := c.run.w.g
	for _, n := range c.diskNumbers(b, "disknumber", "number") {
		d := c.extraDisk("New-Partition", n)
		letter := strings.ToUpper(strings.TrimSuffix(b.text(-1, "driveletter"), ":"))
		if letter == "" && b.sw("assigndriveletter") {
			letter = g.freeLetter()
		}
		if letter != "" && (len(letter) != 1 || letter < "D" || letter > "Z") {
			c.throw("New-Partition : The requested access path %s is already in use, or no drive letter.", letter)
		}
		var made partition
		err := g.change(d, func(l *diskLayout) error {
			start, end := l.freeStart(), int64(-1)
			if v, ok := b.get("size"); ok {
				end = start + int64(psNumber(v))/mib
			}
			var err error
			if made, err = l.addPartition(d.disk, 0, start, end); err != nil {
				return err
			}
			for i := range l.Parts {
				if l.Parts[i].N == made.N {
					l.Parts[i].Letter = letter
				}
			}
			return nil
		})
		if err != nil {
			c.throw("New-Partition : Not enough available capacity, or the disk is not initialized: %v", err)
		}
		g.winPartitions(func(number int, p device) {
			if number == n && p.n == made.N {
				c.out(c.partitionObject(number, p))
			}
		})
	}
}

// partitions finds those that a cmdlet is given, by pipe, drive letter or numbers.
func (c *psCtx) partitions(b *psBound, f func(number int, d device)) {
	letter := strings.ToUpper(strings.TrimSuffix(b.text(-1, "driveletter"), ":"))
	disk, byDisk := b.get("disknumber")
	part, byPart := b.get("partitionnumber")
	input := slices.Clone(b.input)
	if v, ok := b.get("partition", "inputobject"); ok {
		input = append(input, v)
	}
	c.run.w.g.winPartitions(func(number int, d device) {
		ok := letter == "" && len(input) == 0 || letter != "" && d.part.Letter == letter
		for _, v := range input {
			if o, is := v.(*psObject); is && int(psNumber(o.props.get("DiskNumber"))) == number && (o.typ == "MSFT_Disk" || int(psNumber(o.props.get("PartitionNumber"))) == d.n) {
				ok = true
			}
		}
		if ok && (!byDisk || int(psNumber(disk)) == number) && (!byPart || int(psNumber(part)) == d.n) {
			f(number, d)
		}
	})
}

func psGetPartition(c *psCtx, b *psBound) {
	c.partitions(b, func(number int, d device) { c.out(c.partitionObject(number, d)) })
}

func psSetPartition(c *psCtx, b *psBound) {
	letter := strings.ToUpper(b.text(-1, "newdriveletter"))
	if letter == "" {
		return
	}
	g := c.run.w.g
	c.partitions(b, func(_ int, d device) {
		if d.part.Letter != "" {
			g.detach(drivePrefix + d.part.Letter)
		}
		err := g.change(d, func(l *diskLayout) error {
			for i := range l.Parts {
				if l.Parts[i].N == d.n {
					l.Parts[i].Letter = letter
				}
			}
			return nil
		})
		if err != nil {
			c.throw("Set-Partition : %v", err)
		}
	})
	g.mountDrives()
}

func volumeObject(letter, label, fs string, size, used int64) *psObject {
	return newObject("MSFT_Volume", "DriveLetter", letter, "FileSystemLabel", label, "FileSystem", fs, "FileSystemType", fs, "DriveType", "Fixed", "HealthStatus", "Healthy",
		"OperationalStatus", "OK", "Size", int(size), "SizeRemaining", int(max(0, size-used)))
}

func psFormatVolume(c *psCtx, b *psBound) {
	g := c.run.w.g
	kind := strings.ToUpper(b.text(-1, "filesystem"))
	if kind == "" {
		kind = "NTFS"
	}
	if kind == "REFS" {
		kind = "ReFS"
	}
	if len(b.input) == 0 && !slices.ContainsFunc([]string{"driveletter", "partition", "inputobject"}, func(n string) bool { _, ok := b.get(n); return ok }) {
		c.throw("Format-Volume : name the volume by -DriveLetter or -Partition, or pipe a partition.")
	}
	found := false
	c.partitions(b, func(_ int, d device) {
		found = true
		if d.part.Letter != "" {
			g.detach(drivePrefix + d.part.Letter)
		}
		if err := g.format(d, fileSystem{Type: kind, Label: b.text(-1, "newfilesystemlabel")}); err != nil {
			c.throw("Format-Volume : %v", err)
		}
		g.mountDrives()
		c.out(volumeObject(d.part.Letter, b.text(-1, "newfilesystemlabel"), kind, d.size, 0))
	})
	if !found {
		c.throw("Format-Volume : No matching volume or partition found.")
	}
}

func psGetVolume(c *psCtx, b *psBound) {
	want := strings.ToUpper(strings.TrimSuffix(b.text(0, "driveletter"), ":"))
	found := false
	for _, m := range c.run.w.g.allMounts() {
		letter, kind, label := winName("/" + m.at)[:1], "NTFS", ""
		if m.at != "" {
			kind = m.fstype
		}
		for _, d := range c.run.w.g.devices() {
			if d.part != nil && d.part.Letter == letter && d.fs != nil {
				label = d.fs.Label
			}
		}
		if want == "" || want == letter {
			found = true
			_, used := m.disk.usage()
			c.out(volumeObject(letter, label, kind, m.size, used))
		}
	}
	if !found {
		c.complain(b, "Get-Volume : No MSFT_Volume objects found with property 'DriveLetter' equal to '"+want+"'.")
	}
}
