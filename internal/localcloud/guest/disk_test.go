package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// extra gives a guest two additional disks, whose content is in dir.
func extra(dir string) func(*Config) {
	return func(c *Config) {
		c.RootDevice, c.RootGB = "/dev/vda", 50
		c.Disks = []Disk{{Device: "/dev/vdb", SizeGB: 20, Dir: filepath.Join(dir, "b")}, {Device: "/dev/vdc", SizeGB: 100, Dir: filepath.Join(dir, "c")}}
	}
}

func TestDisks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newServer(t, "rocky-8.10", extra(dir))
	c := s.client()
	for _, tc := range []struct {
		cmd, out string
		code     int
	}{
		{"ls /dev/vd*; [ -b /dev/vdb ] && echo block; stat -c '%F %a %G' /dev/vdb; ls -l /dev/vdb | cut -c1-10", "/dev/vda\n/dev/vda2\n/dev/vdb\n/dev/vdc\nblock\nblock special file 660 disk\nbrw-rw----\n", 0},
		{"lsblk", "NAME   MAJ:MIN RM SIZE RO TYPE MOUNTPOINT\nvda    252:0    0  50G  0 disk\n└─vda2 252:2    0  50G  0 part /\nvdb    252:16   0  20G  0 disk\nvdc    252:32   0 100G  0 disk\n", 0},
		{"lsblk -dno NAME,SIZE | sort | tail -1; lsblk -bdno SIZE /dev/vdb; lsblk -nro NAME,MOUNTPOINT | awk '$2==\"\" {print $1}'; blockdev --getsize64 /dev/vdb; cat /sys/block/vdb/size", "vdc 100G\n21474836480\nvda\nvdb\nvdc\n21474836480\n41943040\n", 0},
		{"grep vdb /proc/partitions | tr -s ' '; mount /dev/vdb /mnt 2>&1; blkid /dev/vdb; echo $?", " 252 16 20971520 vdb\nmount: /mnt: wrong fs type, bad option, bad superblock on /dev/vdb, missing codepage or helper program, or other error.\n2\n", 0},
		{"mkfs.xfs /dev/vdb >/dev/null && mkdir /data && mount /dev/vdb /data && echo hi > /data/file && chmod 640 /data/file && chown 33:33 /data/file; lsblk -no FSTYPE,MOUNTPOINT /dev/vdb; df -hT /data | tail -1 | awk '{print $1,$2,$3,$7}'; findmnt -no SOURCE,FSTYPE /data; mount | grep data; mountpoint /data", "xfs /data\n/dev/vdb xfs 20G /data\n/dev/vdb xfs\n/dev/vdb on /data type xfs (rw,relatime)\n/data is a mountpoint\n", 0},
		{"mkfs.xfs -f /dev/vdb", "mkfs.xfs: /dev/vdb is mounted; will not make a filesystem here!\n", 1},
		{"mount /dev/vdb /data", "mount: /data: /dev/vdb already mounted on /data.\n", 32},
		{"umount /data; ls /data; mount /dev/vdb /data; stat -c '%a %u' /data/file; cat /data/file", "640 33\nhi\n", 0},
		{"mkdir -p /opt/x/y; echo 1 > /opt/x/y/z; ln -s z /opt/x/y/l; chmod 700 /opt/x/y; mv /opt/x /data/ && stat -c %a /data/x/y && cat /data/x/y/l; ls /opt; ln /data/file /opt/f 2>&1; cp -a /data/x /opt/; ls /opt/x/y", "700\n1\nln: failed to create hard link '/opt/f': Invalid cross-device link\nl\nz\n", 0},
		{"ln -s /etc/hostname /data/abs; ln -s ../../../../etc/hostname /data/rel; cat /data/abs /data/rel; echo x > /data/../../../etc/up; ls /etc/up", "tfb-test\ntfb-test\n/etc/up\n", 0},
		{"mkfs.xfs /dev/vdb 2>&1; umount /dev/vdb; mkfs.xfs /dev/vdb", "mkfs.xfs: /dev/vdb appears to contain an existing filesystem (xfs).\nmkfs.xfs: Use the -f option to force overwrite.\nmkfs.xfs: /dev/vdb appears to contain an existing filesystem (xfs).\nmkfs.xfs: Use the -f option to force overwrite.\n", 1},
		{"parted -s /dev/vdc mklabel gpt mkpart primary ext4 0% 50% mkpart primary 50% 100% && lsblk -no NAME,SIZE /dev/vdc; mkfs -t ext4 -q -L logs /dev/vdc1; mkdir /logs; mount LABEL=logs /logs; ls /logs; ls /dev/disk/by-label", "vdc    100G\n├─vdc1  50G\n└─vdc2  50G\nlost+found\nlogs\n", 0},
		{"mount /dev/vdb /data; echo \"UUID=$(blkid -s UUID -o value /dev/vdb) /data xfs defaults,nofail 0 2\" >> /etc/fstab; echo '/dev/vdc1 /logs ext4 defaults 0 2' >> /etc/fstab; echo '/dev/vdz /z ext4 nofail 0 2' >> /etc/fstab; umount -a; ls /data; mount -a; cat /data/file; findmnt -rno TARGET | tr '\\n' ' '", "hi\n/ /data /logs ", 0},
		{"umount /logs; mount /logs; mountpoint -q /logs; echo $?; umount /logs; printf 'o\\nn\\np\\n1\\n\\n\\nw\\n' | fdisk /dev/vdc >/dev/null; lsblk -no NAME,SIZE,FSTYPE /dev/vdc; echo 'label: gpt' > /tmp/s; echo 'size=10GiB' >> /tmp/s; echo , >> /tmp/s; sfdisk -q /dev/vdc < /tmp/s; lsblk -nlo NAME,SIZE /dev/vdc", "0\nvdc    100G\n└─vdc1 100G\nvdc  100G\nvdc1  10G\nvdc2  90G\n", 0},
		{"lsblk -J -o NAME,FSTYPE,MOUNTPOINT /dev/vdb | tr -d ' \\n'", `{"blockdevices":[{"fstype":"xfs","mountpoint":"/data","name":"vdb"}]}`, 0},
		{"df -BG /data | tail -1 | awk '{print $2}'; df --output=target,size -k /data /dev/vda2 | tail -n +2; df -P -m / | tail -1 | awk '{print $2}'; df -h /nope", "20G\n/data       20971520\n/           52428800\n51200\ndf: /nope: No such file or directory\n", 1},
		{"mkfs.ext4 -F /dev/vda", "mkfs.ext4: /dev/vda is in use: it is the system's own disk\n", 1},
		{"dd if=/dev/zero of=/dev/vdb count=1 2>&1; mkfs.btrfs /dev/vdb 2>&1 | grep -c 'not found'", "dd: failed to open '/dev/vdb': Operation not permitted\n1\n", 0},
		{"fdisk -l /dev/vdb | head -1; wipefs -a /dev/vdc; blkid /dev/vdc", "Disk /dev/vdb: 20 GiB, 21474836480 bytes, 41943040 sectors\n/dev/vdc: erased (gpt)\n", 2},
	} {
		if r := runOn(t, c, tc.cmd, ""); r.out+r.err != tc.out || r.code != tc.code {
			t.Errorf("%s\n got %q, %q, %d\nwant %q, %d", tc.cmd, r.out, r.err, r.code, tc.out, tc.code)
		}
	}
	if r := runOn(t, c, "rmdir /data; mv /data /data2; rm -rf /data; ls -A /data | wc -l; df / | wc -l", ""); !strings.Contains(r.err, "rmdir: failed to remove '/data': Device or resource busy") || r.out != "0\n2\n" {
		t.Errorf("a mount point taken away: %v", r)
	}
	if r := runOn(t, c, "echo kept > /data/file && chmod 4711 /data/file && sync", ""); r.code != 0 {
		t.Fatal(r)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "b", "fs0", "root", "file")); string(b) != "kept\n" {
		t.Errorf("the file is not in the disk's directory: %v", err)
	}

	// fstab counts at a reboot.
	boot := runOn(t, c, "sed -i '/vdc1/d' /etc/fstab; echo '/dev/vdy /y ext4 defaults 0 2' >> /etc/fstab; cat /proc/sys/kernel/random/boot_id", "").out
	if err := s.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = s.client()
	if r := runOn(t, c, "cat /data/file; stat -c %a /data/file; cat /var/log/boot.log; cat /proc/sys/kernel/random/boot_id", ""); !strings.HasPrefix(r.out, "kept\n4711\n/etc/fstab: /y: mount point does not exist; a real server would not boot\n") || strings.HasSuffix(r.out, boot) {
		t.Errorf("after the reboot: %v", r)
	}

	// A disk that is pulled keeps its content, in whatever copy and guest.
	s.SetDisks([]Disk{{Device: "/dev/vdc", SizeGB: 100, Dir: filepath.Join(dir, "c")}})
	if r := runOn(t, c, "ls /data; ls /dev/vd*", ""); r.out != "/dev/vda\n/dev/vda2\n/dev/vdc\n" {
		t.Errorf("after the disk went: %v", r)
	}
	if err := CopyDisk(filepath.Join(dir, "copy"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := CopyDisk(filepath.Join(dir, "none"), filepath.Join(dir, "never")); err != nil {
		t.Fatal(err)
	}
	two := newServer(t, "ubuntu-22.04", func(c *Config) {
		c.Disks = []Disk{{Device: "/dev/xvdb", SizeGB: 20, Dir: filepath.Join(dir, "copy")}}
	})
	if r := runOn(t, two.client(), "mount /dev/xvdb /mnt && cat /mnt/file && stat -c %a /mnt/file && echo more > /mnt/more && sync", ""); r.out != "kept\n4711\n" {
		t.Errorf("in another guest: %v", r)
	}
	if _, err := os.Stat(filepath.Join(dir, "b", "fs0", "root", "more")); err == nil {
		t.Error("the copy is no copy")
	}
}

func TestWindowsDisks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newServer(t, "windows-2016", extra(dir))
	run := func(script string) string {
		t.Helper()
		var out strings.Builder
		w := s.newWinProc(t.Context(), "Administrator", nil, &out, &out)
		w.program([]string{"powershell", "-Command", script})
		return strings.ReplaceAll(strings.TrimSpace(out.String()), "\r", "")
	}
	for _, tc := range [][2]string{
		{"(Get-Disk | Where-Object PartitionStyle -Eq 'RAW' | Measure-Object).Count", "2"},
		{"Get-Disk | Where-Object PartitionStyle -Eq 'RAW' | Select-Object -First 1 | Initialize-Disk -PartitionStyle GPT -PassThru | New-Partition -AssignDriveLetter -UseMaximumSize | Format-Volume -FileSystem NTFS -NewFileSystemLabel 'data' -Confirm:$false | Out-Null; Test-Path D:\\", "True"},
		{"New-Item -ItemType Directory D:\\App | Out-Null; Set-Content D:\\App\\a.txt 'on d'; Get-Content d:\\app\\A.TXT; Copy-Item -Recurse D:\\App E:\\ -ErrorAction SilentlyContinue; Copy-Item -Recurse D:\\App D:\\Two; Get-Content D:\\Two\\a.txt; Move-Item D:\\Two C:\\Two; Get-Content C:\\Two\\a.txt; Test-Path D:\\Two", "on d\non d\non d\nFalse"},
		{"(Get-Volume -DriveLetter D).FileSystemLabel; (Get-ChildItem C:\\ | Where-Object Name -like 'tfbake-drive*' | Measure-Object).Count", "data\n0"},
		{"Initialize-Disk -Number 2; New-Partition -DiskNumber 2 -UseMaximumSize -DriveLetter F | Out-Null; Format-Volume -DriveLetter F | Out-Null; Test-Path F:\\; Set-Location F:\\; (Get-Location).Path", "True\nF:\\"},
		{"(1,2,6 | Measure-Object -Sum -Average).Average; (1,2 | Measure-Object).Sum -eq $null; (Get-CimInstance Win32_OperatingSystem).BuildNumber", "3\nTrue\n14393"},
	} {
		if got := run(tc[0]); got != tc[1] {
			t.Errorf("%s\n got %q\nwant %q", tc[0], got, tc[1])
		}
	}
	if err := s.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := run("Get-Content D:\\App\\a.txt"); got != "on d" {
		t.Errorf("after the reboot: %q", got)
	}
}
