package guest

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// hashPassword makes the form kept in the guest's /etc/shadow. It is no crypt(3) hash: nothing but the simulation reads it.
func hashPassword(password string) string {
	salt := make([]byte, 8)
	rand.Read(salt)
	return "$tfbake$" + hex.EncodeToString(salt) + "$" + derive(password, salt)
}

func derive(password string, salt []byte) string {
	key, err := pbkdf2.Key(sha256.New, password, salt, 1000, 32)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(key)
}

func verifyPassword(hash, password string) bool {
	f := strings.Split(hash, "$")
	if len(f) != 4 || f[1] != "tfbake" || password == "" {
		return false
	}
	salt, err := hex.DecodeString(f[2])
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(derive(password, salt)), []byte(f[3])) == 1
}

func (g *Guest) checkPassword(user, password string) bool {
	if g.sys.Family == "windows" {
		return g.checkWindowsPassword(user, password)
	}
	return verifyPassword(g.shadow(user), password)
}

func (g *Guest) shadow(user string) string {
	for _, line := range strings.Split(g.rootView().readString("/etc/shadow"), "\n") {
		if f := strings.Split(line, ":"); len(f) > 1 && f[0] == user {
			return f[1]
		}
	}
	return ""
}

func (g *Guest) setPassword(user, password string) error {
	hash := "*"
	if password != "" {
		hash = hashPassword(password)
	}
	return g.setShadow(user, hash)
}

func (g *Guest) setShadow(user, hash string) error {
	g.pkgMu.Lock()
	defer g.pkgMu.Unlock()
	v := g.rootView()
	lines := splitLines(v.readString("/etc/shadow"))
	found := false
	for i, line := range lines {
		if f := strings.Split(line, ":"); f[0] == user && len(f) > 1 {
			f[1] = hash
			lines[i], found = strings.Join(f, ":"), true
		}
	}
	if !found {
		lines = append(lines, fmt.Sprintf("%s:%s:19800:0:99999:7:::", user, hash))
	}
	return v.replaceFile("/etc/shadow", []byte(strings.Join(lines, "\n")+"\n"), 0o640)
}
